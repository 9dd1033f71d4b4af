from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fetch.addresses import AddressPolicy, resolve, special_purpose
from ingest.fetch.downloads import Downloader, FetchLimits
from registry.errors import FetchError, NotReadYet, UsageError
from tests.support.web import Web, redirect, serve, web_server  # noqa: F401  the fixture `web`

BODY = b"\x00\x00\x00\x18ftypmp42" + bytes(2000)
QUICK = FetchLimits(total_s=10, connect_s=2, read_s=2, attempts=1, reserve_bytes=0)

PRIVATE = [
    "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.0.1", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
    "192.168.255.255", "198.18.0.0", "198.19.255.255", "::1", "fc00::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1", "febf::1", "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.255.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.2.1",
    "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
    "::", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:0:7f00:1", "::ffff:224.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::808:808",
    "100::1", "100:0:0:1::1", "2001::1", "2001:0:808:808::f7f7:f7f7", "2001:1::1", "2001:2::1",
    "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff::1",
    "2001:db8::1", "2002::1", "2002:7f00:1::1", "2002:808:808::1", "2620:4f:8000::1", "3fff::1",
    "3fff:fff::1", "5f00::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1", "4000::1", "8000::1",
    "e000::1", "200::1", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "fe80::1%eth0",
    "2606:4700::1%1", "169.254.169.254", "::ffff:169.254.169.254", "169.254.170.2",
    "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "169.254.42.42", "fd00:42::42", "169.254.0.23",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1",
    "3ffe::1", "3fff:1000::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::5efe:808:808",
]  # fmt: skip


def lookup(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    return lambda host, port: addresses


def numeric(host: str, port: int) -> Sequence[str]:
    """As the system reads an address in any notation; names have no address."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [str(entry[4][0]) for entry in found]


# The deny list


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_unless_allowed(address: str) -> None:
    policy = AddressPolicy(resolver=lookup(address))
    with pytest.raises(FetchError, match=r"which is not a public address .*--allow-private-hosts"):
        policy.checked_addresses("a.example", 80)
    allowing = AddressPolicy(allow_private=True, resolver=lookup(address))
    assert allowing.checked_addresses("a.example", 80) == (address,)
    naming = AddressPolicy(allowed_hosts=frozenset({"A.example"}), resolver=lookup(address))
    assert naming.checked_addresses("a.example", 80) == (address,)
    with pytest.raises(FetchError):
        naming.checked_addresses("b.example", 80)


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_are_always_refused(address: str) -> None:
    hosts = frozenset({"a.example"})
    for policy in (
        AddressPolicy(resolver=lookup(address)),
        AddressPolicy(allow_private=True, allowed_hosts=hosts, resolver=lookup(address)),
    ):
        with pytest.raises(FetchError, match="Downloads never connect to it"):
            policy.checked_addresses("a.example", 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressPolicy(resolver=lookup(address)).checked_addresses("a.example", 80) == (address,)


@given(st.ip_addresses())
def test_nothing_gets_through_that_python_calls_special(
    address: IPv4Address | IPv6Address,
) -> None:
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    if not address.is_global and not mapped:
        assert special_purpose(address) is not None


@given(st.ip_addresses(v=4))
def test_an_address_that_stands_for_another_is_judged_by_it(inner: IPv4Address) -> None:
    found = special_purpose(inner)
    assert special_purpose(IPv6Address(f"::ffff:{inner}")) == found
    for text in (f"64:ff9b::{inner}", f"2606:4700::5efe:{inner}"):
        outer = special_purpose(IPv6Address(text))
        assert (outer is None) == (found is None)
        assert outer is None or not outer.private


def test_one_unfit_address_refuses_the_host() -> None:
    policy = AddressPolicy(resolver=lookup("8.8.8.8", "10.0.0.1"))
    with pytest.raises(FetchError, match=r"a\.example resolves to 10\.0\.0\.1"):
        policy.checked_addresses("a.example", 80)


@pytest.mark.parametrize("answer", ["", "nonsense", "1.2.3", "\x1b[2J"])
def test_an_answer_that_is_no_address_is_refused(answer: str) -> None:
    with pytest.raises(FetchError, match="not an address") as caught:
        AddressPolicy(resolver=lookup(answer)).checked_addresses("a.example", 80)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(FetchError, match="has no address"):
        AddressPolicy(resolver=lookup()).checked_addresses("a.example", 80)


@pytest.mark.parametrize("host", ["metadata.google.internal", "metadata", "instance-data"])
def test_metadata_services_are_refused_by_name(host: str) -> None:
    policy = AddressPolicy(
        allow_private=True, allowed_hosts=frozenset({host}), resolver=lookup("8.8.8.8")
    )
    with pytest.raises(FetchError, match="metadata service"):
        policy.checked_addresses(host, 80)


def test_allowed_hosts_are_brought_into_the_form_of_urls() -> None:
    hosts = frozenset({"MEDIA.example.", "[::1]", "::1", "bücher.example"})
    assert AddressPolicy(allowed_hosts=hosts).allowed_hosts == {
        "media.example",
        "::1",
        "xn--bcher-kva.example",
    }


@pytest.mark.parametrize("host", ["", "a.example:80", "a.example/x", "u@a.example", "a b", "*"])
def test_an_allowed_host_that_is_none_is_wrong_usage(host: str) -> None:
    with pytest.raises(UsageError):
        AddressPolicy(allowed_hosts=frozenset({host}))


def test_the_system_is_asked() -> None:
    assert resolve("127.0.0.1", 80) == ("127.0.0.1",)
    assert ip_address(resolve("localhost", 80)[0]).is_loopback


# The wire: URLs that would reach a server on this machine, or another, and must not


def _notations(text: str) -> Iterator[str]:
    """Ways to write an IPv4 address that some system or browser takes."""
    number = int(IPv4Address(text))
    a, b, c, d = IPv4Address(text).packed
    yield text
    yield f"{text}."
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a}.{(b << 16) + (c << 8) + d}"
    yield f"{a}.{b}.{(c << 8) + d}"
    yield f"0x{a:x}.{b}.0{(c << 8) + d:o}"
    yield f"[::ffff:{text}]"
    yield f"[0:0:0:0:0:FFFF:{a:02x}{b:02x}:{c:02x}{d:02x}]"
    yield f"[::{text}]"
    yield f"[64:ff9b::{text}]"
    yield f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]"
    yield f"[2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}::]"
    yield f"[2001::{a ^ 255:02x}{b ^ 255:02x}:{c ^ 255:02x}{d ^ 255:02x}]"
    yield f"[2606:4700::5efe:{text}]"
    yield "".join(f"%{ord(letter):02x}" for letter in text)
    yield "".join(chr(ord(letter) + 0xFEE0) if letter.isdigit() else "。" for letter in text)
    yield f"public.example@{text}"
    yield f"public.example:80@{text}"


VECTORS = [
    *(n for a in ("127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254") for n in _notations(a)),
    *(n for a in ("10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1") for n in _notations(a)),
    *(f"[{address}]" for address in (*PRIVATE, *NEVER) if ":" in address and "%" not in address),
    *(address for address in (*PRIVATE, *NEVER) if ":" not in address),
    "127.1", "127.0.1", "0", "0x7f000001", "017700000001", "2130706433", "[::1]", "[::]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]", "[fe80::1%25lo]", "[::1%25lo]",
    "localhost", "LOCALHOST.", "local.example", "v6.local.example", "both.example",
    "metadata.google.internal", "public.example\\@127.0.0.1", "127.0.0.1\\@public.example",
]  # fmt: skip

NAMES = {
    "localhost": ("127.0.0.1", "::1"),
    "local.example": ("127.0.0.1",),
    "v6.local.example": ("::1",),
    "both.example": ("8.8.8.8", "127.0.0.1"),
    "metadata.google.internal": ("127.0.0.1",),
    "front.example": ("127.0.0.1",),
}


def _resolver(host: str, port: int) -> Sequence[str]:
    return NAMES.get(host) or numeric(host, port)


@pytest.fixture(scope="module")
def canary() -> Iterator[Web]:
    with Web(host="::") as web:
        web.on("/v.mp4", serve(BODY))
        yield web


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloader]:
    """Speaks to public addresses and to front.example only."""
    policy = AddressPolicy(allowed_hosts=frozenset({"front.example"}), resolver=_resolver)
    downloader = Downloader(tmp_path_factory.mktemp("guarded"), limits=QUICK, policy=policy)
    yield downloader
    downloader.close()


def test_there_are_enough_vectors() -> None:
    assert len(set(VECTORS)) >= 250


@pytest.mark.parametrize("host", dict.fromkeys(VECTORS))
def test_nothing_reaches_a_forbidden_host(canary: Web, guarded: Downloader, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(FetchError):
            guarded.fetch(f"{scheme}://{host}:{canary.port}/v.mp4", "v")
    assert canary.connections == 0


def test_nothing_reaches_a_forbidden_host_by_redirect(guarded: Downloader, canary: Web) -> None:
    with Web() as front:
        hosts = list(dict.fromkeys(VECTORS))
        for number, host in enumerate(hosts):
            front.on(f"/{number}", redirect(f"http://{host}:{canary.port}/v.mp4"))
            with pytest.raises(FetchError):
                guarded.fetch(front.url(f"/{number}", "front.example"), "v")
        assert len(front.seen) == len(hosts)
    assert canary.connections == 0


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]", "[::ffff:127.0.0.1]",
     "１２７.０.０.１", "%31%32%37.0.0.1", "local.example", "v6.local.example"],
)  # fmt: skip
def test_the_same_urls_reach_it_when_allowed(tmp_path: Path, host: str) -> None:
    # Proves that the canary would have heard: each of these is refused above.
    policy = AddressPolicy(allow_private=True, resolver=_resolver)
    with Web(host="::") as canary:
        canary.on("/v.mp4", serve(BODY))
        download = Downloader(tmp_path, limits=QUICK, policy=policy).fetch(
            f"http://{host}:{canary.port}/v.mp4", "v"
        )
        assert download.path.read_bytes() == BODY
        assert len(canary.seen) == 1


def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(
    tmp_path: Path, web: Web
) -> None:
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    web.on("/v.mp4", serve(BODY))
    policy = AddressPolicy(allow_private=True, resolver=rebinding)
    downloader = Downloader(tmp_path, limits=QUICK, policy=policy)
    # No name server knows this name: what connects is the address that was judged.
    assert downloader.fetch(web.url("/v.mp4", "rebind.invalid"), "v").size == len(BODY)
    assert asked == [("rebind.invalid", web.port)]
    assert web.seen[0].headers["host"] == f"rebind.invalid:{web.port}"
    with pytest.raises(FetchError, match="never connect to it"):
        downloader.fetch(web.url("/v.mp4", "rebind.invalid"), "v")


def test_the_next_address_is_tried_when_one_does_not_answer(tmp_path: Path, web: Web) -> None:
    # web listens on 127.0.0.1 only.
    web.on("/v.mp4", serve(BODY))
    policy = AddressPolicy(allow_private=True, resolver=lookup("::1", "127.0.0.1"))
    downloader = Downloader(tmp_path, limits=QUICK, policy=policy)
    assert downloader.fetch(web.url("/v.mp4", "two.invalid"), "v").size == len(BODY)


@pytest.mark.parametrize(("code", "tries"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
def test_an_unknown_name_is_told_and_a_busy_name_server_asked_again(
    tmp_path: Path, code: int, tries: int
) -> None:
    asked: list[str] = []

    def failing(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        raise socket.gaierror(code, "not now")

    limits = FetchLimits(attempts=3, first_pause_s=0.001, reserve_bytes=0)
    downloader = Downloader(tmp_path, limits=limits, policy=AddressPolicy(resolver=failing))
    with pytest.raises(NotReadYet, match=r"host gone\.example cannot be found"):
        downloader.fetch("https://gone.example/v.mp4", "v")
    assert len(asked) == tries
