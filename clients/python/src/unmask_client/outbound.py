"""What can be done with webhook endpoints and deliveries, as steps.

Making, testing, rotating and replaying are not repeated after a lost answer: a second time would do it twice.
"""

from collections.abc import Sequence

from unmask_client.calls import Listing, asked, done, listing, named
from unmask_client.documents import Delivery, DeliveryRecord, DeliveryState, Endpoint, EventType, NewEndpoint
from unmask_client.steps import Request, Steps

ENDPOINTS, DELIVERIES = "/v1/webhook-endpoints", "/v1/deliveries"


def endpoints() -> Listing[Endpoint]:
    """Returns the list of endpoints, oldest first."""
    return listing(Endpoint, ENDPOINTS)


def endpoint(endpoint_id: str) -> Steps[Endpoint]:
    """Reads an endpoint."""
    return asked(Endpoint, Request("GET", named(ENDPOINTS, endpoint_id)))


def create(url: str, events: Sequence[EventType]) -> Steps[NewEndpoint]:
    """Adds an endpoint; no ``events`` means all of them."""
    form = {"url": url, "events": [*events]}
    return asked(NewEndpoint, Request("POST", ENDPOINTS, json=form, repeatable=False))


def update(
    endpoint_id: str, url: str | None, events: Sequence[EventType] | None, enabled: bool | None
) -> Steps[Endpoint]:
    """Changes what is not None."""
    change = {"url": url, "events": None if events is None else [*events], "enabled": enabled}
    form = {name: value for name, value in change.items() if value is not None}
    return asked(Endpoint, Request("PATCH", named(ENDPOINTS, endpoint_id), json=form))


def delete(endpoint_id: str) -> Steps[None]:
    """Removes an endpoint."""
    return done(Request("DELETE", named(ENDPOINTS, endpoint_id)))


def test(endpoint_id: str) -> Steps[Delivery]:
    """Has an `endpoint.test` event sent."""
    request = Request("POST", f"{named(ENDPOINTS, endpoint_id)}/test", repeatable=False)
    return asked(Delivery, request)


def rotate(endpoint_id: str, overlap_seconds: int | None) -> Steps[NewEndpoint]:
    """Gives an endpoint a new secret; the one before signs on for as long as said."""
    form = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
    request = Request("POST", f"{named(ENDPOINTS, endpoint_id)}/rotate", json=form, repeatable=False)
    return asked(NewEndpoint, request)


def deliveries(status: DeliveryState | None, endpoint_id: str | None, page_size: int) -> Listing[Delivery]:
    """Returns the list of deliveries, newest first."""
    return listing(Delivery, DELIVERIES, status=status, endpoint_id=endpoint_id, limit=page_size)


def delivery(delivery_id: str) -> Steps[DeliveryRecord]:
    """Reads a delivery with its text and tries."""
    return asked(DeliveryRecord, Request("GET", named(DELIVERIES, delivery_id)))


def replay(delivery_id: str) -> Steps[Delivery]:
    """Has a delivery sent again."""
    request = Request("POST", f"{named(DELIVERIES, delivery_id)}/replay", repeatable=False)
    return asked(Delivery, request)
