"""How values read on a page: ages, sizes, scores, reasons and actions in plain words. It decides nothing."""

from datetime import UTC, datetime

from api.dashboard.pages import blueprint
from moderation import timelines

REASONS = {
    "manipulated_face": "Looks most like a manipulated face: swapped, morphed or altered",
    "synthetic_image": "Looks most like an image made by a generator as a whole",
    "no_face": "No face was found, so there is nothing to judge",
    "face_too_small": "The face is too small to judge",
    "low_quality": "The image is too blurred or too compressed to judge",
    "out_of_distribution": "The image is unlike anything the detector was tested on",
    "not_a_photograph": "It looks drawn or painted, and the detector judges photographs",
    "face_covered": "Too much of the face is covered, by text, a mask or something else, to judge it",
    "disagreement": "The parts of the detector disagree with each other",
    "faces_not_judged": "There are more faces than are judged",
    "declared_synthetic": "The file itself says that a model made it",
}
FAILURES = {
    "attempts-exhausted": "It was tried several times and never finished",
    "forbidden-address": "It leads to where Unmask does not connect",
    "fetch-failed": "Its server could not be reached, or ended the connection",
    "fetch-timeout": "Its server took too long",
    "fetch-status": "Its server did not give it",
    "fetch-redirect": "Its server redirects too often, to nowhere, or away from https",
    "fetch-encoded": "Its server compressed it unasked",
    "no-room": "There is no room here for a file of that size",
    "upload-missing": "Nothing was uploaded",
    "too-large": "The file is larger than accepted",
    "torn-file": "The file is incomplete or damaged",
    "unsupported-media-type": "The file is neither an image nor a video in an accepted format",
    "too-long": "The video is longer than accepted",
    "too-many-pixels": "The picture is larger than accepted",
    "media-missing": "Its bytes are not in storage any more",
    "media-damaged": "Its bytes were damaged in storage; they can be sent again",
    "too-complex": "The file has more parts than are worth decoding",
    "too-costly": "Decoding the file took too much time or memory",
    "too-many-frames": "The animation has more frames than accepted",
    "too-many-tracks": "The video has more tracks of pictures than are looked at",
    "too-much-metadata": "The file holds more beside its pixels than is skipped",
    "undecodable": "No picture in the file can be decoded",
}
QUALITIES = {"sharpness": "sharpness", "confidence": "face finder"}  # `size_px` repeats the box
BANDS = {"fake": "Fake", "review": "Review", "inconclusive": "Inconclusive", "clear": "Clear"}
ACTIONS = {
    "flag.claimed": "claimed it",
    "flag.released": "gave it back",
    "flag.appealed": "appealed",
    "flag.decided": "answered",
    "decision.undone": "took the answer back:",
    "login.succeeded": "logged in",
    "login.failed": "failed to log in",
}


@blueprint.app_template_filter()
def reason(slug: str) -> str:
    """Returns a reason as a sentence; one that is not known here keeps its own words."""
    known = REASONS.get(slug) or FAILURES.get(slug)
    return known or str(slug).replace("_", " ").replace("-", " ").capitalize()


@blueprint.app_template_filter()
def qualities(measured: dict[str, float]) -> dict[str, float]:
    """Returns those of a face's measurements that tell a person something, under the words they know."""
    return {QUALITIES.get(name, name.replace("_", " ")): value for name, value in measured.items() if name != "size_px"}


@blueprint.app_template_filter()
def band(name: str) -> str:
    """Returns a band's name as people read it."""
    return BANDS.get(name, name)


@blueprint.app_template_filter()
def action(name: str) -> str:
    """Returns an audit row's action as the verb of a sentence about its actor."""
    return ACTIONS.get(name, name)


@blueprint.app_template_filter()
def score(value: float) -> str:
    """Returns P(fake) with two decimals; rounding never makes a certainty of it."""
    if value < 0.01:
        return "< 0.01"
    return "> 0.99" if value > 0.99 else f"{value:.2f}"


@blueprint.app_template_filter()
def age(moment: datetime) -> str:
    """Returns how long ago ``moment`` was: `now`, `3 min`, `2 h 05 min`, `4 days`."""
    return span((datetime.now(UTC) - moment).total_seconds())


def span(seconds: float) -> str:
    """Returns a length of time in words."""
    minutes = int(max(seconds, 0) // 60)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} days"


@blueprint.app_template_filter()
def moment(value: datetime) -> str:
    """Returns an absolute time, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@blueprint.app_template_filter()
def size(count: int) -> str:
    """Returns a number of bytes in the unit that suits it."""
    for unit, factor in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


@blueprint.app_template_filter()
def ahead(moment: datetime | None) -> bool:
    """Says whether ``moment`` is still to come."""
    return moment is not None and moment > datetime.now(UTC)


@blueprint.app_template_filter()
def number(value: object) -> str:
    """Returns a measurement short enough for a table: three significant digits, or as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


MANIFESTS = {
    "valid": "Its signature holds. Whether the signer can be trusted was not looked into",
    "trusted": "Its signature holds, and the signer is on the list of trusted ones",
    "untrusted": "Its signature holds, but the signer is not on the list of trusted ones",
    "invalid": "It does not belong to these bytes: they were changed after signing, or the signature is broken",
    "remote": "It is kept on another server, which was not asked",
    "unreadable": "It is there and cannot be read",
}


@blueprint.app_template_filter()
def manifest(state: str) -> str:
    """Returns what the state of a C2PA manifest means."""
    return MANIFESTS.get(state, state)


@blueprint.app_template_filter()
def shown_frame(frames: list[timelines.Frame]) -> int:
    """Returns the index of the frame that the preview shows."""
    return timelines.best(frames)


@blueprint.app_template_filter()
def strip(frames: list[timelines.Frame]) -> list[timelines.Frame]:
    """Returns the frames that the strip of pictures shows."""
    return timelines.strip(frames)


@blueprint.app_template_filter()
def times(frames: list[timelines.Frame]) -> dict[int, float | None]:
    """Returns the time of each frame by its index."""
    return {frame["index"]: frame.get("time") for frame in frames}


@blueprint.app_template_filter()
def at(seconds: object, index: int) -> str:
    """Returns where in a clip a frame is: `0:07.2`, or its number where it has no time."""
    if not isinstance(seconds, int | float):
        return f"frame {index + 1}"
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


@blueprint.app_template_filter()
def clock(seconds: int) -> str:
    """Returns a short length of time as minutes and seconds, `4:07`; a script counts on from there."""
    return f"{seconds // 60}:{seconds % 60:02d}"
