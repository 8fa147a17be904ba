"""Objects of a platform's own bucket, read with this installation's credentials, if its source names it.

The bucket is one that an operator named, and is trusted not to drip: the clock is looked at after each piece.
"""

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, BinaryIO

from moderation.blobs import clients
from moderation.errors import NotFetched, WorldDown
from moderation.tables import Json
from worker import connections
from worker.downloads import Interrupted

_PIECE = 65_536


def get(
    origin: Json,
    options: Mapping[str, str],
    into: BinaryIO,
    *,
    most: int,
    seconds: float,
    is_stopping: Callable[[], bool] = lambda: False,
    admit: Callable[[int], object] = lambda _: None,
) -> int:
    """Writes an object into ``into``; returns its bytes.

    Args:
        origin: `bucket`, `key`, and where they were told `version` and `etag`, which the object must still have.
        options: of the source: `bucket` lists those that it may name; `endpoint_url` and `region` say where they are.
        most: bytes that an object may have.
        seconds: on the clock for all of it.
        admit: called with the object's length before it is read; it may raise.

    Raises:
        NotFetched: slug `forbidden-address`, `fetch-failed`, `fetch-timeout`, `fetch-status` or `too-large`.
        Interrupted: when ``is_stopping``.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + seconds
    if origin["bucket"] not in filter(None, (name.strip() for name in options.get("bucket", "").split(","))):
        raise NotFetched("forbidden-address", f"the source has no bucket {origin['bucket']}")
    wanted = {"Bucket": origin["bucket"], "Key": origin["key"]}
    wanted |= {"VersionId": origin["version"]} if origin.get("version") else {}
    wanted |= {"IfMatch": f'"{origin["etag"]}"'} if origin.get("etag") else {}
    try:
        client = _client(options.get("endpoint_url") or None, options.get("region") or None)
        answer = client.get_object(**wanted)
        with answer["Body"] as body:
            if answer["ContentLength"] > most:
                raise NotFetched("too-large", f"the object is larger than {most} bytes")
            admit(answer["ContentLength"])
            _read(body, into, most, until, is_stopping)
    except ClientError as error:
        raise _refusal(error) from error
    except TimeoutError as error:
        raise NotFetched("fetch-timeout", f"not done within {seconds:g} s", may_pass=True) from error
    except (BotoCoreError, *connections.TROUBLE) as error:
        raise NotFetched("fetch-failed", f"the bucket does not answer: {error}"[:200], may_pass=True) from error
    return into.tell()


def _read(body: Any, into: BinaryIO, most: int, until: float, is_stopping: Callable[[], bool]) -> None:
    size = 0
    while piece := body.read(_PIECE):
        size += len(piece)
        if size > most:
            raise NotFetched("too-large", f"the object is larger than {most} bytes")
        try:
            into.write(piece)
        except OSError as error:  # a full disk is no fault of the bucket's
            raise WorldDown(f"what is fetched cannot be kept: {error}") from error
        connections.left(until)
        if is_stopping():
            raise Interrupted


def _refusal(error: Any) -> NotFetched:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 412:
        return NotFetched("fetch-status", "the object has been replaced since")
    code = str(error.response.get("Error", {}).get("Code", status))
    return NotFetched("fetch-status", f"the bucket answered {code}", may_pass=status >= 500 or status == 429)


@cache
def _client(endpoint_url: str | None, region: str | None) -> Any:
    return clients.s3(endpoint_url=endpoint_url, region=region, read_seconds=15, attempts=2)
