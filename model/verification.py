"""Whether a release is what its record says and answers here as it did where it was made.

Hashes, the golden set, and the agreement of graph and weights; of an ensemble, those of every member too. It refuses to
call passed what it could not check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model import golden, releases, selection
from model.errors import EncoderError, ReleaseError
from model.releases import Release

PASSED, FAILED, UNCHECKED = "passed", "failed", "not checked"
AGREEMENT = 1e-3  # of logits, between the weights in torch and the graph in ONNX Runtime
_SHOWN = 5  # differences told in one line


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `state` is passed, failed or not checked, `detail` says what was found."""

    name: str
    state: str
    detail: str


def verify(directory: Path, cache: Path | None = None) -> list[Check]:
    """Every check of the release in `directory`; it is sound when none failed. It never raises for a bad release.
    `cache` is where its encoder lies, if it has one: without it the golden set is not checked.
    """
    try:
        release = releases.read(directory)
        members = release.networks if release.members else []
    except ReleaseError as error:
        return [Check("files", FAILED, str(error))]
    pinned = len(release.files) + len(release.members)
    checks = [Check("files", PASSED, f"{pinned} of {pinned} have the SHA-256 that {releases.RECORD} names")]
    checks += _golden(release, cache)
    if not release.members:
        checks.append(_agreement(release))
    for member, _ in members:
        checks += [
            Check(f"{member.directory.name}: {check.name}", check.state, check.detail)
            for check in verify(member.directory, cache)
        ]
    return checks


def sound(checks: list[Check]) -> bool:
    """Whether no check failed."""
    return all(check.state != FAILED for check in checks)


def _golden(release: Release, cache: Path | None) -> Iterator[Check]:
    if release.file(releases.GOLDEN) is None:
        # A release of the first format was made before there were golden sets; that is no fault of its own.
        state = UNCHECKED if release.format == 1 else FAILED
        yield Check("golden set", state, f"the release has no {releases.GOLDEN}")
        return
    try:
        selection.check_encoder(release.directory, cache)
    except EncoderError as error:
        yield Check("golden set", UNCHECKED, str(error))
        return
    try:
        asked, found = golden.read(release), golden.differences(release, cache)
    except (ReleaseError, EncoderError) as error:
        yield Check("golden set", FAILED, str(error))
        return
    for layer, title in golden.LAYERS.items():
        wrong = [f"{each.picture}: {each.detail}" for each in found if each.layer == layer]
        told = "; ".join(wrong[:_SHOWN]) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
        yield Check(title, FAILED if wrong else PASSED, told or f"{len(asked[layer])} answered as before")


def _agreement(release: Release) -> Check:
    name = "graph and weights"
    if None in (release.file(releases.WEIGHTS), release.file(releases.GRAPH)):
        return Check(name, UNCHECKED, "the release has only one of them")
    try:
        from model import agreement
    except ImportError as error:
        return Check(name, UNCHECKED, f"needs {error.name}, which is not installed")
    try:
        gap = agreement.gap(release)
    except (ReleaseError, RuntimeError) as error:
        return Check(name, FAILED, f"cannot be compared: {str(error).splitlines()[0]}")
    told = f"the largest difference in a logit is {gap:.2g}, allowed is {AGREEMENT:g}"
    return Check(name, PASSED if gap <= AGREEMENT else FAILED, told)
