"""What adapters asked for is fetched by a worker, once, and never from an address that is not public."""

import pytest
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from moderation import platforms, sources
from moderation.errors import NotFetched
from moderation.sources import errands as wishes
from worker import errands

PEM, VISIT = "https://sns.example/a.pem", "https://sns.example/?Token=secret"


@pytest.fixture
def source_id(Session: sessionmaker[OrmSession]) -> str:
    with Session.begin() as session:
        made = sources.create(session, platforms.create(session, "Chirper").platform.id, "s3")
        wishes.want(session, made.id, PEM, keep=True)
        wishes.want(session, made.id, VISIT, keep=False)
        return made.id


def documents(Session: sessionmaker[OrmSession], source_id: str) -> dict[str, object]:
    with Session.begin() as session:
        return sources.get(session, source_id).documents


def test_documents_are_kept_and_visits_are_made(Session: sessionmaker[OrmSession], source_id: str) -> None:
    asked = []

    def get(url, into, **_):
        asked.append(url)
        into.write(b"a certificate\0")

    assert errands.run(Session, get=get) == 2
    assert errands.run(Session, get=get) == 0
    assert asked == [PEM, VISIT]
    assert documents(Session, source_id) == {PEM: "a certificate"}


def test_what_fails_is_dropped(Session: sessionmaker[OrmSession], source_id: str) -> None:
    def get(url, into, **_):
        raise NotFetched("fetch-status", "the server answered 404")

    assert errands.run(Session, get=get) == 0
    assert documents(Session, source_id) == {}


def test_the_guard_is_the_fetchers(Session: sessionmaker[OrmSession], source_id: str) -> None:
    with Session.begin() as session:
        for errand in sources.outstanding(session, 9):
            sources.settle(session, errand, None)
        wishes.want(session, source_id, "http://169.254.169.254/latest/meta-data", keep=True)
    assert errands.run(Session) == 0
    assert documents(Session, source_id) == {}
