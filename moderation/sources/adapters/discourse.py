"""Discourse's webhooks: posts as they are written and edited, signed by `X-Discourse-Event-Signature`.

A post lists no uploads, so they are read off its rendered HTML: images (of a lightbox, the original rather than the
thumbnail) and videos, without emoji, avatars and icons of sites. Of the post we keep its address and its author's name.
"""

from html.parser import HTMLParser
from typing import Final

from moderation.errors import BadEvent
from moderation.sources import bodies, events, proofs, registry
from moderation.sources.events import Event, Medium, Message, Terms
from moderation.tables import Json

TAKEN: Final = ("post_created", "post_edited", "post_recovered")
DECORATION: Final = {"emoji", "avatar", "site-icon", "onebox-avatar", "favicon"}


def verify(terms: Terms, message: Message) -> str:
    """Verifies `X-Discourse-Event-Signature`."""
    return proofs.hub(terms, message, "X-Discourse-Event-Signature")


def read(terms: Terms, message: Message) -> Event:
    """Returns the media in a post's HTML. Headers are not signed, so the body decides what it is about."""
    sent = bodies.parsed(message.body)
    name = bodies.word(message.headers.get("x-discourse-event"))
    if "ping" in sent:
        return Event("probe", "ping")
    post = bodies.inner(sent.get("post"))
    if name not in TAKEN or not post:
        kind = name or bodies.word(message.headers.get("x-discourse-event-type"))
        return events.ignored(kind, f"only {', '.join(TAKEN)} tell of media")
    if post.get("topic_archetype") == "private_message" and terms.options.get("direct") != "yes":
        return events.ignored(name, "media of private messages are not taken (option direct=yes)")
    number, version = bodies.word(post.get("id"), 100), bodies.word(post.get("version"), 100)
    if not number:
        raise BadEvent("the post has no id")
    instance = terms.options.get("instance") or bodies.link(message.headers.get("x-discourse-instance")) or ""
    media = tuple(
        Medium(
            key=f"post {number} {url}",
            origin={"url": url},
            external_id=f"post/{number}",
            context=_context(name, instance, post),
        )
        for url in addresses(post.get("cooked"), instance)
    )
    return Event("media", name, f"{instance} {name} {number} {version}", media)


def _context(name: str, instance: str, post: Json) -> Json:
    topic, place = bodies.word(post.get("topic_id"), 100), bodies.word(post.get("post_number"), 100)
    return bodies.told(
        event=name,
        page=f"{instance.rstrip('/')}/t/{topic}/{place}" if instance and topic.isdecimal() else None,
        author=bodies.word(post.get("username")),
    )


def addresses(cooked: object, instance: str) -> list[str]:
    """Returns the addresses of a post's images and videos, each once, in the order of the post."""
    page = _Page()
    page.feed(cooked if isinstance(cooked, str) else "")
    page.close()
    # one slash, so that a relative address of a forum in a folder stays in the folder
    found = (bodies.link(address, instance.rstrip("/") + "/") for address in page.found)
    return list(dict.fromkeys(address for address in found if address))


class _Page(HTMLParser):
    """Collects addresses; whatever is malformed is read as browsers would, or passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_lightbox = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        words = set(has.get("class", "").split())
        if tag == "a":
            self._in_lightbox = "lightbox" in words
            self._take(has.get("href") if self._in_lightbox else None)
        elif tag in ("video", "source") or (tag == "img" and not self._in_lightbox and not words & DECORATION):
            self._take(has.get("src"))
        self._take(has.get("data-video-src"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_lightbox = False

    def _take(self, address: str | None) -> None:
        if address:
            self.found.append(address)


registry.add(
    registry.Adapter(
        kind="discourse",
        about="a Discourse forum's webhooks",
        verify=verify,
        read=read,
        options={
            "instance": "the forum's address, https://…; otherwise the one that it names",
            "direct": "yes to take media of private messages, too",
        },
    )
)
