"""What every page keeps: private, unframed, without anything inline; and errors that are pages too."""

import re
from collections.abc import Callable

import pytest
from apiflask import APIFlask
from sqlalchemy.exc import OperationalError

from api.dashboard import listing
from moderation import flags
from tests.api.dashboard.conftest import Browser

PAGES = ("/login", "/queue", "/try", "/platforms", "/audit", "/flags/{flag}", "/flags/flg_00000000000000000000000000")
PRIVATE = (
    "/",
    "/queue",
    "/try",
    "/audit",
    "/sessions",
    "/flags/{flag}",
    "/try/sub_00000000000000000000000000",
    "/media/sub_" + "0" * 26 + "/preview",
)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_strict_policy_and_nothing_inline(
    lea: Browser, stranger: Browser, flag: Callable[..., str], path: str
) -> None:
    visitor = stranger if path == "/login" else lea
    page = visitor.get(path.format(flag=flag()))
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=\"/)", page.text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)


@pytest.mark.parametrize("path", PRIVATE)
def test_a_stranger_is_sent_to_log_in(stranger: Browser, flag: Callable[..., str], path: str) -> None:
    answer = stranger.get(path.format(flag=flag()))
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=/")


@pytest.mark.parametrize("action", ["claim", "heartbeat", "release", "skip", "decision", "undo"])
def test_a_stranger_changes_nothing(
    stranger: Browser, flag: Callable[..., str], actions: Callable[[str], list[str]], action: str
) -> None:
    flag_id = flag()
    assert stranger.post(f"/flags/{flag_id}/{action}", answer="fake").headers["Location"] == "/login"
    assert actions(flag_id) == []


def test_every_route_of_the_dashboard_is_private_unless_it_is_for_logging_in(app: APIFlask, stranger: Browser) -> None:
    known = {
        "flag_id": "flg_" + "0" * 26,
        "submission_id": "sub_" + "0" * 26,
        "session_id": "ses_" + "0" * 26,
        "kind": "preview",
    }
    tried = 0
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            if not rule.endpoint.startswith("dashboard.") or rule.endpoint in (
                "dashboard.login",
                "dashboard.enter",
                "dashboard.static",
            ):
                continue
            path = adapter.build(rule.endpoint, {name: known[name] for name in rule.arguments})
            for method in (rule.methods or set()) & {"GET", "POST"}:
                answer = stranger.client.open(path, method=method)
                assert answer.status_code == 303, (method, path)
                assert answer.headers["Location"].startswith("/login"), (method, path)
                tried += 1
    assert tried >= 14


def test_a_bug_is_a_page_that_tells_nothing_of_itself(mo: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(flags, "queue", broken)
    page = mo.get("/queue")
    assert page.status_code == 500
    assert "Our mistake" in page.text
    assert page.headers["X-Request-Id"] in page.text
    assert "secret" not in page.text


def test_an_absent_database_is_a_page_too(mo: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("host db.internal"))

    monkeypatch.setattr(listing.flags, "queue", away)
    page = mo.get("/queue")
    assert page.status_code == 503
    assert "One moment" in page.text
    assert "internal" not in page.text


def test_an_error_page_of_somebody_logged_in_has_the_way_back(mo: Browser) -> None:
    page = mo.get("/flags/flg_00000000000000000000000000")
    assert page.status_code == 404
    assert 'href="/queue"' in page.text


def test_programs_need_no_token_and_get_no_cookie(app: APIFlask) -> None:
    answer = app.test_client().post("/v1/submissions")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_the_contract_does_not_list_pages(app: APIFlask) -> None:
    paths = app.test_client().get("/openapi.json").get_json()["paths"]
    assert paths
    assert not [path for path in paths if path.startswith(("/queue", "/flags", "/try", "/login", "/media"))]
