"""Webhook endpoints: where a platform wants to be told. A secret is shown once, when it is made."""

from typing import Any

from apiflask import APIBlueprint

from api import credentials, schemas
from api.collaborators import collaborators
from moderation import endpoints

blueprint = APIBlueprint("webhook_endpoints", __name__, url_prefix="/v1/webhook-endpoints", tag="Webhooks")


@blueprint.get("")
@credentials.require("read")
@blueprint.output(schemas.EndpointList)
def listing() -> dict[str, Any]:
    """List webhook endpoints

    Oldest first, without their secrets.
    """
    with collaborators().sessions.begin() as session:
        return {"items": list(endpoints.every(session, credentials.platform_id()))}


@blueprint.post("")
@credentials.require("manage")
@blueprint.input(schemas.EndpointForm, location="json")
@blueprint.output(schemas.NewEndpoint, status_code=201, description="Added")
def add(json_data: schemas.EndpointForm) -> tuple[Any, int]:
    """Add a webhook endpoint

    Addresses that lead into private networks are refused, now and again at every send. Keep the `secret`: it verifies
    what we send (Standard Webhooks), and it is not shown again.
    """
    at = collaborators()
    with at.sessions.begin() as session:
        return endpoints.create(
            session,
            credentials.platform_id(),
            json_data.url,
            json_data.events,
            allowed_networks=at.settings.allowed_networks,
        ), 201


@blueprint.delete("/<id:endpoint_id>")
@credentials.require("manage")
@blueprint.output({}, status_code=204, description="Removed")
def remove(endpoint_id: str) -> str:
    """Remove a webhook endpoint

    What still waits to be sent to it is dropped.
    """
    with collaborators().sessions.begin() as session:
        endpoints.delete(session, endpoints.get(session, credentials.platform_id(), endpoint_id).id)
    return ""
