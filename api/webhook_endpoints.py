"""Webhook endpoints: where a platform wants to be told. A secret is shown once, when it is made."""

from typing import Any

from apiflask import APIBlueprint

from api import credentials, schemas
from api.collaborators import collaborators
from moderation import deliveries, endpoints

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


@blueprint.get("/<id:endpoint_id>")
@credentials.require("read")
@blueprint.output(schemas.Endpoint)
def show(endpoint_id: str) -> Any:
    """Read a webhook endpoint

    Without its secret.
    """
    with collaborators().sessions.begin() as session:
        return endpoints.get(session, credentials.platform_id(), endpoint_id)


@blueprint.patch("/<id:endpoint_id>")
@credentials.require("manage")
@blueprint.input(schemas.EndpointChange, location="json")
@blueprint.output(schemas.Endpoint)
def change(endpoint_id: str, json_data: schemas.EndpointChange) -> Any:
    """Change a webhook endpoint

    Its address, its events, or whether anything is sent to it. What is absent stays as it is.
    """
    at = collaborators()
    with at.sessions.begin() as session:
        return endpoints.change(
            session,
            endpoints.get(session, credentials.platform_id(), endpoint_id).id,
            **json_data.model_dump(),
            allowed_networks=at.settings.allowed_networks,
        )


@blueprint.post("/<id:endpoint_id>/test")
@credentials.require("manage")
@blueprint.output(schemas.Delivery, status_code=202, description="In line")
def test(endpoint_id: str) -> tuple[Any, int]:
    """Test a webhook endpoint

    Sends an `endpoint.test` message, whichever events the endpoint wants. `GET /v1/deliveries/{id}` tells what came
    of it.
    """
    at = collaborators()
    with at.sessions.begin() as session:
        row = deliveries.ping(session, endpoints.get(session, credentials.platform_id(), endpoint_id))
    at.bell.deliveries()
    return row, 202


@blueprint.post("/<id:endpoint_id>/rotate")
@credentials.require("manage")
@blueprint.input(schemas.Rotation, location="json")
@blueprint.output(schemas.NewEndpoint)
def rotate(endpoint_id: str, json_data: schemas.Rotation) -> Any:
    """Give a webhook endpoint a new secret

    The answer shows it this once. Until the overlap ends, each message carries a signature of both secrets, so that
    receivers can change over in their own time. Rotated again meanwhile, all three sign: nothing that verified stops
    to before its time (beyond four secrets the oldest goes). An overlap of 0 ends every secret before at once.
    """
    with collaborators().sessions.begin() as session:
        platform = credentials.platform_id()
        found = endpoints.get(session, platform, endpoint_id)
        return endpoints.rotate(session, found.id, json_data.overlap_seconds, actor=platform)


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
