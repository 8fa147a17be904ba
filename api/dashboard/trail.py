"""The audit trail as a page, for leads and administrators. It only reads."""

from collections.abc import Iterable

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.collaborators import collaborators
from api.dashboard.pages import blueprint
from moderation import audit
from moderation.tables import AuditRow, Person

PAGE = 100
LARGEST_ROW = 2**63 - 1


@blueprint.get("/audit")
def trail() -> ResponseReturnValue:
    """Lists the newest rows, of everything or of one subject, and the way to older ones."""
    if not current_user.oversees:
        abort(403)
    subject = request.args.get("subject", "").replace("\0", "").strip()
    before = request.args.get("before", type=int)
    with collaborators().sessions.begin() as ledger:
        rows = audit.page(ledger, subject or None, limit=PAGE + 1, before=before and min(before, LARGEST_ROW))
        people = names(ledger, (name for row in rows for name in _mentioned(row)))
        shown, more = rows[:PAGE], len(rows) > PAGE
        return render_template("dashboard/audit.html", rows=shown, more=more, subject=subject, people=people)


def _mentioned(row: AuditRow) -> list[str]:
    values = [*(row.old or {}).values(), *(row.new or {}).values()]
    return [row.actor, row.subject, *(value for value in values if isinstance(value, str))]


def names(ledger: Session, ids: Iterable[str]) -> dict[str, str]:
    """Returns the addresses of those among ``ids`` that are people."""
    found = ledger.scalars(select(Person).where(Person.id.in_(set(ids))))
    return {person.id: person.email for person in found}
