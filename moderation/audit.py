"""The audit trail: who did what, when, and what changed. Rows are added in the transaction of what they tell of."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from moderation.tables import AuditRow, Json


def write(
    session: Session, actor: str, action: str, subject: str, old: Json | None = None, new: Json | None = None
) -> None:
    """Adds a row. ``actor`` and ``subject`` are ids (or `system`); ``action`` reads like `flag.claimed`."""
    session.add(AuditRow(actor=actor, action=action, subject=subject, old=old, new=new))


def page(
    session: Session, subject: str | None = None, *, limit: int = 100, before: int | None = None
) -> list[AuditRow]:
    """Returns the newest rows, of one subject or of all, older than row ``before`` when given."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    if before is not None:
        query = query.where(AuditRow.id < before)
    return list(session.scalars(query))
