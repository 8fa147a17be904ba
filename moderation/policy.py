"""Policy: what a platform wants done with a score, with its own requests, and with what it sent once it is old.

A policy is a JSON object beside the platform's row; what it does not name is as below. It is read strictly: a word that
nobody knows is refused rather than ignored, since a rule that silently does not hold is worse than none.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from moderation.errors import ForbiddenCallback, Refused
from moderation.tables import PRIORITIES, Json

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Priority = Literal["urgent", "default", "bulk"]
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


def _host(text: str) -> str:
    if len(text) > 255 or not _HOST.fullmatch(text.lower()):
        raise ValueError("must be a host such as hooks.example.org, or *.example.org for every host below it")
    return text.lower()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Thresholds(_Strict):
    """The platform's own bands over the calibrated score: `review` from here on, `fake` from there on."""

    review: Share
    fake: Share

    @model_validator(mode="after")
    def _ordered(self) -> "Thresholds":
        if self.review > self.fake:
            raise ValueError("review must not be above fake")
        return self


class Priorities(_Strict):
    """``default`` is what a submission gets that names none; what names more than ``highest`` gets that instead."""

    default: Priority = "default"
    highest: Priority = "urgent"

    @model_validator(mode="after")
    def _ordered(self) -> "Priorities":
        if PRIORITIES.index(self.default) < PRIORITIES.index(self.highest):
            raise ValueError("default must not be more urgent than highest")
        return self


class Policy(_Strict):
    """What one platform wants; every field has a default."""

    thresholds: Thresholds | None = Field(None, description="bands of its own; the detector release's where absent")
    flag_bands: tuple[Literal["clear", "review", "fake"], ...] = Field(
        ("review", "fake"), description="bands that are put before people"
    )
    inconclusive: Literal["review", "ignore", "score"] = Field(
        "review",
        description="one is put before people, or left alone, or banded by its score all the same",
    )
    priority: Priorities = Priorities()
    retention_days: int | None = Field(
        None, ge=1, le=36_500, description="a submission is erased this long after it was finished; never where absent"
    )
    keep_features: bool = Field(
        False, description="features of faces are kept with the submission, for detectors to learn from decisions"
    )
    callback_hosts: tuple[Annotated[str, AfterValidator(_host)], ...] | None = Field(
        None, description="hosts that a callback_url may name; any where absent"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Policy":
        if self.inconclusive == "score" and self.thresholds is None:
            raise ValueError(
                "inconclusive can be 'score' only with thresholds: the release's do not hold for doubtful media"
            )
        return self

    @classmethod
    def read(cls, stored: Json) -> "Policy":
        """Returns the policy that ``stored`` spells.

        Raises:
            Refused: naming each field that is not acceptable, and why.
        """
        try:
            return cls.model_validate_json(
                json.dumps(stored)
            )  # as JSON, so that its lists are sequences to strict pydantic
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc'])) or 'policy'}: {_said(fault)}" for fault in error.errors())
            raise Refused("; ".join(faults)) from None


def merged(stored: Json, changes: Mapping[str, Any]) -> Json:
    """Returns ``stored`` with each field of ``changes`` set, or taken out where None; `a.b` is a field of a field."""
    result: Json = json.loads(json.dumps(stored))
    for name, value in changes.items():
        *above, last = name.split(".")
        place = result
        for step in above:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise Refused(f"{step} has no fields of its own")
        place.pop(last, None)
        if value is not None:
            place[last] = value
    return {name: value for name, value in result.items() if value != {}}


def _said(fault: Any) -> str:
    return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ")


def band(policy: Policy, score: float, detected: str, *, traced: bool = False, unjudged: bool = False) -> str:
    """Returns the band of a verdict under a policy.

    Args:
        score: calibrated P(fake), 0 to 1.
        detected: the detector release's own band.
        unjudged: the media shows faces that nobody judged, so that no score makes it clear.
        traced: something besides the score speaks against the media; people look then, however low the score is.
    """
    own = policy.thresholds
    if own is None or (detected == "inconclusive" and policy.inconclusive != "score"):
        found = detected
    else:
        found = "fake" if score >= own.fake else "review" if score >= own.review else "clear"
    unseen = found == "clear" or (found == "inconclusive" and policy.inconclusive == "ignore")
    placed = "review" if traced and unseen else found
    return "inconclusive" if unjudged and placed == "clear" else placed


def opens_flag(policy: Policy, placed: str) -> bool:
    """Says whether a verdict that is ``placed`` in this band (see `band`) goes before people."""
    return policy.inconclusive == "review" if placed == "inconclusive" else placed in policy.flag_bands


def priority(policy: Policy, asked: int | None) -> int:
    """Returns the priority that a submission gets, as an index into `PRIORITIES`; None: it named none."""
    wanted = PRIORITIES.index(policy.priority.default) if asked is None else asked
    return max(wanted, PRIORITIES.index(policy.priority.highest))


def check_callback(policy: Policy, url: str) -> None:
    """Lets a ``callback_url`` pass that the platform allows itself.

    Raises:
        ForbiddenCallback: when its host is not among ``callback_hosts``.
    """
    if policy.callback_hosts is None:
        return
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not any(_covers(allowed, host) for allowed in policy.callback_hosts):
        raise ForbiddenCallback(f"the platform's policy allows no callbacks to {host or 'that address'}")


def _covers(allowed: str, host: str) -> bool:
    return host.endswith(allowed[1:]) and host != allowed[2:] if allowed.startswith("*") else host == allowed
