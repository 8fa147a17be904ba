"""Which faces a worker keeps: where a platform allows it, and only one that a decision can be ascribed to."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from model.detector import Face, Judgement
from model.traits import Traits
from moderation import platforms
from moderation.tables import FaceFeatures
from worker import keeping, scoring


def traits(value=1.0):
    return Traits("graph", np.full(4, value, np.float16), "network", np.array([0.5, -2], np.float32))


def answer(*faces):
    """A judgement of faces, each (frame, score) or (frame, score, traits)."""
    made = [Face((0, 0, 9, 9), score, {}, frame, *(rest or [traits(score)])) for frame, score, *rest in faces]
    return Judgement(0.5, "review", (), tuple(made), 64, 48)


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([(0, 0.9)], [0]),
        ([(0, 0.1)], [0]),
        ([(0, 0.2), (1, 0.8), (2, 0.5)], [1]),  # a clip of one person: its most suspicious face
        ([(0, 0.8), (1, 0.8)], [0]),
        ([(3, 0.2), (9, 0.1)], [0]),
        ([(0, 0.9), (0, 0.1)], []),  # two people in a picture: nobody said who is forged
        ([(0, 0.2), (1, 0.8), (1, 0.1)], []),  # two in one frame of a clip
        ([], []),
        ([(0, 0.9, None)], []),  # a release without an encoder, or nobody asked
        ([(0, 0.9, traits(np.inf))], []),
    ],
)
def test_one_face_is_kept_of_a_file_that_never_shows_two(faces, expected):
    assert [each.face for each in keeping.kept(answer(*faces))] == expected


def test_nothing_is_kept_of_a_file_with_faces_that_were_not_judged():
    assert keeping.kept(replace(answer((0, 0.9)), faces_not_judged=1)) == []


def test_features_are_kept_in_half_precision_and_the_networks_answer_in_eight_bytes():
    (kept,) = keeping.kept(answer((0, 0.25)))
    assert (kept.encoder, kept.network) == ("graph", "network")
    assert np.frombuffer(kept.features, "<f2").tolist() == [0.25] * 4
    assert np.frombuffer(kept.logits, "<f4").tolist() == [0.5, -2]


@pytest.fixture
def asked(detector, monkeypatch):
    """Whether features were asked for, a batch each."""
    seen, plain = [], type(detector).judge

    def judge(prepared, keep_features=False):
        seen.append(keep_features)
        answers = plain(detector, prepared)
        if not keep_features:
            return answers
        return [answer((0, each.score)) for each in answers]

    detector.judge = judge
    return seen


def keepers(Session):
    with Session() as session:
        return set(session.scalars(select(FaceFeatures.submission_id)))


def test_nobody_asks_for_features_where_no_platform_of_the_batch_allows_them(Session, bench, send, asked):
    with Session.begin() as session:
        platforms.change_policy(session, platforms.create(session, "Other").platform.id, {"keep_features": True})
    send("red")
    assert scoring.run(bench, budget_seconds=30).outcomes == {"scored": 1}
    assert (asked, keepers(Session)) == ([False], set())


def test_a_batch_of_two_platforms_keeps_features_for_the_one_that_allows_them(Session, bench, send, asked):
    with Session.begin() as session:
        other = platforms.create(session, "Other").platform.id
        platforms.change_policy(session, other, {"keep_features": True})
    send("red")  # the same bytes, for a platform that says nothing
    theirs = {send("red", platform_id=other), send("blue", platform_id=other)}
    send("blue", person_id=someone(Session))
    assert scoring.run(bench, budget_seconds=30).outcomes == {"scored": 4}
    assert (asked, keepers(Session)) == ([True], theirs)


def someone(Session):
    from moderation import people
    from tests.conftest import PASSWORD

    with Session.begin() as session:
        return people.create(session, "mo@example.org", "moderator", PASSWORD).id


def test_a_policy_that_changes_while_a_batch_is_judged_is_followed(Session, bench, detector, send, home, asked):
    with Session.begin() as session:
        platforms.change_policy(session, home, {"keep_features": True})

    def change(_):
        with Session.begin() as session:
            platforms.change_policy(session, home, {"keep_features": False})

    detector.trap = change
    send("red")
    assert scoring.run(bench, budget_seconds=30).outcomes == {"scored": 1}
    assert (asked, keepers(Session)) == ([True], set())
