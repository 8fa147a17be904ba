"""Sources in a real browser: a dry run with and without scripts, in both colour schemes."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from moderation import people, platforms, sources
from tests.browser.conftest import Desk
from tests.conftest import PASSWORD
from tests.moderation.sources import conftest as senders

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("scheme", "scripts", "width"), [("light", True, 1280), ("dark", False, 1280), ("light", False, 390)]
)
def test_a_lead_tries_a_message_on_paper(
    sit_down: Callable[..., Desk], Session: sessionmaker[OrmSession], scheme: str, scripts: bool, width: int
) -> None:
    with Session.begin() as session:
        people.create(session, "lea@example.org", "lead", PASSWORD)
        owner = platforms.create(session, "Chirper").platform.id
        toot = sources.create(session, owner, "mastodon", secret=senders.SECRET).id
        bucket = sources.create(session, owner, "s3", options={"prefix": "in/"}).id
        raw = senders.body("generic_one")
        own = sources.create(session, owner, "generic", secret=senders.WHSEC)
        sources.receive(session, own, senders.generic(raw), raw)
        sources.disable(session, own.id)
    desk = sit_down(color_scheme=scheme, java_script_enabled=scripts, viewport={"width": width, "height": 1000})
    desk.log_in("lea@example.org")
    page, raw = desk.page, senders.body("mastodon_report_created")
    page.goto(f"{desk.address}/sources")
    expect(page.get_by_role("row", name=bucket)).to_contain_text("Takes nothing until it has bucket")
    page.get_by_label("Source").select_option(toot)
    page.get_by_label("Headers").fill(f"Content-Type: application/json\nX-Hub-Signature: {senders.hub(raw)}")
    page.get_by_label("Payload").fill(raw.decode())
    desk.keep(f"sources-{scheme}-{width}-form")
    page.get_by_role("button", name="See what would happen").click()
    result = page.locator(".result")
    expect(result).to_contain_text("Verified X-Hub-Signature: HMAC-SHA256 of the body")
    expect(result).to_contain_text("report.created 77 2026-11-21T08:09:59.000Z")
    expect(result.get_by_role("row")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    desk.keep(f"sources-{scheme}-{width}-result")
    page.get_by_label("Payload").fill(raw.decode() + " x")
    page.get_by_role("button", name="See what would happen").click()
    expect(result).to_contain_text("Not verified")
    desk.keep(f"sources-{scheme}-{width}-refused")
