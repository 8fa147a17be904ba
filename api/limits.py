"""How much may be asked for: requests a key, failed keys an address. Counted in Redis for all processes together.

While Redis is away each process counts for itself, so that the limit is at most as many times as high as there are
processes; that is logged once a minute and counted, and never an error. The window slides (two counters a name, the
one before weighted by what is left of it), so nobody gets twice the limit around the turn of a minute.
"""

import hashlib
import ipaddress
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from moderation import logs, metrics
from moderation.errors import BadSettings, TooManyRequests

PATIENCE = 0.5  # seconds for Redis to answer; a request waits on it
PAUSE = 5.0  # seconds for which Redis is left alone once it did not
BUCKETS = 1 << 16  # addresses share so many counters: a storm from everywhere takes no more memory than that
KNOWN_KEYS = 4096

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """What a limit leaves: ``remaining`` of ``limit``, and the seconds until as much as was asked for is free."""

    granted: bool
    limit: int
    remaining: int
    wait: int


class Counters:
    """Sliding windows by name, in Redis or, while it is away, in this process."""

    def __init__(self, redis_url: str) -> None:
        patience: dict[str, float] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
        # one retry, at once: a connection of the pool may be stale
        self._shared = RedisStorage(storage_url(redis_url), retry=Retry(NoBackoff(), 1), **patience)  # type: ignore[arg-type]
        self._own = MemoryStorage()
        self._away_until = 0.0
        self._logged_at = -math.inf

    def spend(self, item: RateLimitItem, name: str, cost: int = 1) -> Window:
        """Takes ``cost`` from what ``item`` allows ``name``, or nothing when less is left."""
        return self._asked(partial(_spend, item=item, name=name, cost=cost))

    def look(self, item: RateLimitItem, name: str) -> Window:
        """Returns what `spend` would answer, and takes nothing."""
        return self._asked(partial(_look, item=item, name=name))

    def _asked(self, question: Callable[[RedisStorage | MemoryStorage], Window]) -> Window:
        if time.monotonic() >= self._away_until:
            try:
                return question(self._shared)
            except RedisError as error:
                self._away_until = time.monotonic() + PAUSE
                self._tell(error)
        metrics.limits_unshared.inc()
        return question(self._own)

    def _tell(self, error: RedisError) -> None:
        if time.monotonic() - self._logged_at >= 60:
            self._logged_at = time.monotonic()
            log.warning("limits_unshared", error=str(error))


def _spend(storage: RedisStorage | MemoryStorage, item: RateLimitItem, name: str, cost: int) -> Window:
    key, most, seconds = item.key_for(name), item.amount, item.get_expiry()
    cost = min(cost, most)  # what costs more than there ever is would wait for ever
    granted = storage.acquire_sliding_window_entry(key, most, seconds, cost)
    return _window(storage.get_sliding_window(key, seconds), most, seconds, cost, granted)


def _look(storage: RedisStorage | MemoryStorage, item: RateLimitItem, name: str) -> Window:
    most, seconds = item.amount, item.get_expiry()
    state = storage.get_sliding_window(item.key_for(name), seconds)
    before, before_ttl, present, _ = state
    used = math.floor(before * before_ttl / seconds) + present
    return _window(state, most, seconds, 1, used + 1 <= most)


def _window(state: tuple[int, float, int, float], most: int, seconds: int, cost: int, granted: bool) -> Window:
    before, before_ttl, present, present_ttl = state
    used = math.floor(before * before_ttl / seconds) + present
    if granted:
        return Window(True, most, max(0, most - used), 0)
    room = most - cost - present
    if room >= 0:  # enough of the window before has to fade
        wait = before_ttl - room * seconds / max(before, 1)
    else:  # this window has to end, and then to fade
        wait = (present_ttl - seconds) + seconds * (1 - (most - cost) / present)
    return Window(False, most, max(0, most - used), max(1, math.ceil(wait)))


class Limits:
    """What the API asks before it works: may this key ask for more, may this address try another key?"""

    def __init__(self, redis_url: str, *, a_key: str, failures: str, salt: str) -> None:
        self._counters = Counters(redis_url)
        self._a_key, self._failures = parsed("RATE_LIMIT", a_key), parsed("KEY_ATTEMPTS", failures)
        self._salt = hashlib.sha256(salt.encode()).digest()
        self._shut: dict[int, float] = {}  # buckets of addresses, and when they open again
        self._known: dict[bytes, None] = {}  # keys that opened something here lately, the oldest first
        self._lock = threading.Lock()

    def spend(self, key_id: str, cost: int = 1) -> Window | None:
        """Takes ``cost`` requests from a key's allowance; None: there is no limit."""
        return None if self._a_key is None else self._counters.spend(self._a_key, key_id, cost)

    def admit(self, address: str, bearer: str) -> None:
        """Lets a key be looked up, unless too many from this address opened nothing.

        A key that opened something here lately is looked up all the same: behind one proxy, the failures of one
        platform must not shut out another. Nothing leaves the process.

        Raises:
            TooManyRequests: when the address has to wait.
        """
        wait = self._shut.get(self._bucket(address), 0.0) - time.monotonic()
        if wait > 0 and _digest(bearer) not in self._known:
            raise TooManyRequests("too many API keys from this address opened nothing", math.ceil(wait))

    def succeeded(self, bearer: str) -> None:
        """Notes that a key opened something."""
        digest = _digest(bearer)
        with self._lock:
            self._known.pop(digest, None)
            self._known[digest] = None
            if len(self._known) > KNOWN_KEYS:
                del self._known[next(iter(self._known))]

    def failed(self, address: str, bearer: str) -> None:
        """Counts a key that opened nothing.

        Raises:
            TooManyRequests: when that was one too many.
        """
        with self._lock:
            self._known.pop(_digest(bearer), None)
        if self._failures is None:
            return
        bucket = self._bucket(address)
        window = self._counters.spend(self._failures, f"failures {bucket}")
        if not window.granted:
            self._shut[bucket] = time.monotonic() + window.wait
            raise TooManyRequests("too many API keys from this address opened nothing", window.wait)

    def _bucket(self, address: str) -> int:
        code = hashlib.blake2b(network(address).encode(), key=self._salt, digest_size=4).digest()
        return int.from_bytes(code) % BUCKETS


def network(address: str) -> str:
    """Returns an IPv4 address, or the /64 of an IPv6 one: a subscriber has all of that."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket has none
        return ""
    return str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False))


def _digest(bearer: str) -> bytes:
    return hashlib.sha256(bearer.encode()).digest()


def parsed(name: str, text: str) -> RateLimitItem | None:
    """Reads a limit such as `600 per minute`; None when it is empty, which means no limit.

    Raises:
        BadSettings: naming UNMASK_``name``, for anything else.
    """
    try:
        return parse(text) if text.strip() else None
    except ValueError:
        raise BadSettings(f"UNMASK_{name}: {text!r} is not like '600 per minute'") from None


def storage_url(redis_url: str) -> str:
    """Returns ``redis_url`` as the limiter spells it: a Unix socket is `redis+unix://` there."""
    for scheme in ("unix://", "redis+socket://"):
        if redis_url.startswith(scheme):
            return redis_url.replace(scheme, "redis+unix://", 1)
    return redis_url
