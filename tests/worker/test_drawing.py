"""What people see of media that nobody scores now."""

from sqlalchemy import select, update

from moderation import appeals, detectors, erasure, platforms, verdicts
from moderation import blobs as storage
from moderation.tables import Flag, Media, Platform
from worker import drawing, scoring


def score(bench):
    with bench.ledger.begin() as session:
        detectors.started(session, *bench.release)
    scoring.run(bench, budget_seconds=0)


def test_what_was_clear_is_drawn_once_it_is_appealed(bench, send, home, Session):
    submission_id = send("green")
    score(bench)
    with Session.begin() as session:
        media = session.scalars(select(Media)).one()
        assert not bench.blobs.exists(storage.preview_key(media.sha256))
        appeals.make(session, home, submission_id, "it is a forgery")
    assert drawing.run(bench) == 1
    assert bench.blobs.exists(storage.preview_key(media.sha256))
    assert bench.blobs.exists(storage.thumbnail_key(media.sha256))
    assert drawing.run(bench) == 0


def test_what_one_platform_ignores_is_drawn_for_one_that_does_not(bench, send, Session):
    with Session.begin() as session:
        session.execute(update(Platform).values(policy={"flag_bands": []}))
        rival = platforms.create(session, "Rival").platform.id
    send("red")
    score(bench)
    assert drawing.run(bench) == 0
    send("red", platform_id=rival)  # judged before: no worker scores it
    with Session() as session:
        assert session.scalars(select(Flag.platform_id)).one() == rival
        sha256 = session.scalars(select(Media.sha256)).one()
        assert verdicts.undrawn(session) == [sha256]  # upkeep rings for it
    assert drawing.run(bench) == 1
    assert bench.blobs.exists(storage.thumbnail_key(sha256))


def test_nothing_is_drawn_of_what_was_erased_meanwhile(bench, send, home, Session, monkeypatch):
    submission_id = send("green")
    score(bench)
    with Session.begin() as session:
        sha256 = session.scalars(select(Media.sha256)).one()
        appeals.make(session, home, submission_id, "it is a forgery")
    store = drawing.previews.store

    def erase_first(*args):
        with Session.begin() as session:
            erasure.ask(session, submission_id)
        store(*args)

    monkeypatch.setattr(drawing.previews, "store", erase_first)
    assert drawing.run(bench) == 1
    assert not bench.blobs.exists(storage.thumbnail_key(sha256))
    assert drawing.run(bench) == 0
