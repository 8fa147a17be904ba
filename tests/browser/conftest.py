"""The dashboard in Debian's Chromium: a real server on a free port, and a page whose every complaint fails its test.

With UNMASK_SCREENSHOTS naming a folder, what a test shows along the way is kept there.
"""

import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker
from werkzeug.serving import make_server

from api import application
from moderation import people, platforms, queue
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests import flagged
from tests.conftest import PASSWORD

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FACE = [170, 60, 110, 130]  # of skimage's astronaut


class Desk(NamedTuple):
    """A page of a browser in front of a running dashboard."""

    page: Page
    address: str
    complaints: list[str]

    def log_in(self, email: str = "mo@example.org") -> None:
        self.page.goto(f"{self.address}/login")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/queue")

    def arrive(self, path: str) -> None:
        """Waits until ``path`` is there, with its pictures and scripts."""
        self.page.wait_for_url(f"**{path}")
        self.page.wait_for_load_state("networkidle")

    def keep(self, name: str) -> None:
        folder = os.environ.get("UNMASK_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


# Of a module, not of the run: while Playwright lives, this thread has an event loop, and no other test can start one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def claim_seconds() -> float:
    return 300


@pytest.fixture
def address(settings: Settings, Session: sessionmaker[OrmSession], blobs: Blobs, claim_seconds: float) -> Iterator[str]:
    orders = queue.application(settings.redis_url)
    app = application.create(
        settings.model_copy(update={"claim_seconds": claim_seconds}), session_factory=Session, blobs=blobs, queue=orders
    )
    with Session.begin() as session:
        people.create(session, "mo@example.org", "moderator", PASSWORD)
        people.create(session, "ben@example.org", "moderator", PASSWORD)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    orders.close()


@pytest.fixture
def sit_down(chromium: Browser, address: str) -> Iterator[Callable[..., Desk]]:
    """Opens a browser: ``sit_down(java_script_enabled=False)``. No page may complain of anything."""
    desks: list[Desk] = []

    def _sit_down(**options: object) -> Desk:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})  # type: ignore[arg-type]
        desk = Desk(context.new_page(), address, [])
        desk.page.on("console", lambda said: said.type in ("error", "warning") and desk.complaints.append(said.text))
        desk.page.on("pageerror", lambda error: desk.complaints.append(str(error)))
        desks.append(desk)
        return desk

    yield _sit_down
    for desk in desks:
        desk.page.context.close()
    assert [complaint for desk in desks for complaint in desk.complaints] == []


@pytest.fixture
def astronaut() -> bytes:
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture
def waiting(Session: sessionmaker[OrmSession], blobs: Blobs, astronaut: bytes) -> list[str]:
    """Three flags of one portrait, kept at three qualities; the highest score first."""
    with Session.begin() as session:
        platform_id = platforms.create(session, "Chirper").platform.id
    portrait = Image.open(io.BytesIO(astronaut))
    ids = []
    for number, score in enumerate((0.93, 0.74, 0.58)):
        file = io.BytesIO()
        portrait.save(file, "JPEG", quality=90 - number)
        quality = {"size_px": 130, "sharpness": 214.37, "confidence": 0.982}
        ids.append(
            flagged.flag(
                Session,
                blobs,
                platform_id,
                file.getvalue(),
                score=score,
                band="fake" if score > 0.9 else "review",
                reasons=["manipulated_face"],
                faces=[{"box": FACE, "score": score, "quality": quality, "frame": 0}],
                external_id=f"post-{number}",
                context={"author": "@eileen", "reports": 3},
            )
        )
    return ids


def flag_of(page: Page) -> str:
    """Returns the id of the flag that a page shows."""
    found = re.search(r"/flags/(flg_\w+)", page.url)
    assert found, page.url
    return found[1]
