"""A full temporary disk: fetches wait for room, and one that never fits is not downloaded for ever."""

import errno
import io
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from moderation.errors import NotFetched, WorldDown
from tests.worker.pages import raw, saying, serving
from tests.worker.test_fetching import BODY, dock, expect, get, make_due, run  # noqa: F401 - fixtures among them
from worker import rooms

TOTAL = 60_000


@pytest.fixture
def disk(monkeypatch):
    """A temporary disk of `TOTAL` bytes, ``disk["taken"]`` of them by others."""
    state = {"taken": 0, "written": 0}

    def statvfs(_path):
        return SimpleNamespace(f_blocks=TOTAL, f_frsize=1, f_bavail=max(0, TOTAL - state["taken"]))

    class Limited(io.FileIO):
        size = 0

        def write(self, piece):
            if state["taken"] + self.size + len(piece) > TOTAL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.size += len(piece)
            state["written"] += len(piece)
            return super().write(piece)

    def temporary(**_options):
        number, name = tempfile.mkstemp()
        Path(name).unlink()
        return Limited(number, "w+b")

    monkeypatch.setattr(rooms.os, "statvfs", statvfs)
    monkeypatch.setattr(rooms.tempfile, "TemporaryFile", temporary)
    return state


def large(dock, most=200_000):  # noqa: F811
    from dataclasses import replace

    return replace(dock, max_bytes=most)


def test_what_fits_is_fetched_as_ever(Session, dock, expect, disk):  # noqa: F811
    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(dock) == {"fetched": 1}
    assert disk["written"] == len(BODY)


def test_an_announced_body_that_never_fits_fails_at_once_and_is_not_downloaded(Session, dock, expect, disk):  # noqa: F811
    with serving({"/a.jpg": saying(200, bytes(TOTAL + 1))}) as (port, asked):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(large(dock)) == {"failed": 1}
    assert (get(Session, row).failure_slug, len(asked), disk["written"]) == ("no-room", 1, 0)


def test_a_body_that_fills_the_disk_by_itself_is_given_up(Session, dock, expect, disk):  # noqa: F811
    body = raw(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(TOTAL + 70_000))  # of a length that nobody announced
    with serving({"/a.jpg": body}) as (port, asked):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        for outcome in ("retried", "failed"):
            assert run(large(dock)) == {outcome: 1}
            make_due(Session)
        assert run(large(dock)) == {}
    assert (get(Session, row).failure_slug, len(asked)) == ("no-room", 2)


@pytest.mark.parametrize("announced", [True, False])
def test_a_disk_that_others_fill_costs_no_attempt(Session, dock, expect, disk, announced):  # noqa: F811
    body = bytes(20_000)
    page = saying(200, body) if announced else raw(b"HTTP/1.1 200 OK\r\n\r\n" + body)
    disk["taken"] = TOTAL - 10_000
    with serving({"/a.jpg": page}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        for _ in range(3):
            assert run(dock) == {"down": 1}
            make_due(Session)
        found = get(Session, row)
        assert (found.state, found.attempts) == ("fetching", 0)
        disk["taken"] = 0
        assert run(dock) == {"failed": 1}  # zeros are no picture
    assert get(Session, row).failure_slug != "no-room"


def test_no_place_for_temporary_files_is_the_world_being_down(Session, dock, expect, monkeypatch):  # noqa: F811
    def nowhere(**_options):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory")

    monkeypatch.setattr(rooms.tempfile, "TemporaryFile", nowhere)
    row = expect("http://127.0.0.1:1/a.jpg")
    assert run(dock) == {"down": 1}
    assert get(Session, row).attempts == 0


@pytest.mark.parametrize(
    ("code", "kept", "raised"),
    [
        (errno.ENOSPC, TOTAL, NotFetched),
        (errno.EDQUOT, TOTAL * 0.6, NotFetched),
        (errno.EFBIG, TOTAL, NotFetched),
        (errno.ENOSPC, 100, WorldDown),
        (errno.EIO, TOTAL, WorldDown),
        (errno.EROFS, 0, WorldDown),
    ],
)
def test_what_a_failed_write_means(disk, code, kept, raised):
    with rooms.landing() as file:
        file.asked = int(kept)
        with pytest.raises(raised), file._room():
            raise OSError(code, os.strerror(code))


def test_a_failure_that_only_the_last_flush_sees_counts_too(disk):
    disk["taken"] = TOTAL
    with rooms.landing() as file:
        file.write(b"few")  # still in the buffer
        with pytest.raises(WorldDown):
            file.seek(0)


def test_real_files_are_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with rooms.landing() as file:
        file.write(b"bytes")
        file.seek(0)
        assert file.read() == b"bytes"
        file.admit(5)
    assert list(tmp_path.iterdir()) == []
