"""Every error that Unmask's domain raises on purpose: one shallow tree.

The docstring of a class is its default message; ``slug`` is the stable machine word that clients may rely on.
Nothing here knows of HTTP: `api.errors` maps classes to statuses.
"""


class UnmaskError(Exception):
    """Something went wrong."""

    slug = "error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class Refused(UnmaskError):
    """The request is not acceptable as it stands."""

    slug = "refused"


class BadMedia(Refused):
    """The file cannot be accepted; its slug says why."""

    slug = "bad-media"

    def __init__(self, slug: str, detail: str) -> None:
        self.slug = slug
        super().__init__(detail)


class TooLarge(Refused):
    """The file is larger than this service accepts."""

    slug = "too-large"


class UnknownFormat(Refused):
    """The file is not in an accepted image format."""

    slug = "unsupported-media-type"


class NotFound(UnmaskError):
    """There is nothing here under that name."""

    slug = "not-found"


class Conflict(UnmaskError):
    """The request contradicts what has happened in the meantime."""

    slug = "conflict"


class ClaimLost(Conflict):
    """Your claim on this flag has ended, or somebody else holds it."""

    slug = "claim-lost"


class AlreadyDecided(Conflict):
    """This flag is already decided."""

    slug = "already-decided"


class NothingToUndo(Conflict):
    """There is no standing decision of yours to undo."""

    slug = "nothing-to-undo"


class NameTaken(Conflict):
    """That name is already in use."""

    slug = "name-taken"


class StillWaiting(Conflict):
    """This delivery is still on its way; it is sent again by itself if it fails."""

    slug = "still-waiting"


class EndpointDisabled(Conflict):
    """This webhook endpoint is disabled: enable it first."""

    slug = "endpoint-disabled"


class KeyReused(UnmaskError):
    """This Idempotency-Key was already used with another request."""

    slug = "idempotency-key-reused"


class BadCredentials(UnmaskError):
    """The credentials are missing, unknown, expired or revoked."""

    slug = "bad-credentials"


class ScopeMissing(UnmaskError):
    """The API key may not do this."""

    slug = "scope-missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the API key lacks the scope {scope}")


class ForbiddenAddress(Refused):
    """The address resolves to a network that Unmask does not send to."""

    slug = "forbidden-address"


class Unresolved(ForbiddenAddress):
    """The host has no address, or its name server did not answer in time."""


class BadSettings(UnmaskError):
    """The configuration is incomplete or contradicts itself."""

    slug = "bad-settings"


class WorldDown(UnmaskError):
    """An engine that Unmask depends on does not answer; the work will be tried again."""

    slug = "world-down"
class ForbiddenCallback(Refused):
    """The platform's policy allows no callbacks to that host."""

    slug = "callback-not-allowed"


class NotFetched(UnmaskError):
    """The bytes of a submission could not be brought; its slug says why.

    ``may_pass``: trying again may help, not before ``retry_after`` seconds where the server named them.
    """

    slug = "fetch-failed"

    def __init__(self, slug: str, detail: str, *, may_pass: bool = False, retry_after: float | None = None) -> None:
        self.slug, self.may_pass, self.retry_after = slug, may_pass, retry_after
        super().__init__(detail)


