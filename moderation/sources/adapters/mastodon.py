"""Mastodon's admin webhooks: `status.created`, `status.updated` and `report.created`, signed by `X-Hub-Signature`.

Of a status we keep its address, its author's handle, and who may see it; of a report its category. Accounts come with
e-mail and IP addresses: nothing else of them is read. There is no delivery id, so the event, the object and when it was
last written make the key; a medium's own key is its attachment, so an edit that leaves the media alone brings nothing.
"""

from collections.abc import Iterator
from typing import Any

from moderation.errors import BadEvent
from moderation.sources import bodies, events, proofs, registry
from moderation.sources.events import Event, Medium, Message, Terms
from moderation.tables import Json

HEADER = "X-Hub-Signature"
VISUAL = ("image", "gifv", "video", "unknown")  # unknown: another server's, not looked at there


def verify(terms: Terms, message: Message) -> str:
    """Verifies `X-Hub-Signature`."""
    return proofs.hub(terms, message, HEADER)


def read(terms: Terms, message: Message) -> Event:
    """Returns the attachments that can be looked at; those still being processed have no address and are `unready`."""
    sent = bodies.parsed(message.body)
    name, thing = bodies.word(sent.get("event")), bodies.inner(sent.get("object"))
    number = bodies.word(thing.get("id"))
    if name in ("status.created", "status.updated"):
        statuses, about, priority = [thing], {}, None
    elif name == "report.created":
        statuses, priority = bodies.objects(thing.get("statuses")), events.URGENT
        about = bodies.told(report=number, category=bodies.word(thing.get("category")))
    else:
        return events.ignored(name, "only statuses and new reports tell of media")
    if not number:
        raise BadEvent(f"{name} is about something without an id")
    written = bodies.word(thing.get("edited_at")) or bodies.word(thing.get("created_at"))
    private = terms.options.get("direct") == "yes"
    seen = [status for status in statuses if private or status.get("visibility") != "direct"]
    note = "" if len(seen) == len(statuses) else "media of private mentions are not taken (option direct=yes)"
    found = [(status, medium) for status in seen for medium in _visual(status)]
    media = tuple(
        Medium(
            # a report is a reason to look again, but a hundred reports of one post are no hundred reasons
            key=f"{'reported' if about else 'status'} {bodies.word(medium.get('id'))} {url}",
            origin={"url": url},
            external_id=f"status/{bodies.word(status.get('id'), 100)}/media/{bodies.word(medium.get('id'), 100)}",
            context=_context(name, status) | about,
            priority=priority,
        )
        for status, medium in found
        if (url := _address(medium))
    )
    return Event("media", name, f"{name} {number} {written}", media, note, unready=len(found) - len(media))


def _visual(status: Json) -> Iterator[Json]:
    return (medium for medium in bodies.objects(status.get("media_attachments")) if medium.get("type") in VISUAL)


def _address(medium: Json) -> str | None:
    return bodies.link(medium.get("url")) or bodies.link(medium.get("remote_url"))


def _context(name: str, status: Json) -> Json:
    sensitive: Any = status.get("sensitive")
    return bodies.told(
        event=name,
        page=bodies.link(status.get("url")) or bodies.link(status.get("uri")),
        author=bodies.word(bodies.inner(status.get("account")).get("acct")),
        visibility=bodies.word(status.get("visibility"), 20),
        sensitive=sensitive if isinstance(sensitive, bool) else None,
    )


registry.add(
    registry.Adapter(
        kind="mastodon",
        about="a Mastodon server's admin webhooks",
        verify=verify,
        read=read,
        options={"direct": "yes to take media of private mentions, too"},
    )
)
