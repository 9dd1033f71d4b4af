"""Ingests through a proxy, with headers and cookies: what arrives, and what is left behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import face_registry as fr
from registry.cli import main
from tests.support.media import another_file, write_video
from tests.support.proxy import Proxy
from tests.support.web import Behaviour, Exchange, Web, redirect, serve, status, web_server

__all__ = ["web_server"]
CREDENTIALS = "joe:5ecret-of-proxy"
SECRETS = ("5ecret", base64.b64encode(CREDENTIALS.encode()).decode())
"""`5ecret` is in each secret of these tests; the other one is what the proxy is sent."""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command with `--debug`: its exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--home", str(tmp_path / "home"), "--debug", *arguments])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=12).read_bytes()


def _only_with(name: str, value: str, then: Behaviour) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        (then if exchange.headers.get(name) == value else status(403))(exchange)

    return behave


def _table(*urls: str) -> bytes:
    lines = [f"{url},{number}" for number, url in enumerate(urls, start=1)]
    return "\n".join(["Video URL,Performance", *lines]).encode()


def _publish(web: Web, clip: bytes) -> None:
    """A table and videos of the host files.test, for whoever shows what is asked for."""
    token = "Bearer 5ecret-of-header"
    csv = _table(
        *(f"http://files.test/{name}.mp4" for name in ("token", "cookie", "gone", "elsewhere")),
        "http://10.0.0.1/private.mp4",
    )
    web.on("/table.csv", _only_with("Authorization", token, serve(csv, content_type="text/csv")))
    web.on("/token.mp4", _only_with("Authorization", token, serve(clip)))
    cookie = "sid=5ecret-of-cookie"
    web.on("/cookie.mp4", _only_with("Cookie", cookie, serve(another_file(clip, 1))))
    web.on("/elsewhere.mp4", redirect("http://other.test/open.mp4"))
    web.on("/open.mp4", serve(another_file(clip, 2)))


def _options(tmp_path: Path, proxy: Proxy | None) -> list[str]:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\nfiles.test\tFALSE\t/\tFALSE\t0\tsid\t5ecret-of-cookie\n"
    )
    headers = tmp_path / "headers.txt"
    headers.write_text("Authorization: Bearer 5ecret-of-header\n\nX-Key: 5ecret-of-key\n")
    given = ["--header", "files.test", f"@{headers}", "--cookies", str(cookies)]
    return [*given, *(["--proxy", proxy.url(CREDENTIALS)] if proxy else []), "--workers", "0"]


def _check_nothing_holds_a_secret(folder: Path, *texts: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for secret in SECRETS:
        assert not any(secret in text for text in texts)
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_no_secret_is_left_anywhere(web: Web, tmp_path: Path, run: Run, clip: bytes) -> None:
    """A table at a URL, and its videos, through a proxy with a login; then a retry, and no proxy.

    The hosts are known to the proxy alone. Searched for secrets: all output with `--debug`, and
    every file of the home folder.
    """
    _publish(web, clip)
    table = "http://files.test/table.csv"
    texts: list[str] = []
    with Proxy(
        routes={"files.test": web.port, "other.test": web.port}, credentials=CREDENTIALS
    ) as proxy:
        options = _options(tmp_path, proxy)
        code, out, err = run("ingest", table, *options, "--user-agent", "Lab/1", "--json")
        texts += [out, err]
        summary: dict[str, Any] = json.loads(out)
        assert (code, summary["videos"]["ingested"]) == (3, 3)
        reasons = {failure["url"]: failure["reason"] for failure in summary["failures"]}
        assert "answered 404" in reasons["http://files.test/gone.mp4"]
        assert "not a public address" in reasons["http://10.0.0.1/private.mp4"]
        address = f"http://127.0.0.1:{proxy.port}"
        assert any(f"through the proxy {address}. It looks hosts up" in n for n in summary["notes"])
        assert {asked.target for asked in proxy.seen} == {
            table, "http://other.test/open.mp4",
            *(f"http://files.test/{n}.mp4" for n in ("token", "cookie", "gone", "elsewhere")),
        }  # fmt: skip
        assert {seen.headers["user-agent"] for seen in web.seen} == {"Lab/1"}
        at_other = [s.headers for s in web.seen if s.headers["host"] == "other.test"]
        assert at_other and not any(SECRETS[0] in str(dict(headers)) for headers in at_other)

        web.on("/gone.mp4", serve(another_file(clip, 3)))
        code, out, err = run("videos", "retry", "--all", *options, "--json")
        texts += [out, err]
        summary = json.loads(out)
        assert summary["videos"]["ingested"] == 1
        assert [failure["url"] for failure in summary["failures"]] == [
            "http://10.0.0.1/private.mp4"
        ]

    # Nothing of it is remembered: files.test is unknown without the proxy.
    code, out, err = run("ingest", table, "--json")
    texts += [out, err]
    assert code == 1 and "the host files.test cannot be found" in err
    assert (tmp_path / "home" / "objects" / "table.json").exists()
    for command in ("status", "videos list", "status --dump"):
        texts += run(*command.split())[1:]
    _check_nothing_holds_a_secret(tmp_path / "home", *texts)


def test_a_proxy_that_refuses_leaves_videos_to_the_next_run(
    web: Web, tmp_path: Path, run: Run, clip: bytes
) -> None:
    """Two processes: what is logged holds no secret either. Then the right login reads them."""
    _publish(web, clip)
    (tmp_path / "t.csv").write_bytes(_table("http://files.test/token.mp4", "https://a.test/b.mp4"))
    options = _options(tmp_path, None)
    with Proxy(routes={"files.test": web.port}, credentials=CREDENTIALS) as proxy:
        environment = {**os.environ, "FACE_REGISTRY_PROXY": proxy.url("joe:5ecret-but-wrong")}
        ended = subprocess.run(
            [sys.executable, "-c", "from registry.cli import main; main()",
             "--home", str(tmp_path / "home"), "--debug", "--log-format", "json",
             "--log-level", "debug", "ingest", str(tmp_path / "t.csv"), *options[:-1], "1"],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 1, ended.stderr
        assert "refuses the user name or the password" in ended.stderr
        assert len(proxy.seen) == 2
        _check_nothing_holds_a_secret(tmp_path / "home", ended.stdout, ended.stderr)
        assert web.seen == []

        code, out, err = run("ingest", str(tmp_path / "t.csv"), *_options(tmp_path, proxy))
        assert (code, "1 video ingested" in out) == (3, True)
        assert "not read yet: row 3" in err and "answered 502 Bad Gateway" in err
        _check_nothing_holds_a_secret(tmp_path / "home", out, err)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--header", "Authorization: Bearer 5ecret", "a.test"], "A header has no colon"),
        (["--header", "Bearer 5ecret", "a.test: x"], "host of a header is not valid"),
        (["--header", "a.test", "Authorization 5ecret"], "A header has no colon"),
        (["--header", "a.test", "Range: 5ecret"], "cannot be set"),
        (["--header", "a.test", "@missing.txt"], "missing.txt cannot be read: No such file"),
        (["--cookies", "missing.txt"], "missing.txt cannot be read: No such file"),
        (["--proxy", "socks5://joe:5ecret@p.test"], "SOCKS proxies are not supported"),
        (["--user-agent", "a\nb: 5ecret"], "user agent has characters"),
    ],
)
def test_options_that_are_not_valid_are_refused_and_not_shown(
    run: Run, tmp_path: Path, options: list[str], told: str
) -> None:
    code, out, err = run("ingest", str(tmp_path / "t.csv"), *options)
    assert (code, told in err) == (2, True), err
    assert "5ecret" not in out + err
    assert not (tmp_path / "home").exists()


def test_the_python_interface_takes_the_same(web: Web, tmp_path: Path, clip: bytes) -> None:
    _publish(web, clip)
    (tmp_path / "t.csv").write_bytes(_table("http://files.test/token.mp4"))
    network = fr.Network(headers={"files.test": {"Authorization": "Bearer 5ecret-of-header"}})
    assert "5ecret" not in repr(network)
    with (
        Proxy(routes={"files.test": web.port}) as proxy,
        fr.open_registry(home=tmp_path / "home", proxy=proxy.url()) as registry,
    ):
        refused = fr.ingest(registry, tmp_path / "t.csv", workers=0)
        assert "answered 403" in refused.failures[0].reason
        summary = fr.retry(registry, workers=0, network=network)
        assert summary.ingested == 1
        assert len(proxy.seen) == 2
