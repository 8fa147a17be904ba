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
            session, credentials.platform_id(), query_data.status, limit=wanted + 1, before=query_data.cursor
        )
    return {"items": rows[:wanted], "next_cursor": rows[wanted - 1].id if len(rows) > wanted else None}
