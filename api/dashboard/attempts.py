"""How often one may try to log in, by address, by account and by device.

Nobody can lock somebody else out by trying wrong passwords:
- an address counts against an account once, however often it fails. It stops itself long before it stops the account;
- a browser that has logged in to the account before has a count of its own, and no other count concerns it.

So an account stops new devices once as many addresses have failed at it as one address may fail, and its owner still
gets in from their own. Counted in Redis, or in this process while Redis is away.
"""

import hashlib
import hmac

from limits import RateLimitItem

from api.limits import Counters, network, parsed
from moderation.settings import Settings

EXTENSION = "unmask.attempts"


class Attempts:
    """Counts failed logins. Redis sees no e-mail address, only keyed digests."""

    def __init__(self, settings: Settings) -> None:
        self._counters = Counters(settings.redis_url)
        self._limit = parsed("LOGIN_ATTEMPTS", settings.login_attempts)
        self._key = settings.secret_key.encode()

    def wait(self, address: str, email: str, device: str | None) -> int | None:
        """Returns the seconds until another attempt is allowed; None when it is allowed now.

        Args:
            device: the token of a browser that is known to the account, else None.
        """
        if self._limit is None:
            return None
        windows = [self._counters.look(self._limit, name) for name in self._names(address, email, device)]
        return max((window.wait for window in windows if not window.granted), default=None)

    def failed(self, address: str, email: str, device: str | None) -> None:
        """Counts a wrong password."""
        if self._limit is None:
            return
        first, *account = self._names(address, email, device)
        self._counters.spend(self._limit, first)
        if account and self._counters.spend(_once(self._limit), f"{first} {account[0]}").granted:
            self._counters.spend(self._limit, account[0])

    def _names(self, address: str, email: str, device: str | None) -> list[str]:
        if device:
            return [f"login device {self._digest(device)}"]
        return [f"login address {self._digest(network(address))}", f"login account {self._digest(email.lower())}"]

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), hashlib.sha256).hexdigest()[:32]


def _once(limit: RateLimitItem) -> RateLimitItem:
    """Returns one in the same time as ``limit``."""
    return type(limit)(1, limit.multiples, limit.namespace)
