"""Sources: where a platform's own system sends word of new media, and what is made of that word.

An adapter (`adapters`, one small file a kind) verifies a message and reads it; it is pure, and registers itself. This
package does the rest, the same for all kinds: it finds the source, remembers what it was told, and expects each medium
once. It believes nothing that is not signed, and keeps nothing of a message but what a submission needs.
"""

from moderation.sources.catalogue import create, disable, enable, every, get, rotate, set_options
from moderation.sources.errands import forget, outstanding, settle
from moderation.sources.examining import DryRun, examine, headers_of
from moderation.sources.receiving import Received, known, receive, take
from moderation.sources.registry import SHARED_OPTIONS, find, kinds

__all__ = [
    "SHARED_OPTIONS",
    "DryRun",
    "Received",
    "create",
    "disable",
    "enable",
    "every",
    "examine",
    "find",
    "forget",
    "get",
    "headers_of",
    "kinds",
    "known",
    "outstanding",
    "receive",
    "rotate",
    "set_options",
    "settle",
    "take",
]
