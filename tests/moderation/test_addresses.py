import threading
from ipaddress import ip_address

import pytest

from moderation import addresses
from moderation.errors import ForbiddenAddress, Unresolved

PUBLIC = "93.184.215.14"


def answering(*found):
    return lambda *_: found


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "64:ff9b::5db8:d70e"])
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
        "192.0.0.192",  # Oracle's metadata
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
        "::ffff:93.184.215.14",  # no name server has reason to map even a public one
        "::7f00:1",  # IPv4-compatible
        "64:ff9b::a9fe:a9fe",  # NAT64 of metadata
        "64:ff9b:1::1",  # local NAT64
        "2002:7f00:1::",  # 6to4 of loopback
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "4000::1",  # not given out
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(ForbiddenAddress, match="does not connect to"):
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
        ("https://bücher.example/", "ASCII"),
        ("https://ⓛocalhost/", "ASCII"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://127.0.0.1%2f.example.org/", "ASCII form"),
        ("https://a,b.example.org/", "ASCII form"),
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


MEDIA_REFUSED = [
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::a9fe:a9fe]/",
    "http://[ff02::1]/",
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://168.63.129.16/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://media.example.org:22/",
    "http://media.example.org:6379/",
    "https://media.example.org:8443/",
    "http://user@media.example.org/",
    "http://media.example.org@127.0.0.1/",
    "http://media.example.org\\@127.0.0.1/",
    "http://media.example.org/\r\nHost: 127.0.0.1",
    "http://media.example.org/\t",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://ex\u00adample.org/",
    "http://[::1%25lo]/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/stats",
    "ftp://media.example.org/a.jpg",
    "data:image/png;base64,AAAA",
    "//media.example.org/a.jpg",
    "http:///a.jpg",
    "http://",
    "",
]


@pytest.mark.parametrize("url", MEDIA_REFUSED)
def test_what_is_wrong_by_its_shape_is_refused_without_asking_a_name_server(url, monkeypatch):
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name server was asked"))
    with pytest.raises(ForbiddenAddress):
        addresses.check(url)


@pytest.mark.parametrize("url", MEDIA_REFUSED)
def test_what_is_wrong_by_its_shape_is_refused_where_it_is_reached_too(url):
    with pytest.raises(ForbiddenAddress):
        addresses.resolve(url, schemes=addresses.MEDIA)


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example.org/a.jpg?size=large#top",
        "http://media.example.org/a.jpg",
        "HTTPS://MEDIA.example.org:443/",
        "http://media.example.org:443/",
        "http://93.184.215.14/a.jpg",
        "http://[2606:4700::1111]/",
        "http://xn--bcher-kva.example/",
        "http://my_bucket.example.org./",
    ],
)
def test_media_may_come_from_public_addresses_by_http_and_https(url):
    addresses.check(url)
    resolver = None if "93." in url or "[" in url else answering(PUBLIC)
    assert addresses.resolve(url, schemes=addresses.MEDIA, resolver=resolver).host


def test_the_check_knows_of_allowed_networks():
    local = ["127.0.0.0/8"]
    for url in ("http://127.0.0.1:8080/a.jpg", "http://localhost:8080/a.jpg", "http://0x7f000001:8080/"):
        addresses.check(url, allowed_networks=local)
    with pytest.raises(ForbiddenAddress):
        addresses.check("http://10.0.0.1:8080/a.jpg", allowed_networks=local)
    with pytest.raises(ForbiddenAddress, match="https"):
        addresses.check("http://93.184.215.14/in", schemes=addresses.WEBHOOKS)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "2130706433", "127.1"])
def test_the_systems_own_answers_are_judged(name):
    with pytest.raises(ForbiddenAddress):
        addresses.resolve(f"http://{name}/", schemes=addresses.MEDIA)
    target = addresses.resolve(f"http://{name}/", schemes=addresses.MEDIA, allowed_networks=["127.0.0.0/8", "::1/128"])
    assert ip_address(target.address).is_loopback


def test_a_name_server_that_does_not_answer_is_left_in_time():
    stuck = threading.Event()
    with pytest.raises(Unresolved, match="within"):
        addresses.resolve("https://slow.example.org/", resolver=lambda *_: stuck.wait(30), seconds=0.05)
    stuck.set()


def test_lookups_that_are_stuck_are_bounded(monkeypatch):
    monkeypatch.setattr(addresses, "LOOKUPS", threading.BoundedSemaphore(1))
    stuck, url = threading.Event(), "https://slow.example.org/"
    with pytest.raises(Unresolved, match="within"):
        addresses.resolve(url, resolver=lambda *_: stuck.wait(30) and [PUBLIC], seconds=0.05)
    with pytest.raises(Unresolved, match="within"):
        addresses.resolve(url, resolver=lambda *_: pytest.fail("a second lookup began"), seconds=0.05)
    stuck.set()
    assert addresses.resolve(url, resolver=answering(PUBLIC), seconds=30).address == PUBLIC
