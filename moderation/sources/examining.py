"""A dry run: what `receive` would make of a message, without making it. It reads the ledger and writes nothing.

Unlike `receive` it goes on where a message is not proven, so that one run tells all that is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from moderation.errors import BadEvent, BadSignature, Refused
from moderation.sources import bodies, catalogue, receiving, registry
from moderation.sources.events import Medium, Wanted
from moderation.tables import Source


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a message would bring. ``proof`` says how it was verified or why it was not; ``known`` are the keys of media
    that the source has told of before, and ``duplicate`` says so of the event.
    """

    verified: bool
    proof: str
    event: str = ""
    kind: str = "unreadable"
    key: str = ""
    duplicate: bool = False
    media: tuple[Medium, ...] = ()
    known: frozenset[str] = field(default_factory=frozenset)
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Returns it for a program, with the words that people see, too."""
        return {
            "verified": self.verified,
            "proof": self.proof,
            "event": self.event,
            "kind": self.kind,
            "key": self.key,
            "duplicate": self.duplicate,
            "media": [
                {
                    "origin": medium.origin,
                    "external_id": medium.external_id,
                    "context": medium.context,
                    "key": medium.key,
                    "known": medium.key in self.known,
                }
                for medium in self.media
            ],
            "notes": list(self.notes),
        }


def examine(
    session: Session, source: Source, headers: Mapping[str, str], body: bytes, at: float | None = None
) -> DryRun:
    """Returns what a message would bring, arriving at ``at`` (now by default)."""
    adapter, message = registry.find(source.kind), receiving.as_message(headers, body, at)
    terms = catalogue.terms(source, datetime.fromtimestamp(message.at, UTC))
    notes = ["the source is disabled: it would be refused"] if source.disabled_at else []
    try:
        verified, proof = True, adapter.verify(terms, message)
    except (BadSignature, BadEvent) as error:
        verified, proof = False, error.detail
    except Wanted as wanted:
        verified, proof = False, f"a worker has to fetch {wanted.url} first; the sender would be asked to come again"
    try:
        event = adapter.read(terms, message)
        media = tuple(_kept(medium) for medium in event.media[: receiving.MOST_MEDIA])
    except (BadEvent, Wanted) as error:
        return DryRun(verified, proof, notes=(*notes, getattr(error, "detail", str(error))))
    notes += [event.note] if event.note else []
    notes += [f"{event.unready} media have no address yet"] if event.unready else []
    notes += [f"a worker would visit {event.visit}"] if event.visit else []
    known, told = receiving.known(session, source, media), receiving.has_told(session, source, event)
    return DryRun(verified, proof, event.name, event.kind, event.key, told, media, known, tuple(notes))


def _kept(medium: Medium) -> Medium:
    return Medium(medium.key, medium.origin, medium.external_id, bodies.context(medium.context), medium.priority)


def headers_of(text: str) -> dict[str, str]:
    """Reads headers as people save them: a JSON object, or a line `Name: value` each, as in the output of curl -v.

    Raises:
        Refused: for anything else.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            found = json.loads(stripped)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise Refused("the headers are not a JSON object of texts")
        return found
    lines = [line.lstrip("> ").strip() for line in stripped.splitlines()]
    pairs = [line.partition(":") for line in lines if line and not line.startswith(("POST ", "HTTP/", "*"))]
    if any(not colon or not name.strip() for name, colon, _ in pairs):
        raise Refused("headers are lines of Name: value, or a JSON object")
    return {name.strip(): value.strip() for name, _, value in pairs}
