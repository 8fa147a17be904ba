import pytest

from moderation import endpoints, platforms
from moderation.errors import ForbiddenAddress, NotFound, Refused

URL = "http://127.0.0.1:9999/in"
LOCAL = ["127.0.0.0/8"]


@pytest.fixture
def endpoint(session, platform):
    return endpoints.create(session, platform.platform.id, URL, allowed_networks=LOCAL)


def test_an_endpoint_gets_a_secret_of_its_own(session, platform, endpoint):
    other = endpoints.create(session, platform.platform.id, URL, ["flag.opened"], allowed_networks=LOCAL)
    assert endpoint.secret.startswith("whsec_")
    assert endpoint.secret != other.secret
    assert other.events == ["flag.opened"]
    assert endpoints.every(session, platform.platform.id) == [endpoint, other]


def test_a_private_address_is_refused_at_save(session, platform):
    with pytest.raises(ForbiddenAddress):
        endpoints.create(session, platform.platform.id, "https://127.0.0.1/in")
    assert endpoints.every(session) == []


def test_an_unknown_event_is_refused_by_name(session, platform):
    with pytest.raises(Refused, match=r"submission\.eaten"):
        endpoints.create(session, platform.platform.id, URL, ["submission.eaten"], allowed_networks=LOCAL)


def test_an_endpoint_needs_a_platform(session):
    with pytest.raises(NotFound):
        endpoints.create(session, "plt_none", URL, allowed_networks=LOCAL)


def test_a_platform_does_not_see_the_endpoints_of_another(session, platform, endpoint):
    other = platforms.create(session, "Other").platform
    assert endpoints.get(session, platform.platform.id, endpoint.id) is endpoint
    assert endpoints.every(session, other.id) == []
    with pytest.raises(NotFound):
        endpoints.get(session, other.id, endpoint.id)


def test_disabling_keeps_the_first_reason_and_enabling_wipes_the_slate(session, endpoint):
    endpoints.disable(session, endpoint.id, "it answered 410 Gone")
    endpoints.disable(session, endpoint.id)
    assert endpoint.disabled_reason == "it answered 410 Gone"
    endpoint.failing_since = endpoint.disabled_at
    endpoints.enable(session, endpoint.id)
    assert (endpoint.disabled_at, endpoint.disabled_reason, endpoint.failing_since) == (None, None, None)


def test_a_deleted_endpoint_is_gone(session, platform, endpoint):
    endpoints.delete(session, endpoint.id)
    for call in (endpoints.delete, endpoints.disable, endpoints.enable):
        with pytest.raises(NotFound):
            call(session, endpoint.id)
