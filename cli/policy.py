"""`unmask platform policy`: what a platform's policy says, and how an operator changes it.

With this module imported, the group of platforms has that command too.
"""

import json
from typing import Any

import click

from cli.ledger import as_json, opened, platform, show
from moderation import platforms
from moderation.errors import Refused
from moderation.policy import Policy

__all__ = ["platform", "policy"]

LISTS = ("flag_bands", "callback_hosts")


@platform.command("policy")
@click.argument("platform_id", metavar="ID")
@click.option("--set", "given", multiple=True, metavar="FIELD=VALUE", help="May be repeated; lists are a,b,c.")
@click.option("--unset", "taken", multiple=True, metavar="FIELD", help="Back to the default; may be repeated.")
@as_json
def policy(platform_id: str, given: tuple[str, ...], taken: tuple[str, ...], in_json: bool) -> None:
    """Show a platform's policy, or change it.

    \b
    thresholds.review, thresholds.fake   scores from which its bands begin; both or none
    flag_bands                           bands that people see: clear,review,fake
    inconclusive                         review, ignore, or score (needs thresholds)
    priority.default, priority.highest   urgent, default or bulk
    retention_days                       after which what is finished is erased
    keep_features                        true: detectors may learn from decisions (false deletes what was kept)
    callback_hosts                       hosts.example.org,*.example.org

    A change holds for what is scored or sent from then on.
    """  # noqa: D301 - click's own mark for lines that stay as they are
    changes: dict[str, Any] = dict.fromkeys(taken) | dict(map(_read, given))
    with opened() as session:
        row = platforms.change_policy(session, platform_id, changes) if changes else platforms.get(session, platform_id)
        rules = Policy.read(row.policy).model_dump(mode="json")
        shown = {"id": row.id, "name": row.name}
    show(shown | {"policy": rules} if in_json else shown | _flat(rules), in_json)


def _read(pair: str) -> tuple[str, Any]:
    """Returns field and value of ``FIELD=VALUE``; the value is JSON, or the text as it stands."""
    name, separator, text = pair.partition("=")
    if not separator or not name:
        raise Refused(f"--set takes FIELD=VALUE, not {pair!r}")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return name, [part.strip() for part in value.split(",")] if name in LISTS and isinstance(value, str) else value


def _flat(rules: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in rules.items():
        flat |= {f"{name}.{inner}": kept for inner, kept in value.items()} if isinstance(value, dict) else {name: value}
    return flat
