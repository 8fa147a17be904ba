"""The dashboard's keys on every layout: what a layout prints counts, and where it prints no Latin letter, the place."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Desk

# What a press says of itself: key, code, modifiers; and which key of ours was meant.
PRESSES = [
    # as ever
    ("f", "KeyF", "", "f"),
    ("?", "Slash", "shift", "?"),
    ("Enter", "Enter", "", "Enter"),
    ("Escape", "Escape", "", "Escape"),
    ("F", "KeyF", "shift", "F"),
    # Caps Lock
    ("F", "KeyF", "caps", "f"),
    ("f", "KeyF", "caps shift", "f"),
    ("А", "KeyF", "caps", "f"),
    # Latin layouts: the letter counts, not the place
    ("u", "KeyF", "", "u"),  # Dvorak
    ("f", "KeyY", "", "f"),
    (";", "KeyZ", "", ";"),
    ("'", "KeyQ", "", "'"),
    (".", "KeyE", "", "."),
    ("q", "KeyA", "", "q"),  # AZERTY
    ("z", "KeyW", "", "z"),
    (",", "KeyM", "", ","),
    ("z", "KeyY", "", "z"),  # QWERTZ
    ("ı", "KeyR", "", "ı"),  # Turkish F
    ("ğ", "KeyE", "", "ğ"),
    ("ß", "Minus", "", "ß"),
    ("€", "KeyE", "altgr", "€"),
    ("ł", "KeyL", "altgr", "ł"),
    # Cyrillic
    ("ы", "KeyS", "", "s"),
    ("а", "KeyF", "", "f"),
    ("к", "KeyR", "", "r"),
    ("г", "KeyU", "", "u"),
    ("я", "KeyZ", "", "z"),
    ("й", "KeyQ", "", "q"),
    ("Ф", "KeyA", "shift", "Ф"),
    ("х", "BracketLeft", "", "х"),
    # Greek
    ("φ", "KeyF", "", "f"),
    ("ρ", "KeyR", "", "r"),
    (";", "KeyQ", "", "q"),  # a sign, and the letter before it was Greek
    ("ς", "KeyW", "", "w"),
    # Arabic and Persian
    ("ب", "KeyF", "", "f"),
    ("لا", "KeyB", "", "b"),
    ("ق", "KeyR", "", "r"),
    ("؟", "Slash", "shift", "?"),
    # Hebrew, Hindi, Thai, Georgian, Armenian, Korean, Japanese
    ("ר", "KeyR", "", "r"),
    ("/", "KeyQ", "", "q"),
    ("ि", "KeyF", "", "f"),
    ("ด", "KeyF", "", "f"),
    ("ფ", "KeyF", "", "f"),
    ("ֆ", "KeyF", "", "f"),
    ("ㄹ", "KeyF", "", "f"),
    ("は", "KeyF", "", "f"),
    # input methods
    ("ｆ", "KeyF", "", "f"),
    ("？", "Slash", "shift", "?"),
    ("Process", "KeyF", "", "f"),
    ("Unidentified", "KeyF", "", "f"),
    ("Unidentified", "", "", "Unidentified"),
    # after a Latin letter a sign is a sign again
    ("f", "KeyF", "", "f"),
    (";", "KeyQ", "", ";"),
]
PRESS = """([key, code, modifiers]) => new KeyboardEvent("keydown", {
  key, code, bubbles: true, cancelable: true, shiftKey: modifiers.includes("shift"),
  modifierCapsLock: modifiers.includes("caps"), modifierAltGraph: modifiers.includes("altgr"),
})"""

SitDown = Callable[..., Desk]


def test_each_layouts_press_means_the_key_that_somebody_meant(sit_down: SitDown, waiting: list[str]) -> None:
    desk = sit_down()
    desk.log_in()
    page = desk.page
    meant = page.evaluate(
        f"""async (presses) => {{
          const {{ letter }} = await import("/dashboard/static/keys.js");
          const press = {PRESS};
          return presses.map((told) => letter(press(told)));
        }}""",
        [press[:3] for press in PRESSES],
    )
    told = [(*press[:3], found) for press, found in zip(PRESSES, meant, strict=True)]
    assert told == PRESSES


@pytest.mark.parametrize(
    ("start", "unsure", "skip"),
    [("ы", "г", "ч"), ("S", "U", "X"), ("س", "ع", "ء"), ("σ", "θ", "χ")],
    ids=["Cyrillic", "Caps Lock", "Arabic", "Greek"],
)
def test_a_moderator_works_on_another_layout(
    sit_down: SitDown, waiting: list[str], start: str, unsure: str, skip: str
) -> None:
    desk = sit_down()
    desk.log_in()
    page = desk.page

    def press(key: str, code: str) -> None:
        page.evaluate(
            f"(told) => document.body.dispatchEvent(({PRESS})(told))", [key, code, "caps" if key.isupper() else ""]
        )

    press(start, "KeyS")
    desk.arrive(f"/flags/{waiting[0]}")
    press(skip, "KeyX")
    desk.arrive(f"/flags/{waiting[1]}")
    press(unsure, "KeyU")
    desk.arrive(f"/flags/{waiting[0]}")  # which was skipped, and is the best again
    expect(page.get_by_role("status")).to_contain_text("Left to a lead")
    press({"ы": "й", "S": "Q", "س": "ض", "σ": ";"}[start], "KeyQ")
    desk.arrive("/queue")
