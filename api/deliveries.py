"""Deliveries as their platform sees them: what was sent, what waits, what failed."""

from typing import Any

from apiflask import APIBlueprint

from api import credentials, schemas
from api.collaborators import collaborators
from moderation import deliveries

blueprint = APIBlueprint("deliveries", __name__, url_prefix="/v1/deliveries", tag="Webhooks")


@blueprint.get("")
@credentials.require("read")
@blueprint.input(schemas.DeliveryFilter, location="query")
@blueprint.output(schemas.DeliveryPage)
def listing(query_data: schemas.DeliveryFilter) -> dict[str, Any]:
    """List deliveries

    Newest first. Follow `next_cursor` until it is null.
    """
    wanted = query_data.limit
    with collaborators().sessions.begin() as session:
        rows = deliveries.page(
            session,
            credentials.platform_id(),
            query_data.status,
            query_data.endpoint_id,
            limit=wanted + 1,
            before=query_data.cursor,
        )
    return {"items": rows[:wanted], "next_cursor": rows[wanted - 1].id if len(rows) > wanted else None}


@blueprint.get("/<id:delivery_id>")
@credentials.require("read")
@blueprint.output(schemas.DeliveryRecord)
def show(delivery_id: str) -> schemas.DeliveryRecord:
    """Read a delivery

    With the exact text that is sent, and every try at sending it.
    """
    with collaborators().sessions.begin() as session:
        row = deliveries.get(session, credentials.platform_id(), delivery_id)
        tries = deliveries.attempts(session, row.id)
        shown = schemas.Delivery.model_validate(row).model_dump()
        return schemas.DeliveryRecord(
            **shown, body=row.body, tries=[schemas.DeliveryAttempt.model_validate(one) for one in tries]
        )


@blueprint.post("/<id:delivery_id>/replay")
@credentials.require("manage")
@blueprint.output(schemas.Delivery, status_code=202, description="In line again")
def replay(delivery_id: str) -> tuple[Any, int]:
    """Send a delivery again

    The same message under the same `webhook-id`, so a receiver that has it already can tell, with its whole schedule
    of attempts before it.
    """
    at = collaborators()
    with at.sessions.begin() as session:
        row = deliveries.replay(session, credentials.platform_id(), delivery_id)
    at.bell.deliveries()
    return row, 202
