"""Sessions are rows: they can be listed, they end on the server, and nobody can lock somebody else out."""

from collections.abc import Callable

import pytest
from apiflask import APIFlask

from api.dashboard import login
from moderation import logins, people
from moderation.settings import Settings
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser
from tests.conftest import PASSWORD


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"login_attempts": "3 per 5 minutes"})


@pytest.fixture(autouse=True)
def account(Session: Sessions) -> str:
    with Session.begin() as session:
        return people.create(session, "ann@example.org", "moderator", PASSWORD).id


@pytest.fixture
def attempt(app: APIFlask) -> Callable[..., int]:
    """Tries to log in from an address; returns the answer's status."""

    def _attempt(
        address: str, password: str = PASSWORD, email: str = "ann@example.org", by: Browser | None = None
    ) -> int:
        browser = by or Browser(app.test_client())
        form = {"csrf_token": browser.token(), "email": email, "password": password}
        return browser.client.post("/login", data=form, environ_base={"REMOTE_ADDR": address}).status_code

    return _attempt


def test_ten_wrong_passwords_from_one_address_leave_the_account_open_to_another(attempt: Callable[..., int]) -> None:
    assert [attempt("192.0.2.1", "guess") for _ in range(10)] == [401] * 3 + [429] * 7
    assert attempt("192.0.2.1") == 429
    assert attempt("192.0.2.2") == 303


@pytest.mark.parametrize("guesser", ["2001:db8:0:1::{}", "2001:db8:0:1:{}::1"])
def test_an_ipv6_network_is_one_address(attempt: Callable[..., int], guesser: str) -> None:
    assert [attempt(guesser.format(number), "guess") for number in range(1, 6)] == [401] * 3 + [429] * 2
    assert attempt("2001:db8:0:2::1") == 303


def test_a_known_device_gets_in_while_the_whole_world_guesses(app: APIFlask, attempt: Callable[..., int]) -> None:
    known = Browser(app.test_client())
    assert attempt("192.0.2.200", by=known) == 303
    known.post("/logout")
    codes = [attempt(f"192.0.2.{number}", "guess") for number in range(1, 9)]
    assert codes == [401] * 3 + [429] * 5
    assert attempt("192.0.2.100") == 429  # even with the password: a device that nobody knows has to wait
    assert attempt("192.0.2.200", by=known) == 303
    known.post("/logout")
    assert attempt("192.0.2.1", by=known) == 303  # from the very address that guessed


def test_a_known_device_may_not_guess_without_end(app: APIFlask, attempt: Callable[..., int]) -> None:
    known = Browser(app.test_client())
    assert attempt("192.0.2.1", by=known) == 303
    known.post("/logout")
    assert [attempt("192.0.2.1", "guess", by=known) for _ in range(4)] == [401] * 3 + [429]
    assert attempt("192.0.2.1") == 303  # and its guesses shut nobody else out


def test_a_device_is_known_to_its_own_account_alone(
    app: APIFlask, attempt: Callable[..., int], hire: Callable[..., Browser]
) -> None:
    hire("eve@example.org")
    eve = Browser(app.test_client())
    assert attempt("192.0.2.9", email="eve@example.org", by=eve) == 303
    eve.post("/logout")
    assert [attempt("192.0.2.9", "guess", by=eve) for _ in range(4)] == [401] * 3 + [429]


@pytest.mark.parametrize("token", ["", "made-up", "x" * 2_000, "\x7f;,", "é"])
def test_a_device_token_that_we_did_not_give_is_worth_nothing(stranger: Browser, token: str) -> None:
    stranger.client.set_cookie("unmask_device", token, path="/login")
    assert [stranger.log_in("ann@example.org", "guess").status_code for _ in range(4)] == [401] * 3 + [429]


def test_the_device_cookie_goes_to_the_log_in_page_alone(stranger: Browser) -> None:
    answer = stranger.log_in("ann@example.org")
    (cookie,) = [line for line in answer.headers.getlist("Set-Cookie") if line.startswith(login.DEVICE_COOKIE)]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/login"))


def test_a_copied_cookie_is_worth_nothing_after_the_log_out(app: APIFlask, stranger: Browser) -> None:
    stranger.log_in("ann@example.org")
    copied = stranger.client.get_cookie("unmask")
    assert copied
    thief = Browser(app.test_client())
    thief.client.set_cookie("unmask", copied.value)
    assert thief.get("/queue").status_code == 200
    stranger.post("/logout")
    assert thief.get("/queue").status_code == 303
    assert thief.client.post("/queue/next").headers["Location"].startswith("/login")


def test_logging_in_again_ends_the_session_before(app: APIFlask, stranger: Browser, Session: Sessions) -> None:
    stranger.log_in("ann@example.org")
    copied = stranger.client.get_cookie("unmask")
    assert copied
    token = stranger.get("/queue").text.partition('csrf-token" content="')[2].partition('"')[0]
    again = {"csrf_token": token, "email": "ann@example.org", "password": PASSWORD}
    assert stranger.client.post("/login", data=again).status_code == 303
    thief = Browser(app.test_client())
    thief.client.set_cookie("unmask", copied.value)
    assert thief.get("/queue").status_code == 303
    with Session.begin() as session:
        assert len(logins.every(session)) == 1


def test_the_ledger_holds_no_token_of_a_browser(stranger: Browser, Session: Sessions) -> None:
    stranger.log_in("ann@example.org")
    device = stranger.client.get_cookie("unmask_device", path="/login")
    with stranger.client.session_transaction() as kept:
        token = kept["_user_id"]
    with Session.begin() as session:
        (row,) = logins.every(session)
        values = repr({name: value for name, value in vars(row).items() if name != "_sa_instance_state"})
    assert device
    assert token not in values
    assert device.value not in values


def test_people_see_and_end_their_own_sessions(app: APIFlask, hire: Callable[..., Browser]) -> None:
    here, there = hire("mo@example.org"), Browser(app.test_client())
    there.log_in("mo@example.org")
    page = here.get("/sessions").text
    assert page.count('action="/sessions/ses_') == 1
    assert "this one" in page
    other = page.partition('action="/sessions/ses_')[2].partition("/end")[0]
    assert here.post(f"/sessions/ses_{other}/end").status_code == 303
    assert there.get("/queue").status_code == 303
    assert here.get("/queue").status_code == 200


def test_all_other_sessions_end_at_once(app: APIFlask, hire: Callable[..., Browser]) -> None:
    here = hire("mo@example.org")
    others = [Browser(app.test_client()) for _ in range(3)]
    for other in others:
        other.log_in("mo@example.org")
    assert here.post("/sessions/end").status_code == 303
    assert {other.get("/queue").status_code for other in others} == {303}
    assert here.get("/queue").status_code == 200


def test_only_administrators_see_and_end_sessions_of_others(
    mo: Browser, lea: Browser, hire: Callable[..., Browser], Session: Sessions
) -> None:
    with Session.begin() as session:
        (theirs,) = logins.every(session, mo.person_id)
    for nosy in (lea, hire("ben@example.org")):
        assert theirs.id not in nosy.get("/sessions").text
        assert nosy.post(f"/sessions/{theirs.id}/end").status_code == 404
    assert mo.get("/queue").status_code == 200
    boss = hire("ada@example.org", "admin")
    assert "mo@example.org" in boss.get("/sessions").text
    assert boss.post(f"/sessions/{theirs.id}/end").status_code == 303
    assert mo.get("/queue").status_code == 303


def test_the_end_of_a_session_is_written_down(mo: Browser, actions: Callable[[str], list[str]]) -> None:
    mo.post("/logout")
    assert actions(mo.person_id) == ["person.created", "login.succeeded", "session.ended"]


def test_a_session_that_somebody_ended_is_no_known_device_any_more(
    app: APIFlask, attempt: Callable[..., int], Session: Sessions
) -> None:
    lost = Browser(app.test_client())
    assert attempt("192.0.2.200", by=lost) == 303
    with Session.begin() as session:
        logins.end(session, logins.every(session)[0].id, "operator")
    for number in range(3):
        attempt(f"192.0.2.{number}", "guess")
    assert attempt("192.0.2.200", by=lost) == 429


def test_a_browser_that_waits_for_a_slot_in_vain_is_asked_to_come_back(
    stranger: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "PATIENCE", 0.0)
    slots = login._slots[False]
    held = [slots.acquire() for _ in range(login.SLOTS)]
    try:
        assert stranger.log_in("ann@example.org").status_code == 503
    finally:
        for _ in held:
            slots.release()
    assert stranger.log_in("ann@example.org").status_code == 303
