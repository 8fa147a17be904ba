"""The catalogue of problems: each kind of refusal with the slug that programs decide by, and advice for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal. ``slug`` never changes its meaning; ``advice`` is for the engineer who met it."""

    slug: str
    status: int
    title: str
    advice: str

    @property
    def type(self) -> str:
        """The problem's address on this server; it answers with a page."""
        return f"/problems/{self.slug}"


CATALOGUE = {
    problem.slug: problem
    for problem in (
        Problem("bad-request", 400, "The request could not be read", "Compare it with the contract at /docs."),
        Problem(
            "bad-credentials",
            401,
            "The credentials are not valid",
            "Send `Authorization: Bearer <api key>` with a key that is neither revoked nor expired.",
        ),
        Problem(
            "scope-missing",
            403,
            "The API key may not do that",
            "`detail` names the scope it lacks. Use another key, or have one made: `unmask key create --scope …`.",
        ),
        Problem(
            "bad-upload-url",
            403,
            "The upload's address is not valid",
            "It is bound to one upload, its size and its expiry. Announce the file anew with `POST /v1/uploads`.",
        ),
        Problem(
            "bad-signature",
            401,
            "The message is not signed as this source's messages are",
            "`detail` says what is wrong. See what was verified and why: `unmask source test ID`, or the dashboard.",
        ),
        Problem("bad-event", 400, "The message cannot be read", "`detail` says why. It is signed well."),
        Problem("forbidden", 403, "That is not yours to do", "Ask whoever runs this installation."),
        Problem(
            "not-found",
            404,
            "There is nothing under that name",
            "The address is wrong, or what it named belongs to another platform.",
        ),
        Problem("method-not-allowed", 405, "This address does not take that method", "The Allow header lists them."),
        Problem("too-slow", 408, "The body arrives too slowly", "Send it again over a better line, or in less time."),
        Problem("conflict", 409, "Something else happened first", "Read the present state and decide again."),
        Problem("claim-lost", 409, "The claim has ended", "Claim the flag again; somebody else may hold it now."),
        Problem("appealed-meanwhile", 409, "The flag was appealed meanwhile", "Read the appeal, then decide."),
        Problem("already-decided", 409, "The flag is already decided", "Undo the standing decision first."),
        Problem(
            "nothing-to-undo", 409, "There is nothing to undo", "Only a standing decision of your own can be undone."
        ),
        Problem("still-waiting", 409, "The delivery is still on its way", "It is tried again by itself; no need to."),
        Problem(
            "endpoint-disabled",
            409,
            "The webhook endpoint is disabled",
            "See `disabled_reason`, mend what it says, then enable it with `PATCH /v1/webhook-endpoints/{id}`.",
        ),
        Problem(
            "upload-missing",
            409,
            "The upload has no bytes",
            "PUT the file to the upload's `url` first. Once a submission has fetched it, announce it anew.",
        ),
        Problem(
            "not-appealable",
            409,
            "The submission cannot be appealed as it stands",
            "Wait until its state is `scored`; one that failed or was deleted has no outcome to object to.",
        ),
        Problem(
            "too-many-appeals", 409, "The submission was appealed too often", "People have read the reasons given."
        ),
        Problem("name-taken", 409, "The name is in use", "Choose another one."),
        Problem("source-disabled", 410, "The source is disabled", "Enable it: `unmask source enable ID`."),
        Problem(
            "too-large",
            413,
            "The request is larger than this service accepts",
            "Send a smaller file, or ask the operator to raise UNMASK_MAX_BYTES.",
        ),
        Problem("uri-too-long", 414, "The address is too long", "An address and its query have at most 4 kB."),
        Problem("headers-too-large", 431, "The headers are too large", "At most 100 of them, of 8 kB each."),
        Problem(
            "unsupported-media-type",
            415,
            "That format is not accepted",
            "The bytes decide, not the file's name. The accepted formats are listed at /docs.",
        ),
        Problem(
            "invalid-request", 422, "A field of the request is not acceptable", "`errors` names fields and faults."
        ),
        Problem("refused", 422, "The request is not acceptable", "`detail` says why."),
        Problem("bad-media", 422, "The file is not acceptable", "`detail` says why."),
        Problem("empty-file", 422, "The file is empty", "Check that the upload was read from its beginning."),
        Problem("torn-file", 422, "The file is incomplete or damaged", "Send it again from its source."),
        Problem(
            "too-many-pixels",
            422,
            "The picture is larger than this service decodes",
            "Scale it down, or ask the operator to raise UNMASK_MAX_PIXELS, for JPEG "
            "UNMASK_MAX_JPEG_PIXELS, for video UNMASK_MAX_VIDEO_PIXELS.",
        ),
        Problem(
            "too-long",
            422,
            "The video is longer than this service takes",
            "Shorten it, or ask the operator to raise UNMASK_MAX_SECONDS.",
        ),
        Problem(
            "too-many-tracks",
            422,
            "The video has more tracks of pictures than are looked at",
            "Send the one that is shown.",
        ),
        Problem(
            "too-much-metadata",
            422,
            "The file holds more beside its pixels than this service skips",
            "Remove what is no picture (texts, profiles, previews) and send it again.",
        ),
        Problem(
            "too-many-frames",
            422,
            "The animation is longer than this service decodes",
            "Shorten it, or ask the operator to raise UNMASK_MAX_FRAMES.",
        ),
        Problem(
            "too-complex",
            422,
            "The file has more parts than this service decodes",
            "Save it again with an ordinary program: such a file has thousands of scans, segments, chunks or boxes.",
        ),
        Problem(
            "forbidden-address",
            422,
            "Unmask does not connect to that address",
            "Webhooks go to public https addresses; media come from public https or http ones, on their usual ports. "
            "An operator may allow others: UNMASK_ALLOWED_NETWORKS.",
        ),
        Problem(
            "callback-not-allowed",
            422,
            "The policy of the platform allows no callbacks to that host",
            "Name another `callback_url`, or have `callback_hosts` changed: `unmask platform policy ID`.",
        ),
        Problem(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key belongs to another request",
            "Use a new key for every new request; repeat one only with the very same body.",
        ),
        Problem("too-many-requests", 429, "Too many requests", "Wait as long as Retry-After says."),
        Problem(
            "line-too-long",
            503,
            "Too many submissions are waiting",
            "Nothing was accepted. Try again after Retry-After, with jitter; urgent submissions come in for longer.",
        ),
        Problem("not-ready", 503, "The message cannot be used yet", "Send the same again after Retry-After."),
        Problem("internal-error", 500, "Something is broken on our side", "Tell the operator the request_id."),
        Problem("world-down", 503, "Part of the service is away", "Nothing was accepted. Try again after Retry-After."),
    )
}
BY_STATUS = {
    400: "bad-request",
    401: "bad-credentials",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "conflict",
    413: "too-large",
    414: "uri-too-long",
    431: "headers-too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    503: "world-down",
}
