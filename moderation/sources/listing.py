"""What lies in a source's buckets: listed page by page, as the same media that events tell of.

Every sender can lose events, and a bucket is older than its source. What is known is known by the same key here and
there, so a listing never brings a second submission, and one that was interrupted goes on wherever it is told to.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from moderation.blobs import clients
from moderation.errors import NotFound, Refused, WorldDown
from moderation.sources.adapters import s3
from moderation.sources.events import Medium, Terms

PAGE = 1000  # objects; the most that S3 gives at once
BULK = 2  # index into tables.PRIORITIES: what is found late does not push in front


class Page(NamedTuple):
    """Some objects of a bucket, in the order of their names; ``last`` is `{bucket}/{name}` of the last looked at."""

    bucket: str
    last: str
    media: list[Medium]


def pages(
    options: Mapping[str, str], *, after: str = "", since: datetime | None = None, client: Any = None
) -> Iterator[Page]:
    """Lists the buckets that the ``options`` of a source name, a thousand objects at a time.

    Args:
        after: the ``last`` of a page; what comes before it is passed over.
        since: only objects written at or after this time.

    Raises:
        Refused: when the options name no bucket, or not that of ``after``.
        NotFound, WorldDown: when a bucket is not there, or does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    buckets = s3.listed(Terms((), options), "bucket")
    first, _, name = after.partition("/")
    if not buckets or (after and first not in buckets):
        raise Refused(f"the source names no bucket {first}".rstrip() + " (option bucket)")
    for bucket in buckets[buckets.index(first) :] if after else buckets:
        try:
            listing = (client or _client(options)).get_paginator("list_objects_v2")
            for page in listing.paginate(
                Bucket=bucket,
                Prefix=options.get("prefix", ""),
                StartAfter=name if bucket == first else "",
                PaginationConfig={"PageSize": PAGE},
            ):
                objects = page.get("Contents", [])
                if objects:
                    media = [_medium(bucket, one) for one in objects if _wanted(one, since)]
                    yield Page(bucket, f"{bucket}/{objects[-1]['Key']}", media)
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) in ("404", "NoSuchBucket"):
                raise NotFound(f"there is no bucket {bucket}") from None
            raise WorldDown(f"the bucket {bucket} refuses: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise WorldDown(f"the bucket {bucket} does not answer: {error}") from error


def _wanted(one: Mapping[str, Any], since: datetime | None) -> bool:
    return s3.is_file(str(one["Key"]), int(one["Size"])) and (since is None or one["LastModified"] >= since)


def _medium(bucket: str, one: Mapping[str, Any]) -> Medium:
    etag = str(one["ETag"]).strip('"')
    return s3.medium(bucket, str(one["Key"]), etag=etag, version="", size=int(one["Size"]), priority=BULK)


def _client(options: Mapping[str, str]) -> Any:
    return clients.s3(
        endpoint_url=options.get("endpoint_url") or None, region=options.get("region") or None, attempts=4
    )
