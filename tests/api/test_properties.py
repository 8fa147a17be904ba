"""What holds whatever is sent and in whichever order: repetition makes nothing twice, and pages miss nothing."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation import acceptance
from moderation.acceptance import Draft
from tests.api.conftest import Caller, Sessions

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # the tables grow, and each example knows its own


def url(number: int) -> str:
    return f"https://chirper.example/{number}.jpg"


@settings(max_examples=15, deadline=None, suppress_health_check=SHARED)
@given(
    order=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=12),
)
def test_a_key_makes_one_submission_of_one_request_in_any_order(
    caller: Caller, order: list[tuple[int, int, bool]]
) -> None:
    """Each send is (key, body, in a batch?): the first body of a key is its request, and every other one is refused."""
    made: dict[int, tuple[int, str]] = {}
    salt = uuid4()  # not hypothesis's, which repeats itself
    for key, body, batched in order:
        sent: dict[str, Any] = {"url": url(body), "external_id": f"{salt}"}
        if batched:
            (item,) = caller.post("/v1/submissions/batch", [sent | {"idempotency_key": f"{salt}-{key}"}]).get_json()[
                "items"
            ]
            status, told = item["status"], item["submission"]
        else:
            answer = caller.post("/v1/submissions", sent, key=f"{salt}-{key}")
            status, told = answer.status_code, answer.get_json()
        if key in made and made[key][0] != body:
            assert status == 422
        else:
            assert status == 202
            assert made.setdefault(key, (body, told["id"])) == (body, told["id"])
    listed = caller.get("/v1/submissions", external_id=str(salt), limit=100).get_json()["items"]
    assert sorted(item["id"] for item in listed) == sorted(made_id for _, made_id in made.values())


@settings(max_examples=12, deadline=None, suppress_health_check=SHARED)
@given(
    before=st.integers(0, 12),
    limit=st.integers(1, 5),
    between=st.lists(st.integers(0, 3), max_size=6),
)
def test_walking_pages_yields_each_row_once_while_rows_are_added(
    caller: Caller, Session: Sessions, before: int, limit: int, between: list[int]
) -> None:
    """Rows that are added meanwhile are newer than the cursor: none of them shows, and none moves the others."""

    salt = uuid4()

    def add(count: int) -> list[str]:
        with Session.begin() as session:  # in one transaction: several rows may bear the same time
            draft = Draft(platform_id=caller.platform_id, external_id=str(salt))
            return [acceptance.expect(session, draft, {"url": url(0)}).id for _ in range(count)]

    expected, seen, cursor = add(before), [], None
    pauses = iter(between)
    while True:
        query = {"external_id": str(salt), "limit": limit} | ({"cursor": cursor} if cursor else {})
        page = caller.get("/v1/submissions", **query).get_json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == limit
        add(next(pauses, 0))
    assert len(seen) == len(set(seen))
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize("cursor", ["x", "e30=", "WyJhIiwgImIiXQ==", "WzEsIDJd", "////", "é"])
def test_a_cursor_of_somebody_elses_making_is_refused(caller: Caller, cursor: str) -> None:
    assert caller.get("/v1/submissions", cursor=cursor).status_code == 422
