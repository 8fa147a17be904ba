from ipaddress import ip_address

import pytest

from moderation import addresses
from moderation.errors import ForbiddenAddress

PUBLIC = "93.184.215.14"


def answering(*found):
    return lambda *_: found


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_pinned(address):
    target = addresses.resolve("https://hooks.example.org/in?x=1", resolver=answering(address))
    assert (target.host, target.port, target.scheme) == ("hooks.example.org", 443, "https")
    assert ip_address(target.address) == ip_address(address)
    assert target.url == "https://hooks.example.org/in?x=1"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata
        "168.63.129.16",  # Azure's metadata
        "100.64.0.1",  # carrier-grade NAT
        "100.100.100.200",  # Alibaba's metadata
        "192.0.2.1",  # documentation
        "198.18.0.1",  # benchmarking
        "192.88.99.1",  # 6to4 relay
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%2",
        "fc00::1",
        "fd00:ec2::254",  # metadata
        "fec0::1",  # site-local
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::7f00:1",  # IPv4-compatible
        "64:ff9b::a9fe:a9fe",  # NAT64 of metadata
        "64:ff9b:1::1",  # local NAT64
        "2002:7f00:1::",  # 6to4 of loopback
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "4000::1",  # not given out
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(ForbiddenAddress, match="does not send to"):
        addresses.resolve("https://hooks.example.org/", resolver=answering(address))


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(ForbiddenAddress):
        addresses.resolve("https://hooks.example.org/", resolver=answering(PUBLIC, "10.0.0.1"))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost"]
)
def test_loopback_is_refused_however_it_is_spelled(host):
    with pytest.raises(ForbiddenAddress):
        addresses.resolve(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.org/", "https"),
        ("ftp://hooks.example.org/", "https"),
        ("file:///etc/passwd", "https"),
        ("https:///nowhere", "host"),
        ("hooks.example.org", "https"),
        ("https://user@hooks.example.org/", "password"),
        ("https://user:word@hooks.example.org/", "password"),
        ("https://hooks.example.org:6379/", "Port 6379"),
        ("https://hooks.example.org:0/", "well-formed"),
        ("https://hooks.example.org:99999/", "well-formed"),
        ("https://hooks.example.org:x/", "well-formed"),
        ("https://[::1/", "well-formed"),
        ("https://hooks.example.org\\@10.0.0.1/", "backslash"),
        ("https://hooks.example.org/\r\nHost: x", "blanks"),
        ("https://hooks.example.org/ö", "ASCII"),
        ("https://hooks.example.org/" + "a" * 2048, "2048"),
    ],
)
def test_a_url_that_could_mislead_is_refused(url, said):
    with pytest.raises(ForbiddenAddress, match=said):
        addresses.resolve(url, resolver=answering(PUBLIC))


def test_a_name_that_does_not_resolve_is_refused():
    def unknown(host, port):
        raise OSError(host)

    for resolver in (unknown, answering()):
        with pytest.raises(ForbiddenAddress, match="does not resolve"):
            addresses.resolve("https://hooks.example.org/", resolver=resolver)
    with pytest.raises(ForbiddenAddress, match="does not resolve"):
        addresses.resolve(f"https://{'a' * 64}.example.org/")  # the system's resolver cannot even encode it


def test_an_allowed_network_may_be_reached_by_http_on_any_port():
    target = addresses.resolve(
        "http://hooks.internal:8080/in", allowed_networks=["10.0.0.0/8"], resolver=answering("10.1.2.3")
    )
    assert (target.address, target.port, target.scheme) == ("10.1.2.3", 8080, "http")


@pytest.mark.parametrize("found", [("10.1.2.3", "192.168.0.1"), ("192.168.0.1",), ("10.1.2.3", PUBLIC)])
def test_an_allowed_network_allows_nothing_beside_it(found):
    with pytest.raises(ForbiddenAddress):
        addresses.resolve("http://hooks.internal/", allowed_networks=["10.0.0.0/8"], resolver=answering(*found))


def test_an_ipv4_network_is_allowed_in_its_mapped_form_too():
    mapped = addresses.resolve(
        "http://hooks.internal/", allowed_networks=["127.0.0.0/8"], resolver=answering("::ffff:127.0.0.1")
    )
    assert ip_address(mapped.address) == ip_address("::ffff:127.0.0.1")
