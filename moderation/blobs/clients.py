"""S3 clients: the one place that makes them, for our own bucket and for those of platforms.

The usual AWS variables configure them. Checksums are sent and checked only where an operation requires one: newer
versions of boto3 add them everywhere, and many stores that speak S3 refuse what they add.
"""

import threading
from typing import Any

_making = threading.Lock()  # clients may be shared by threads, but not made by several at once


def s3(
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    read_seconds: float = 30,
    attempts: int = 3,
    **options: Any,
) -> Any:
    """Returns a client. ``options`` are those of botocore's `Config`, beside what every client here has."""
    import boto3  # here, so that a directory store does not pay half a second of imports
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=read_seconds,
        retries={"mode": "standard", "max_attempts": attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **options,
    )
    with _making:
        return boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
