"""A bucket: `ObjectCreated` events of S3, MinIO or RustFS, sent with a token, or through SNS with a signature.

Only the buckets that the operator named are taken: a worker fetches with this installation's own credentials, which may
open more than the sender's. An event is believed only as far as it names an object; size and ETag are looked at again
when it is fetched. The same key with the same ETag is the same bytes, so the ETag is the key, else the version.
"""

from urllib.parse import unquote_plus

from moderation.sources import bodies, events, proofs, registry, sns
from moderation.sources.events import Event, Medium, Message, Terms
from moderation.tables import Json

TEST = "s3:TestEvent"


def verify(terms: Terms, message: Message) -> str:
    """Verifies the token; of what came through SNS the topic and its signature."""
    if sns.is_from(message):
        return sns.verify(listed(terms, "topic"), terms, message)
    return proofs.bearer(terms, message)


def read(terms: Terms, message: Message) -> Event:
    """Returns the objects that were created. Amazon's and MinIO's words for it differ by a prefix."""
    sent, key = bodies.parsed(message.body), ""
    if sns.is_from(message):
        kind, key = bodies.word(sent.get("Type")), bodies.word(sent.get("MessageId"))
        if kind == sns.CONFIRMATION:
            return Event("probe", kind, key, visit=sns.address(sent, "SubscribeURL"))
        if kind != sns.NOTIFICATION:
            return events.ignored(kind, "it carries no records")
        inside = sent.get("Message")
        sent = bodies.parsed(inside if isinstance(inside, str) else "")
    if sent.get("Event") == TEST:
        return Event("probe", TEST, key)
    records = bodies.objects(sent.get("Records"))
    created = [record for record in records if _name(record).startswith("ObjectCreated:")]
    if not created:
        return events.ignored(_name(records[0]) if records else "", "only ObjectCreated tells of media")
    buckets, found = listed(terms, "bucket"), [_object(record) for record in created]
    prefix = terms.options.get("prefix", "")
    media = tuple(
        medium(bucket, name, etag=etag, version=version, size=size)
        for bucket, name, etag, version, size in found
        if bucket in buckets and name.startswith(prefix) and is_file(name, size)
    )
    others = sorted({bucket for bucket, *_ in found} - set(buckets))
    note = f"not among this source's buckets (option bucket): {', '.join(others)}" if others else ""
    return Event("media", _name(created[0]), key or " ".join(sorted(one.key for one in media)), media, note)


def medium(bucket: str, name: str, *, etag: str, version: str, size: int | None, priority: int | None = None) -> Medium:
    """Returns an object as a medium; `reconcile` makes the same of what it finds in a listing."""
    origin = bodies.told(bucket=bucket, key=name, version=version, etag=etag, bytes=size)
    context = {"bucket": bucket, "key": name}
    return Medium(f"{bucket} {name} {etag or version}", origin, external_id=name, context=context, priority=priority)


def is_file(name: str, size: int | None) -> bool:
    """Says whether an object can be media: folders of consoles are empty objects with a slash at their end."""
    return bool(name) and not name.endswith("/") and size != 0


def listed(terms: Terms, option: str) -> list[str]:
    """Returns the values of an option that holds several, separated by commas."""
    return [value.strip() for value in terms.options.get(option, "").split(",") if value.strip()]


def _name(record: Json) -> str:
    return bodies.word(record.get("eventName")).removeprefix("s3:")


def _object(record: Json) -> tuple[str, str, str, str, int | None]:
    """Returns bucket, key, ETag, version and size in bytes of a record."""
    place = bodies.inner(record.get("s3"))
    thing = bodies.inner(place.get("object"))
    size, name = thing.get("size"), unquote_plus(bodies.word(thing.get("key"), 4096))
    return (
        bodies.word(bodies.inner(place.get("bucket")).get("name"), 63),
        name if name == bodies.word(name, 1024) else "",  # a cleaned name would be another object's
        bodies.word(thing.get("eTag")).strip('"'),
        bodies.word(thing.get("versionId")),
        size if isinstance(size, int) and not isinstance(size, bool) else None,
    )


registry.add(
    registry.Adapter(
        kind="s3",
        about="a bucket of S3, MinIO or RustFS, directly or through SNS",
        verify=verify,
        read=read,
        options={
            "bucket": "the bucket whose objects are taken; several with commas",
            "prefix": "only keys that begin with it",
            "endpoint_url": "where the bucket is, if not at Amazon",
            "region": "the bucket's region, if not that of the usual AWS variables",
            "topic": "ARN of the SNS topic that may send; several with commas",
        },
        needs=("bucket",),
        lasting=True,
    )
)
