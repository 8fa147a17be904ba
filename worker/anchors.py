"""The certificates whose holders a C2PA manifest may be signed by to be called `trusted`: a PEM file of the operator's.

Who is on it is the operator's choice (the C2PA publishes a list, a newsroom may add its own). A broken list is refused
when a worker starts: it would trust nobody, and say so of everybody.
"""

import ssl
from pathlib import Path

from moderation.errors import BadSettings


def count(path: Path) -> int:
    """Returns how many certificates a list holds.

    Raises:
        BadSettings: when it cannot be read, holds none, or one of them is broken.
    """
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        store.load_verify_locations(cadata=path.read_text("ascii"))
    except (OSError, ValueError, ssl.SSLError) as error:  # a UnicodeDecodeError is a ValueError
        raise BadSettings(f"UNMASK_C2PA_ANCHORS: {path} is no list of PEM certificates: {error}") from error
    return store.cert_store_stats()["x509"]
