"""Downloads through a proxy: a real one, which records what it is asked."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.fetch.host_headers import HostHeaders
from ingest.fetch.network import Network
from ingest.fetch.proxies import Proxy as ProxyAddress
from ingest.fetch.proxies import ProxyRules
from registry.errors import FetchError, NotReadYet, UsageError
from registry.settings import load_settings
from registry.urls import parse
from tests.support.proxy import Proxy, Refusal
from tests.support.web import Web, in_turn, redirect, serve, status, web_server

__all__ = ["web_server"]
BODY = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 200
LIMITS = FetchLimits(
    max_bytes=1_000_000, total_s=20, connect_s=5, read_s=5, attempts=2,
    first_pause_s=0.005, longest_pause_s=0.05, reserve_bytes=0,
)  # fmt: skip
LOCAL = AddressPolicy(allow_private=True)
TRUST = ssl.create_default_context()
Make = Callable[..., Downloader]


@pytest.fixture(autouse=True)
def _no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Downloaders; `make(Network(proxy=…), attempts=1)` sets a network and limits."""
    made: list[Downloader] = []

    def build(
        network: Network,
        policy: AddressPolicy = LOCAL,
        tls: ssl.SSLContext = TRUST,
        **limits: float,
    ) -> Downloader:
        rules = network.proxy_rules(load_settings(home=tmp_path))
        chosen = replace(LIMITS, **limits)  # type: ignore[arg-type]
        made.append(
            Downloader(
                tmp_path / "temporary",
                limits=chosen,
                policy=policy,
                tls=tls,
                proxies=rules,
                host_headers=network.host_headers(),
            )
        )  # fmt: skip
        return made[-1]

    yield build
    for downloader in made:
        downloader.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def not_read(downloader: Downloader, url: str) -> str:
    with pytest.raises(NotReadYet) as caught:
        downloader.fetch(url, "v")
    return str(caught.value)


def test_an_http_url_goes_to_the_proxy_whole(web: Web, make: Make) -> None:
    web.on("/a b", serve(BODY))
    web.on("/a%20b", serve(BODY))
    with Proxy(routes={"videos.test": web.port}) as proxy:
        made = make(Network(proxy=proxy.url()), AddressPolicy())
        assert made.fetch("http://joe:pw@videos.test/a b?x=1#t", "v").path.read_bytes() == BODY
    assert proxy.asked == [("GET", "http://videos.test/a%20b?x=1")]
    assert proxy.seen[0].headers["host"] == "videos.test"
    assert "proxy-authorization" not in proxy.seen[0].headers
    assert web.seen[0].headers["authorization"] == "Basic am9lOnB3"


def test_an_https_url_goes_through_a_tunnel(make: Make, authority: trustme.CA) -> None:
    with (
        Web(tls=_serving(authority, "videos.test")) as web,
        Proxy(routes={"videos.test": web.port}, credentials="joe:s p:w") as proxy,
    ):
        web.on("/v", serve(BODY))
        network = Network(proxy=proxy.url("joe:s%20p%3Aw"), user_agent="Lab/1")
        made = make(network, AddressPolicy(), _trusting(authority))
        assert made.fetch("https://videos.test/v", "v").path.read_bytes() == BODY
    assert proxy.asked == [("CONNECT", "videos.test:443")]
    assert set(proxy.seen[0].headers) == {"host", "proxy-authorization"}
    assert web.seen[0].path == "/v"
    assert web.seen[0].headers["user-agent"] == "Lab/1"
    assert not any(name.startswith("proxy") for name in web.seen[0].headers)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_can_be_reached_by_https(make: Make, authority: trustme.CA, scheme: str) -> None:
    tls = _serving(authority, "videos.test") if scheme == "https" else None
    with (
        Web(tls=tls) as web,
        Proxy(
            routes={"videos.test": web.port},
            tls=_serving(authority, "127.0.0.1"),
            credentials="a:b",
        ) as proxy,
    ):
        web.on("/v", serve(BODY))
        made = make(Network(proxy=proxy.url("a:b")), tls=_trusting(authority))
        assert made.fetch(f"{scheme}://videos.test/v", "v").path.read_bytes() == BODY
        assert "certificate of the proxy" in not_read(
            make(Network(proxy=proxy.url("a:b"))), f"{scheme}://videos.test/v"
        )
    assert len(proxy.seen) == 1


def test_the_rest_of_a_file_is_asked_for_through_the_proxy(web: Web, make: Make) -> None:
    cut = serve(BODY, etag='"one"', cut_after=1000)
    web.on("/v", in_turn(cut, serve(BODY, etag='"one"')))
    with Proxy(routes={"videos.test": web.port}) as proxy:
        made = make(Network(proxy=proxy.url()))
        assert made.fetch("http://videos.test/v", "v").path.read_bytes() == BODY
    assert [asked.headers.get("range") for asked in proxy.seen] == [None, "bytes=1000-"]


def test_each_redirect_goes_through_the_proxy(make: Make, authority: trustme.CA) -> None:
    with Web() as plain, Web(tls=_serving(authority, "two.test")) as secure:
        routes = {"one.test": plain.port, "two.test": secure.port}
        with Proxy(routes=routes) as proxy:
            plain.on("/v", redirect("https://two.test/w"))
            secure.on("/w", serve(BODY))
            made = make(Network(proxy=proxy.url()), tls=_trusting(authority))
            assert made.fetch("http://one.test/v", "v").size == len(BODY)
    assert proxy.asked == [("GET", "http://one.test/v"), ("CONNECT", "two.test:443")]


def test_a_proxy_is_not_asked_for_private_addresses(web: Web, make: Make) -> None:
    with Proxy(routes={"one.test": web.port}) as proxy:
        made = make(Network(proxy=proxy.url()), AddressPolicy())
        for host in (
            "127.0.0.1", "10.0.0.1", "2130706433", "0x7f.1", "[::1]", "[fd00::1]", "localhost",
            "a.localhost", "169.254.169.254", "metadata.google.internal", "[::ffff:10.0.0.1]",
        ):  # fmt: skip
            for scheme in ("http", "https"):
                with pytest.raises(FetchError, match=r"not a public address|metadata service"):
                    made.fetch(f"{scheme}://{host}:8080/v", "v")
        assert proxy.seen == []
        web.on("/v", redirect("http://127.0.0.1/w"))
        with pytest.raises(FetchError, match="not a public address"):
            made.fetch("http://one.test/v", "v")
        assert proxy.asked == [("GET", "http://one.test/v")]
        named = AddressPolicy(allowed_hosts=frozenset({"127.0.0.1"}))
        web.on("/x", serve(BODY))
        assert make(Network(proxy=proxy.url()), named).fetch(web.url("/x"), "v").size == len(BODY)


def test_exceptions_are_reached_directly(web: Web, make: Make, tmp_path: Path) -> None:
    url = web.on("/v", serve(BODY))
    with Proxy() as proxy:
        made = make(Network(proxy=proxy.url(), no_proxy="other.test, 127.0.0.0/8"))
        assert made.fetch(url, "v").size == len(BODY)
        assert proxy.seen == []
        # Directly means by the rules for addresses.
        strict = make(Network(proxy=proxy.url(), no_proxy="127.0.0.1"), AddressPolicy())
        with pytest.raises(FetchError, match="not a public address"):
            strict.fetch(url, "v")


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        ("a.test", "http://a.test/", True),
        ("A.test", "http://sub.a.test/", True),
        (".a.test", "http://a.test/", True),
        ("*.a.test", "http://sub.a.test/", True),
        ("a.test", "http://ba.test/", False),
        ("a.test:8080", "http://a.test:8080/", True),
        ("a.test:443", "https://a.test/", True),
        ("a.test:443", "http://a.test/", False),
        ("*", "http://a.test/", True),
        ("b.test a.test", "http://a.test/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://a.test/", False),
        ("[::1]", "http://[::1]/", True),
        ("fd00::/8", "http://[fd00::5]:81/", True),
        ("[fd00::5]:81", "http://[fd00::5]:81/", True),
        ("1.1", "http://10.0.1.1/", False),
        ("", "http://a.test/", False),
        (",", "http://a.test/", False),
    ],
)
def test_what_an_exception_names(exceptions: str, url: str, direct: bool) -> None:
    proxy = ProxyAddress.parse("http://p.test:3128")
    rules = ProxyRules(proxy, proxy, exceptions)
    assert (rules.proxy_for(parse(url)) is None) is direct


# What goes wrong


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("refusal", "told", "times"),
    [
        (Refusal(407), "asks for a user name and a password", 1),
        (Refusal(407, {"Proxy-Authenticate": "Negotiate, NTLM"}), "of the kind Negotiate", 1),
        (Refusal(407, {"Proxy-Authenticate": 'Basic realm="x"'}), "asks for a user name", 1),
        (Refusal(403, {"X-Squid-Error": "ERR_ACCESS_DENIED 0"}), "may not allow this host", 1),
        (Refusal(404, {"Proxy-Status": "p; error=dns_error"}), "answered 404 Not Found", 1),
        (Refusal(502), "answered 502 Bad Gateway.* Given up after 2 attempts", 2),
        (Refusal(503, {"X-Squid-Error": "ERR_DNS_FAIL 0"}), "503.* Given up after 2 attempts", 2),
    ],
)
def test_a_refusal_of_the_proxy_is_no_verdict(
    make: Make, scheme: str, refusal: Refusal, told: str, times: int
) -> None:
    with Proxy(refusal=lambda number: refusal) as proxy:
        made = make(Network(proxy=proxy.url()))
        with pytest.raises(NotReadYet, match=told) as caught:
            made.fetch(f"{scheme}://videos.test/v", "v")
        assert scheme == "http" or f"127.0.0.1:{proxy.port}" in str(caught.value)
    assert len(proxy.seen) == times


def test_wrong_credentials_are_told_and_not_shown(web: Web, make: Make) -> None:
    with Proxy(routes={"videos.test": web.port}, credentials="joe:right") as proxy:
        for scheme in ("http", "https"):
            said = not_read(make(Network(proxy=proxy.url("joe:wr0ng"))), f"{scheme}://videos.test/")
            assert "refuses the user name or the password in its URL" in said
            assert f"http://127.0.0.1:{proxy.port} " in said
            assert "wr0ng" not in said and "joe" not in said
    assert web.connections == 0


def test_what_passes_is_tried_again(web: Web, make: Make) -> None:
    web.on("/v", serve(BODY))
    first = lambda number: Refusal(503) if number == 0 else None  # noqa: E731
    with Proxy(routes={"videos.test": web.port}, refusal=first) as proxy:
        assert make(Network(proxy=proxy.url())).fetch("http://videos.test/v", "v").size
    assert len(proxy.seen) == 2


def test_an_answer_of_the_server_stays_a_verdict(web: Web, make: Make) -> None:
    for code in (403, 404):
        web.on("/v", status(code))
        with Proxy(routes={"videos.test": web.port}) as proxy:
            with pytest.raises(FetchError, match=f"the server answered {code}") as caught:
                make(Network(proxy=proxy.url())).fetch("http://videos.test/v", "v")
            assert not isinstance(caught.value, NotReadYet)


def test_a_proxy_that_is_not_there_is_told(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for scheme in ("http", "https"):
        said = not_read(make(Network(proxy=f"127.0.0.1:{port}")), f"{scheme}://videos.test/v")
        assert f"the connection to the proxy http://127.0.0.1:{port} failed" in said
        assert "Given up after 2 attempts" in said
    said = not_read(make(Network(proxy="http://proxy.invalid:3128")), "http://videos.test/v")
    assert "the proxy http://proxy.invalid:3128 cannot be found" in said


def test_a_proxy_that_hangs_or_speaks_something_else_is_told(web: Web, make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for scheme in ("http", "https"):
            said = not_read(make(Network(proxy=url), read_s=0.2), f"{scheme}://videos.test/v")
            assert f"the proxy {url} did not answer in time" in said
            with pytest.raises(FetchError, match=r"took longer than 0\.3 s"):
                make(Network(proxy=url), read_s=9, total_s=0.3).fetch(f"{scheme}://a.test/", "v")
    said = not_read(make(Network(proxy=web.url("").replace("http", "https"))), "http://a.test/v")
    assert "does not speak TLS" in said


def test_a_certificate_that_the_proxy_puts_in_is_no_verdict(
    make: Make, authority: trustme.CA
) -> None:
    with (
        Web(tls=_serving(authority, "videos.test")) as web,
        Proxy(routes={"videos.test": web.port}) as proxy,
    ):
        said = not_read(make(Network(proxy=proxy.url())), "https://videos.test/v")
    assert "the certificate that came through the proxy" in said
    assert "SSL_CERT_FILE" in said


# Which proxy


def _rules(network: Network, **settings: str) -> ProxyRules:
    return network.proxy_rules(load_settings(**settings))


def _shown(rules: ProxyRules) -> tuple[str, str]:
    return str(rules.http or ""), str(rules.https or "")


def test_a_proxy_is_used_where_it_is_given_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://joe:pw@env.test:1")
    monkeypatch.setenv("http_proxy", "env.test:2")
    monkeypatch.setenv("NO_PROXY", "a.test")
    assert _shown(_rules(Network())) == ("", "")
    assert _shown(_rules(Network(proxy="none"), proxy="http://set.test:3")) == ("", "")
    both = ("http://set.test:3", "http://set.test:3")
    assert _shown(_rules(Network(), proxy="http://set.test:3")) == both
    assert _shown(_rules(Network(proxy="set.test:3"), proxy="env")) == both
    of_environment = ("http://env.test:2", "http://env.test:1")
    assert _shown(_rules(Network(proxy="env"))) == of_environment
    assert _shown(_rules(Network(), proxy="env")) == of_environment
    assert _rules(Network(proxy="p.test")).exceptions == "a.test"
    assert _rules(Network(proxy="env")).exceptions == "a.test"
    assert _rules(Network(proxy="env"), no_proxy="b.test").exceptions == "b.test"
    assert _rules(Network(proxy="env", no_proxy="c.test"), no_proxy="b.test").exceptions == "c.test"


def test_a_note_says_what_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _rules(Network()).note() == ""
    assert "through the proxy http://p.test:1. It looks" in _rules(Network(proxy="p.test:1")).note()
    monkeypatch.setenv("HTTPS_PROXY", "http://joe:pw@env.test:1")
    note = _rules(Network(proxy="env")).note()
    assert "through a proxy (http: directly, https: http://env.test:1). It looks hosts up" in note


def test_all_proxy_stands_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.test:1")
    monkeypatch.setenv("HTTP_PROXY", "http://one.test:1")
    assert _shown(_rules(Network(proxy="env"))) == ("http://one.test:1", "http://all.test:1")


def test_variables_that_are_not_used_are_mentioned(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web() as web:
        url = web.url("/v")
    assert "--proxy env" not in not_read(make(Network()), url)
    monkeypatch.setenv("HTTPS_PROXY", "http://joe:pw@env.test:1")
    assert "--proxy env" not in not_read(make(Network()), url)
    said = not_read(make(Network()), url.replace("http:", "https:"))
    assert "HTTPS_PROXY is set but not used; --proxy env uses it. Given up" in said
    assert "pw" not in said
    said = not_read(make(Network()), "https://host.invalid/v")
    assert "cannot be found" in said and "HTTPS_PROXY is set but not used" in said
    monkeypatch.setenv("http_proxy", "http://env.test:1")
    assert "http_proxy is set but not used" in not_read(make(Network()), url)


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("socks5://joe:5ecret@p.test:1080", "SOCKS proxies are not supported"),
        ("http://joe:5ecret@p.test:99999", "its port is not a number"),
        ("joe:5ecret@p.test:x", "its port is not a number"),
        ("http://joe:5ecret@p.test/path", "http://p.test is not valid: its URL has a path"),
        ("ftp://joe:5ecret@p.test", "does not start with http"),
        ("http://", "names no host"),
    ],
)
def test_a_proxy_that_is_not_valid_is_refused_and_not_shown(
    proxy: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=told) as given:
        Network(proxy=proxy)
    with pytest.raises(UsageError, match=f"FACE_REGISTRY_PROXY is not valid.*{told}") as setting:
        _rules(Network(), proxy=proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError, match=f"HTTPS_PROXY is not valid.*{told}") as variable:
        _rules(Network(proxy="env"))
    for caught in (given, setting, variable):
        assert "5ecret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_proxy_shows_no_password() -> None:
    network = Network(
        proxy="http://joe:5ecret@p.test:3128", headers={"a.test": {"X-Key": "5ecret"}}
    )
    rules = _rules(network)
    settings = load_settings(proxy="http://joe:5ecret@p.test")
    assert "p.test:3128" in repr(network)
    for shown in (network, rules, rules.note(), network.host_headers(), settings):
        text = f"{shown} {shown!r}"
        assert "5ecret" not in text
    assert ProxyRules.from_dict(rules.as_dict()) == rules
    assert rules.http and rules.http.headers == [
        (b"Proxy-Authorization", b"Basic am9lOjVlY3JldA==")
    ]
    assert HostHeaders.from_dict(network.host_headers().as_dict()) == network.host_headers()
