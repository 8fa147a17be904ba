"""Who gets in, who does not, and when it ends."""

from collections.abc import Callable

import pytest
from apiflask import APIFlask
from flask import Flask

from api import application
from api.collaborators import Collaborators
from api.dashboard.pages import local_path
from moderation import audit, logins, people, queue
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Sessions
from tests.api.dashboard.conftest import Browser


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"login_attempts": "3 per 5 minutes"})


@pytest.fixture(autouse=True)
def account(Session: Sessions) -> str:
    with Session.begin() as session:
        return people.create(session, "ann@example.org", "moderator", "correct horse battery staple").id


def test_a_person_logs_in_and_out(stranger: Browser) -> None:
    assert stranger.log_in("Ann@Example.org ").headers["Location"] == "/queue"
    assert "ann@example.org" in stranger.get("/queue").text
    assert stranger.post("/logout").headers["Location"] == "/login"
    assert stranger.get("/queue").headers["Location"].startswith("/login")


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(stranger: Browser) -> None:
    wrong, unknown = stranger.log_in("ann@example.org", "wrong"), stranger.log_in("eve@example.org", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert _without_tokens(wrong.text) == _without_tokens(unknown.text).replace("eve@", "ann@")


def _without_tokens(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrf" not in line)


def test_successes_and_failures_are_written_down(
    stranger: Browser, account: str, actions: Callable[[str], list[str]], Session: Sessions
) -> None:
    stranger.log_in("ann@example.org", "wrong")
    stranger.log_in("ann@example.org")
    assert actions(account) == ["person.created", "login.succeeded"]
    with Session.begin() as session:
        (failure,) = [row for row in audit.page(session) if row.action == "login.failed"]
    assert (failure.actor, failure.subject, failure.new) == ("anonymous", "ann@example.org", {"address": "127.0.0.1"})
    assert "wrong" not in repr(vars(failure))


def test_a_disabled_person_is_out_at_the_next_click(stranger: Browser, Session: Sessions) -> None:
    stranger.log_in("ann@example.org")
    with Session.begin() as session:
        people.disable(session, "ann@example.org")
    assert stranger.get("/queue").status_code == 303
    assert stranger.log_in("ann@example.org").status_code == 401


def test_another_password_ends_older_sessions(stranger: Browser, Session: Sessions) -> None:
    stranger.log_in("ann@example.org")
    with Session.begin() as session:
        people.set_password(session, "ann@example.org", "another good passphrase")
    assert stranger.get("/queue").status_code == 303


def test_a_session_ends_after_its_hours(stranger: Browser, Session: Sessions) -> None:
    stranger.log_in("ann@example.org")
    with Session.begin() as session:
        (row,) = logins.every(session)
        assert 11.9 * 3600 < (row.ends_at - row.began_at).total_seconds() <= 12 * 3600
        row.ends_at = row.began_at
    assert stranger.get("/queue").status_code == 303


def test_nothing_planted_before_the_login_survives_it(stranger: Browser) -> None:
    before = stranger.token()
    with stranger.client.session_transaction() as planted:
        planted["planted"] = "yes"
    stranger.log_in("ann@example.org")
    with stranger.client.session_transaction() as kept:
        assert "planted" not in kept
    assert stranger.client.post("/logout", data={"csrf_token": before}).status_code == 400


def test_guessing_one_account_is_slowed_down(app: APIFlask, settings: Settings) -> None:
    """From an address of its own each time, so that only the account's count can be what stops it."""
    codes = []
    for number in range(4):
        browser = Browser(app.test_client())
        form = {"csrf_token": browser.token(), "email": "ANN@example.org", "password": "guess"}
        codes.append(browser.client.post("/login", data=form, environ_base={"REMOTE_ADDR": f"10.0.0.{number}"}))
    assert [answer.status_code for answer in codes] == [401] * 3 + [429]
    assert "Too many attempts" in codes[-1].text
    assert int(codes[-1].headers["Retry-After"]) > 0


def test_one_address_that_guesses_many_accounts_is_slowed_down(stranger: Browser) -> None:
    codes = [stranger.log_in(f"person{number}@example.org", "guess").status_code for number in range(4)]
    assert codes == [401] * 3 + [429]


def test_logging_in_often_is_no_guessing(stranger: Browser) -> None:
    for _ in range(4):
        assert stranger.log_in("ann@example.org").status_code == 303
        stranger.post("/logout")


def test_logins_work_and_are_counted_while_redis_is_away(settings: Settings, Session: Sessions, blobs: Blobs) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    app = application.create(away, session_factory=Session, blobs=blobs, queue=queue.application(away.redis_url))
    browser = Browser(app.test_client())
    assert browser.log_in("ann@example.org").status_code == 303
    browser.post("/logout")
    assert [browser.log_in("ann@example.org", "guess").status_code for _ in range(4)] == [401] * 3 + [429]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/queue\r\nX-Header: 1",
        "evil",
        "",
        "///evil.example",
    ],
)
def test_a_login_never_leads_elsewhere(stranger: Browser, elsewhere: str) -> None:
    assert stranger.log_in("ann@example.org", next=elsewhere).headers["Location"] == "/queue"


def test_a_login_leads_back_to_where_one_was_going(stranger: Browser) -> None:
    sent = stranger.get("/queue?band=fake&sort=age").headers["Location"]
    form = stranger.get(sent).text
    assert 'name="next" value="/queue?band=fake&amp;sort=age"' in form
    assert (
        stranger.log_in("ann@example.org", next="/queue?band=fake&sort=age").headers["Location"]
        == "/queue?band=fake&sort=age"
    )


def test_only_a_path_on_this_site_counts_as_one(app: Flask) -> None:
    with app.test_request_context():
        assert local_path("/flags/flg_1?x=1#top") == "/flags/flg_1?x=1#top"
        assert local_path("/") == "/"
        assert local_path(None) == "/queue"


@pytest.mark.parametrize(
    ("public_url", "secure"), [("https://unmask.example", True), ("http://localhost:8000", False), (None, False)]
)
def test_the_cookie_is_for_this_site_alone(
    app: APIFlask, settings: Settings, public_url: str | None, secure: bool
) -> None:
    given: Collaborators = app.extensions["unmask"]
    other = application.create(
        settings.model_copy(update={"public_url": public_url}),
        session_factory=given.sessions,
        blobs=given.blobs,
        queue=given.queue,
    )
    cookie = other.test_client().get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is secure


def test_a_form_from_elsewhere_is_refused(stranger: Browser) -> None:
    stranger.log_in("ann@example.org")
    for path in ("/logout", "/queue/next", "/look", "/try"):
        answer = stranger.client.post(path)
        assert answer.status_code == 400, path
        assert "did not come from this site" in answer.text
    assert stranger.get("/queue").status_code == 200


def test_logging_out_takes_more_than_a_link(stranger: Browser) -> None:
    stranger.log_in("ann@example.org")
    assert stranger.get("/logout").status_code == 405


def test_a_login_form_is_small(stranger: Browser) -> None:
    form = {"csrf_token": stranger.token(), "email": "ann@example.org", "password": "x" * 70_000}
    assert stranger.client.post("/login", data=form).status_code == 413
