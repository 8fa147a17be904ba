"""Platforms and what their policies say, for leads and administrators. It only reads; a command changes policies."""

from typing import Final, NamedTuple

from flask import abort, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user

from api.collaborators import collaborators
from api.dashboard.pages import blueprint
from moderation import platforms
from moderation.errors import Refused
from moderation.policy import Policy
from moderation.tables import Platform

INCONCLUSIVE: Final = {
    "review": "put before people",
    "ignore": "left alone",
    "score": "banded by its score all the same",
}


class Shown(NamedTuple):
    """A platform as the page has it: its policy in words, or what is wrong with it."""

    platform: Platform
    policy: dict[str, str]
    problem: str | None


@blueprint.get("/platforms")
def tenants() -> ResponseReturnValue:
    """Lists platforms, oldest first."""
    if not current_user.oversees:
        abort(403)
    with collaborators().sessions.begin() as ledger:
        shown = [_shown(platform) for platform in platforms.every(ledger)]
    return render_template("dashboard/platforms.html", platforms=shown, columns=list(_words(Policy())))


def _shown(platform: Platform) -> Shown:
    try:
        return Shown(platform, _words(Policy.read(platform.policy)), None)
    except Refused as error:
        return Shown(platform, {}, error.detail)


def _words(rules: Policy) -> dict[str, str]:
    own, hosts, days = rules.thresholds, rules.callback_hosts, rules.retention_days
    return {
        "Bands": f"review from {own.review:g}, fake from {own.fake:g}" if own else "the detector's own",
        "Put before people": ", ".join(rules.flag_bands) or "nothing",
        "Inconclusive": INCONCLUSIVE[rules.inconclusive],
        "Priority": f"{rules.priority.default}, at most {rules.priority.highest}",
        "Kept": f"{days} day{'s' if days > 1 else ''} after it is finished" if days else "until somebody erases it",
        "Features of faces": "kept, to learn from decisions" if rules.keep_features else "not kept",
        "Callbacks to": "any public host" if hosts is None else ", ".join(hosts) or "nowhere",
    }
