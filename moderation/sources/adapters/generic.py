"""Your own service: signed as Standard Webhooks 1.0.0 has it, `{"type": "media.created", "data": {…}}`.

`data` holds a `url`, or `media`, a list of objects with a `url` each; and for all of them `external_id` and `context`.
"""

from moderation import signatures
from moderation.sources import bodies, events, proofs, registry
from moderation.sources.events import Event, Medium, Message, Terms

TAKEN = "media.created"


def read(_terms: Terms, message: Message) -> Event:
    """Returns the media of a `media.created`; the key is `webhook-id`, which is the same on every attempt."""
    sent = bodies.parsed(message.body)
    name, data = bodies.word(sent.get("type")), bodies.inner(sent.get("data"))
    if name != TAKEN:
        return events.ignored(name, f"only {TAKEN} tells of media")
    key = bodies.word(message.headers.get("webhook-id"))
    items = [data] if "url" in data else bodies.objects(data.get("media"))
    links = [(item, bodies.link(item.get("url"))) for item in items]
    media = tuple(
        Medium(
            key=f"{key} {number}",
            origin={"url": url},
            external_id=bodies.word(item.get("external_id") or data.get("external_id")) or None,
            context=bodies.inner(item.get("context") or data.get("context")),
        )
        for number, (item, url) in enumerate(links)
        if url
    )
    lost = len(items) - len(media)
    return Event("media", name, key, media, note=f"{lost} of {len(items)} have no http(s) url" if lost else "")


registry.add(
    registry.Adapter(
        kind="generic",
        about="your own service, signed with Standard Webhooks",
        verify=proofs.standard,
        read=read,
        new_secret=signatures.new_secret,
        check_secret=proofs.check_standard_secret,
    )
)
