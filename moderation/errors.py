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


class AppealedMeanwhile(Conflict):
    """This flag was appealed while you looked at it: read the appeal, then answer."""

    slug = "appealed-meanwhile"


class NothingToUndo(Conflict):
    """There is no standing decision of yours to undo."""

    slug = "nothing-to-undo"


class UploadMissing(Conflict):
    """Nothing has been put to this upload's address yet, or its bytes were fetched already."""

    slug = "upload-missing"


class NotAppealable(Conflict):
    """Only a submission that has been scored can be appealed."""

    slug = "not-appealable"


class TooManyAppeals(Conflict):
    """This submission has been appealed as often as it may be."""

    slug = "too-many-appeals"


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


class BadUploadUrl(UnmaskError):
    """The address was not made by this service for this upload, or it has expired."""

    slug = "bad-upload-url"


class ScopeMissing(UnmaskError):
    """The API key may not do this."""

    slug = "scope-missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the API key lacks the scope {scope}")


class ForbiddenAddress(Refused):
    """The address leads to a network that Unmask does not connect to."""

    slug = "forbidden-address"


class Unresolved(ForbiddenAddress):
    """The host has no address, or its name server did not answer in time."""


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


class Busy(UnmaskError):
    """Too much is asked for at the moment; it may be asked for again after ``retry_seconds``."""

    slug = "busy"

    def __init__(self, detail: str, retry_seconds: int) -> None:
        self.retry_seconds = retry_seconds
        super().__init__(detail)


class TooManyRequests(Busy):
    """This caller has to slow down."""

    slug = "too-many-requests"


class LineTooLong(Busy):
    """Everybody has to wait until the line is shorter."""

    slug = "line-too-long"


class NotReady(Busy):
    """A message can be used only later; whoever sent it is to send it again."""

    slug = "not-ready"


class BadSettings(UnmaskError):
    """The configuration is incomplete or contradicts itself."""

    slug = "bad-settings"


class WorldDown(UnmaskError):
    """An engine that Unmask depends on does not answer; the work will be tried again."""

    slug = "world-down"


class BadSignature(BadCredentials):
    """The message is not signed as this source's messages are."""

    slug = "bad-signature"


class BadEvent(Refused):
    """The message is signed but cannot be read."""

    slug = "bad-event"


class SourceDisabled(UnmaskError):
    """This source is disabled and takes nothing."""

    slug = "source-disabled"
