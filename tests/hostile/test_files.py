"""Each hostile file comes to what the table says; what was accepted ends, and a sound file is scored afterwards."""

import pytest

from tests.api.conftest import slug
from tests.conftest import jpeg
from tests.hostile.files import ACCEPTED, CASES, SCORED, SCRIPT

ROUND = 12  # files that are sent together: they share a batch with each other and with a sound one


def rounds():
    names = list(CASES)
    return [names[begin : begin + ROUND] for begin in range(0, len(names), ROUND)]


def came_to(caller, answer):
    """What became of an accepted file: its state, or the slug of its failure."""
    found = caller.get(answer.get_json()["links"]["self"]).get_json()
    return found["failure"]["slug"] if found["failure"] else found["state"]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow says so, and goes on
@pytest.mark.parametrize("names", rounds(), ids=lambda names: names[0])
def test_hostile_files_come_to_what_is_expected_and_harm_no_neighbour(caller, work, names):
    answers = {name: caller.send(CASES[name].body) for name in names}
    sound = caller.send(jpeg("green"))
    doors = {name: (a.status_code, "" if a.status_code == 202 else slug(a)) for name, a in answers.items()}
    assert doors == {name: CASES[name].door for name in names}
    report = work()
    assert not report.world_is_down
    ends = {name: came_to(caller, a) for name, a in answers.items() if doors[name] == ACCEPTED}
    assert ends == {name: CASES[name].end for name in ends}
    assert came_to(caller, sound) == SCORED


def test_there_are_as_many_as_were_promised():
    assert len(CASES) >= 60


def test_what_a_file_says_of_itself_is_never_said_as_markup(caller, work):
    sent = caller.send(CASES["EXIF with a script"].body, name=f"{SCRIPT}.jpg")
    work()
    assert SCRIPT not in caller.get(sent.get_json()["links"]["self"]).get_data(as_text=True)


NAMES = [
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/shadow", "a/b/c.jpg", "C:\\a.jpg", "con.jpg", ".", "..",
    "a\x00.jpg", "a\x1b[2J.jpg", "a\u202egpj.exe", "x" * 5_000, "'; DROP TABLE media; --", "$(reboot).jpg", "%00%2f..",
    "{{7*7}}.jpg", "photo.php", "photo.svg", "\U0001f600.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_name_goes_anywhere(caller, blobs, name):
    answer = caller.send(name=name)
    assert answer.status_code == 202
    kept = [path.relative_to(blobs.root) for path in blobs.root.rglob("*") if path.is_file()]
    digest = answer.get_json()["sha256"]
    assert [str(path) for path in kept] == [f"media/{digest[:2]}/{digest[2:4]}/{digest}"]
    assert name not in answer.get_data(as_text=True) or name in (".", "..")
