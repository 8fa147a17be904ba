"""A moderator's day in a real browser: by keyboard, by hand without scripts, and when somebody else was faster."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select, update
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from moderation import audit, flags
from moderation.tables import Flag, Submission
from tests import flagged
from tests.browser.conftest import FACE, Desk, flag_of

pytestmark = pytest.mark.browser
SitDown = Callable[..., Desk]
Sessions = sessionmaker[OrmSession]


def answers(session_factory: Sessions, flag_id: str) -> str | None:
    with session_factory.begin() as session:
        standing = flags.standing(session, flag_id)
        return standing and standing.answer


def test_a_moderator_works_by_keyboard(sit_down: SitDown, waiting: list[str], Session: Sessions) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    desk.keep("queue")
    page.keyboard.press("s")
    desk.arrive(f"/flags/{waiting[0]}")
    expect(page.locator("[data-clock]")).to_be_visible()
    desk.keep("flag")

    page.keyboard.press("f")
    desk.arrive(f"/flags/{waiting[1]}")
    expect(page.get_by_role("status")).to_contain_text("Marked as fake")
    expect(page.locator("[data-clock]")).to_be_visible()
    assert answers(Session, waiting[0]) == "fake"
    desk.keep("next-follows")

    page.keyboard.press("z")
    desk.arrive(f"/flags/{waiting[0]}")
    expect(page.get_by_role("status")).to_contain_text("Taken back")
    assert answers(Session, waiting[0]) is None
    desk.keep("undone")

    page.keyboard.press("r")
    desk.arrive(f"/flags/{waiting[1]}")
    assert answers(Session, waiting[0]) == "real"
    with Session.begin() as session:
        steps = [row.action for row in audit.page(session, waiting[0])][::-1]
    assert steps == ["flag.claimed", "flag.decided", "decision.undone", "flag.claimed", "flag.decided"]


def test_the_boxes_lie_on_the_faces(sit_down: SitDown, waiting: list[str]) -> None:
    desk = sit_down()
    desk.log_in()
    desk.page.goto(f"{desk.address}/flags/{waiting[0]}")
    image, box = desk.page.locator(".picture img").bounding_box(), desk.page.locator(".face > rect").bounding_box()
    assert image is not None
    assert box is not None
    scale = image["width"] / 512
    assert box["x"] - image["x"] == pytest.approx(FACE[0] * scale, abs=3)
    assert box["y"] - image["y"] == pytest.approx(FACE[1] * scale, abs=3)
    assert box["width"] == pytest.approx(FACE[2] * scale, abs=6)
    assert box["height"] == pytest.approx(FACE[3] * scale, abs=6)


def test_switches_are_kept_from_page_to_page(sit_down: SitDown, waiting: list[str]) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    page.goto(f"{desk.address}/flags/{waiting[0]}")
    overlay = page.locator(".overlay")
    expect(overlay).to_be_visible()
    for key in "eg":
        page.keyboard.press(key)
    expect(overlay).to_be_hidden()
    page.reload()
    expect(overlay).to_be_hidden()
    expect(page.locator("html")).to_have_class("veil grey js")
    page.keyboard.press("b")
    expect(page.locator("html")).to_have_class("veil grey js blur")


def test_keys_rest_while_somebody_types(sit_down: SitDown, waiting: list[str], Session: Sessions) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    page.keyboard.press("s")
    desk.arrive(f"/flags/{waiting[0]}")
    page.keyboard.press("n")
    note = page.get_by_label("Note")
    expect(note).to_be_focused()
    page.keyboard.type("four ears, fur, rust")
    assert flag_of(page) == waiting[0]
    expect(note).to_have_value("four ears, fur, rust")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+f")
    page.keyboard.press("f")
    desk.arrive(f"/flags/{waiting[1]}")
    with Session.begin() as session:
        standing = flags.standing(session, waiting[0])
        assert standing is not None
        assert standing.note == "four ears, fur, rust"


def test_the_list_is_walked_with_j_and_k(sit_down: SitDown, waiting: list[str]) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator(f'[data-row][href="/flags/{waiting[0]}"]')).to_be_focused()
    page.keyboard.press("Enter")
    desk.arrive(f"/flags/{waiting[0]}")
    page.keyboard.press("j")
    desk.arrive(f"/flags/{waiting[1]}")
    page.keyboard.press("k")
    desk.arrive(f"/flags/{waiting[0]}")
    page.keyboard.press("q")
    desk.arrive("/queue")


def test_all_keys_are_listed(sit_down: SitDown, waiting: list[str]) -> None:
    desk = sit_down()
    desk.log_in()
    desk.page.keyboard.press("?")
    keys = desk.page.get_by_role("dialog")
    expect(keys).to_contain_text("undo the last answer")
    desk.keep("keys")
    desk.page.keyboard.press("s")
    assert desk.page.url.endswith("/queue")
    desk.page.keyboard.press("Escape")
    expect(keys).to_be_hidden()


class TestALostClaim:
    @pytest.fixture
    def claim_seconds(self) -> float:
        return 3  # so that a heartbeat comes every second

    def test_is_told_at_the_next_heartbeat_and_keeps_the_note(
        self, sit_down: SitDown, waiting: list[str], Session: Sessions
    ) -> None:
        desk = sit_down()
        page = desk.page
        desk.log_in()
        page.keyboard.press("s")
        desk.arrive(f"/flags/{waiting[0]}")
        page.get_by_label("Note").fill("the earring has no other")
        with Session.begin() as session:
            session.execute(update(Flag).where(Flag.id == waiting[0]).values(claimed_by=None, claim_expires_at=None))
        banner = page.locator("#lost")
        expect(banner).to_contain_text("Your note is kept", timeout=20_000)
        expect(page.get_by_role("button", name="Fake")).to_be_disabled()
        desk.keep("claim-lost")
        desk.complaints[:] = [
            said for said in desk.complaints if "409" not in said
        ]  # the browser names the refused heartbeat
        page.reload()
        expect(page.get_by_label("Note")).to_have_value("the earring has no other")
        page.keyboard.press("c")
        expect(page.locator("[data-clock]")).to_be_visible()
        expect(page.get_by_label("Note")).to_have_value("the earring has no other")

    def test_does_not_come_while_the_page_is_open(
        self, sit_down: SitDown, waiting: list[str], Session: Sessions
    ) -> None:
        desk = sit_down()
        desk.log_in()
        desk.page.keyboard.press("s")
        desk.arrive(f"/flags/{waiting[0]}")
        for _ in range(5):
            with desk.page.expect_response("**/heartbeat") as beat:
                pass
            assert beat.value.status == 200
        with Session.begin() as session:
            assert flags.get(session, waiting[0]).claimed_by is not None


def test_somebody_elses_flag_can_be_read_but_not_answered(sit_down: SitDown, waiting: list[str]) -> None:
    mo, ben = sit_down(), sit_down()
    mo.log_in()
    mo.page.keyboard.press("s")
    mo.arrive(f"/flags/{waiting[0]}")
    ben.log_in("ben@example.org")
    ben.page.goto(f"{ben.address}/flags/{waiting[0]}")
    expect(ben.page.get_by_role("region", name="Your answer").get_by_text("mo@example.org")).to_be_visible()
    expect(ben.page.get_by_role("button", name="Fake")).to_have_count(0)
    ben.keep("held-by-another")
    ben.page.keyboard.press("f")
    ben.page.keyboard.press("s")
    ben.arrive(f"/flags/{waiting[1]}")


def test_everything_works_without_javascript(sit_down: SitDown, waiting: list[str], Session: Sessions) -> None:
    desk = sit_down(java_script_enabled=False)
    page = desk.page
    desk.log_in()
    desk.keep("queue-without-javascript")
    page.get_by_role("button", name="Start reviewing").click()
    desk.arrive(f"/flags/{waiting[0]}")
    page.get_by_role("button", name="Grey").click()
    expect(page.locator("html")).to_have_class("veil grey boxes ")
    page.get_by_label("Note").fill("by hand")
    page.get_by_role("button", name="Fake").click()
    desk.arrive(f"/flags/{waiting[1]}")
    desk.keep("flag-without-javascript")
    page.get_by_role("button", name="Undo").click()
    desk.arrive(f"/flags/{waiting[0]}")
    page.get_by_role("button", name="Unsure").click()
    desk.arrive(f"/flags/{waiting[1]}")
    assert answers(Session, waiting[0]) == "unsure"
    page.get_by_role("link", name="Queue", exact=True).first.click()
    page.get_by_label("Sort").select_option("age")
    page.get_by_role("button", name="Apply").click()
    desk.arrive("/queue?**")
    page.get_by_role("button", name="Log out").click()
    desk.arrive("/login")


def test_an_image_is_tried_with_its_own_picture_under_the_boxes(
    sit_down: SitDown, astronaut: bytes, Session: Sessions
) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Try a file").click()
    page.locator("input[type=file]").set_input_files({"name": "me.jpg", "mimeType": "image/jpeg", "buffer": astronaut})
    expect(page.locator("#progress")).to_contain_text("In the line")
    with Session.begin() as session:
        face = {"box": FACE, "score": 0.08, "quality": {"sharpness": 214.37}, "frame": 0}
        flagged.record(session, flagged.finding((512, 512), 0.08, "clear", faces=[face]))
    expect(page.locator(".score")).to_contain_text("0.08")
    page.wait_for_function("document.querySelector('.picture img')?.naturalWidth === 512")
    desk.keep("tried")
    with Session.begin() as session:
        assert session.scalars(select(Submission)).all() == []
    page.locator("input[type=file]").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"only words"}
    )
    expect(page.get_by_role("alert")).to_contain_text("unsupported-media-type")
    desk.complaints[:] = [said for said in desk.complaints if "415" not in said]  # the browser names the refused file


def test_a_file_that_is_chosen_before_the_script_has_come_is_sent_once_it_has(
    sit_down: SitDown, astronaut: bytes
) -> None:
    desk = sit_down()
    page = desk.page
    desk.log_in()
    chosen = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": astronaut}

    def choose(script: Route) -> None:
        page.locator("input[type=file]").set_input_files(chosen)
        script.continue_()

    page.route("**/trial.js*", choose)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Try a file").click()
    expect(page.locator("#progress")).to_contain_text("In the line")


def test_an_image_is_tried_without_javascript(sit_down: SitDown, astronaut: bytes, Session: Sessions) -> None:
    desk = sit_down(java_script_enabled=False)
    page = desk.page
    desk.log_in()
    page.goto(f"{desk.address}/try")
    page.locator("input[type=file]").set_input_files({"name": "me.jpg", "mimeType": "image/jpeg", "buffer": astronaut})
    page.get_by_role("button", name="Judge it").click()
    desk.arrive("/try/sub_*")
    with Session.begin() as session:
        flagged.record(session, flagged.finding((512, 512), 0.97))
    expect(page.locator(".score")).to_contain_text("0.97")
    desk.keep("tried-without-javascript")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(sit_down: SitDown, waiting: list[str], width: int, scheme: str) -> None:
    desk = sit_down(viewport={"width": width, "height": 860}, color_scheme=scheme)
    desk.log_in()
    for name, path in (("queue", "/queue"), ("flag", f"/flags/{waiting[0]}"), ("try", "/try")):
        desk.page.goto(f"{desk.address}{path}")
        desk.page.wait_for_load_state("networkidle")
        desk.keep(f"{name}-{width}-{scheme}")
        assert _overflow(desk.page) <= 0, path


def _overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
