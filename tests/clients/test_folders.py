"""A folder at a time: all of it arrives once, whatever is in it, and it ends early only where nothing would arrive."""

import asyncio
import os
import sys

import httpx
import pytest

import unmask_client
from tests.conftest import jpeg
from unmask_client import AsyncClient, Client, Patience

COLOURS = ("red", "green", "blue", "white", "black", "navy")


@pytest.fixture
def folder(tmp_path):
    """Six pictures, two of them below, and what is not to be sent or not to be taken."""
    root = tmp_path / "pictures"
    (root / "below" / "ü").mkdir(parents=True)
    for number, colour in enumerate(COLOURS):
        place = root / "below" / "ü" if number > 3 else root
        (place / f"{colour}.jpg").write_bytes(jpeg(colour))
    (root / "notes.txt").write_text("words")
    (root / "empty.png").write_bytes(b"")
    (root / "gone.jpg").symlink_to(root / "nowhere")
    (root / ".hidden.jpg").write_bytes(jpeg("pink"))
    (root / ".git").mkdir()
    (root / ".git" / "object.jpg").write_bytes(jpeg("pink"))
    os.mkfifo(root / "pipe")
    return root


def outcomes(sent, root):
    return {
        each.path.relative_to(root).as_posix(): each.error.slug if each.error else each.accepted.state for each in sent
    }


WANTED = {
    "red.jpg": "waiting",
    "green.jpg": "waiting",
    "blue.jpg": "waiting",
    "white.jpg": "waiting",
    "below/ü/black.jpg": "waiting",
    "below/ü/navy.jpg": "waiting",
    "notes.txt": "unsupported-media-type",
    "empty.png": "empty-file",
}


def asynchronously(address, key, folder, **options):
    async def run():
        async with AsyncClient(address, key) as client:
            return [sent async for sent in client.submit_folder(folder, **options)]

    return asyncio.run(run())


def test_a_folder_arrives_once_however_often_it_is_sent(client, served, folder):
    first = list(client.submit_folder(folder, priority="bulk", progress=False))
    assert outcomes(first, folder) == WANTED
    again = list(client.submit_folder(str(folder), priority="bulk", concurrency=1, progress=False))
    also = asynchronously(served.address, served.caller.api_key, folder, priority="bulk", progress=False)
    ids = {sent.path: sent.accepted.id for sent in first if sent.accepted}
    for repeated in (again, also):
        assert {sent.path: sent.accepted.id for sent in repeated if sent.accepted} == ids
        assert all(sent.accepted.replayed for sent in repeated if sent.accepted)
    assert {found.external_id for found in client.list()} == {
        name for name, state in WANTED.items() if state == "waiting"
    }
    assert {found.priority for found in client.list()} == {"bulk"}


def test_what_changed_meanwhile_is_sent_as_it_is_now(client, folder):
    first = {sent.path.name: sent for sent in client.submit_folder(folder, progress=False)}
    (folder / "red.jpg").write_bytes(jpeg("pink"))
    again = {sent.path.name: sent for sent in client.submit_folder(folder, progress=False)}
    assert not again["red.jpg"].accepted.replayed
    assert again["red.jpg"].accepted.id != first["red.jpg"].accepted.id
    assert again["blue.jpg"].accepted.replayed


def test_twins_in_one_folder_are_two_submissions(client, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    assert len({sent.accepted.id for sent in client.submit_folder(tmp_path, progress=False)}) == 2


def test_a_file_that_cannot_be_read_stops_no_other(client, folder, monkeypatch):
    paths = unmask_client.folders.files(folder)
    monkeypatch.setattr("unmask_client.folders.files", lambda _: [*paths, folder / "vanished.jpg"])
    sent = {each.path.name: each for each in client.submit_folder(folder, progress=False)}
    assert isinstance(sent["vanished.jpg"].error, FileNotFoundError)
    assert sent["red.jpg"].accepted
    assert len(sent) == len(WANTED) + 1


def test_a_key_that_opens_nothing_ends_it_at_once(served, folder):
    with Client(served.address, "umk_wrong") as stranger:
        arriving = stranger.submit_folder(folder, progress=False)
        with pytest.raises(unmask_client.Unauthorized):
            next(arriving)
    with pytest.raises(unmask_client.Unauthorized):
        asynchronously(served.address, "umk_wrong", folder, progress=False)


def test_a_server_that_is_away_ends_it_after_a_few_files(folder):
    transport = httpx.MockTransport(lambda _: httpx.Response(503))
    with Client("https://away.example", "umk_1", patience=Patience(seconds=0), transport=transport) as client:
        seen = []
        with pytest.raises(unmask_client.Unavailable):
            seen.extend(client.submit_folder(folder, concurrency=2, progress=False))
        arriving = client.submit_folder(folder, concurrency=2, progress=False)
        assert [isinstance(next(arriving).error, unmask_client.Unavailable) for _ in range(2)] == [True, True]
        with pytest.raises(unmask_client.Unavailable):
            next(arriving)


def test_one_file_that_never_arrives_stops_no_other(folder):
    def answer(request):
        if b"empty.png" in request.read():
            raise httpx.ReadError("reset")
        return httpx.Response(202, json={"id": "sub_1", "state": "waiting"})

    options = {"patience": Patience(seconds=0), "transport": httpx.MockTransport(answer)}
    with Client("https://unmask.example", "umk_1", **options) as client:
        sent = list(client.submit_folder(folder, concurrency=1, progress=False))
    assert [each.path.name for each in sent if each.error] == ["empty.png"]
    assert len(sent) == len(WANTED)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_files_travel_at_once_than_were_asked_for(folder, concurrency):
    travelling, most = 0, 0

    async def answer(request):
        nonlocal travelling, most
        await request.aread()
        travelling += 1
        most = max(most, travelling)
        await asyncio.sleep(0.01)
        travelling -= 1
        return httpx.Response(202, json={"id": "sub_1", "state": "waiting"})

    async def run():
        async with AsyncClient("https://u.example", "umk_1", transport=httpx.MockTransport(answer)) as client:
            return [sent async for sent in client.submit_folder(folder, concurrency=concurrency, progress=False)]

    assert len(asyncio.run(run())) == len(WANTED)
    assert most == concurrency


def test_who_stops_reading_leaves_nothing_behind(folder):
    async def answer(request):
        await asyncio.sleep(0 if b"below" in await request.aread() else 3600)
        return httpx.Response(202, json={"id": "sub_1", "state": "waiting"})

    async def run():
        async with AsyncClient("https://u.example", "umk_1", transport=httpx.MockTransport(answer)) as client:
            arriving = client.submit_folder(folder, concurrency=8, progress=False)
            await anext(arriving)
            await arriving.aclose()
            return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize(("options", "error"), [({"concurrency": 0}, ValueError), ({"title": "x"}, TypeError)])
def test_mistakes_are_told(client, folder, options, error):
    with pytest.raises(error):
        list(client.submit_folder(folder, progress=False, **options))


def test_what_is_no_folder_is_told_at_once(client, tmp_path):
    with pytest.raises(NotADirectoryError):
        client.submit_folder(tmp_path / "nothing")


def test_the_bar_counts_what_was_refused(client, folder, capsys):
    list(client.submit_folder(folder))
    shown = capsys.readouterr()
    assert "8/8" in shown.err
    assert "2 refused" in shown.err
    assert "refused" not in shown.out


def test_without_rich_there_is_no_bar_and_no_harm(client, folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    assert len(list(client.submit_folder(folder))) == len(WANTED)
    assert "sending" not in capsys.readouterr().err
