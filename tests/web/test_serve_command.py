"""The command `serve`: what it prints, how it stops, and what it refuses."""

from __future__ import annotations

import io
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from registry.cli import main
from registry.core.opening import open_registry
from registry.core.runs import runs
from registry.domain import Image
from registry.errors import UsageError
from registry.settings import load_settings
from registry.web.passwords import GUESSES, SHORTEST, WINDOW_S, Guesses, Password, read_password
from registry.web.server import Listening, listen, serve
from tests.support.media import write_video
from tests.support.registries import new_registry
from tests.web.conftest import VIDEOS


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "registry"
    new_registry(folder, *VIDEOS).close()
    return folder


@contextmanager
def serving(home: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own."""
    command = [
        str(Path(sys.executable).with_name("face-registry")),
        "--home",
        str(home),
        "serve",
        *options,
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_first_line_is_the_address_and_a_signal_stops_it_cleanly(
    home: Path, number: signal.Signals
) -> None:
    with serving(home, "--no-open") as process:
        address = first_line(process)
        with httpx.Client(follow_redirects=True) as client:
            page = client.get(address)
            assert page.status_code == 200
            assert "token" not in str(page.url)
            # A stream that is open does not hold the server up.
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    with open_registry(load_settings(home=home)) as registry:  # the lock is free again
        assert registry.index.count_videos() == len(VIDEOS)


def test_the_browser_is_opened_without_the_token_among_its_arguments(
    home: Path, tmp_path: Path
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$@" > {seen}\n')
    browser.chmod(0o700)
    with serving(home, BROWSER=str(browser)) as process:
        printed = first_line(process)
        while not (seen.exists() and seen.read_text().endswith("\n")):
            assert process.poll() is None
        opened = Path(seen.read_text().strip().removeprefix("file://"))
        assert "token" not in str(opened)
        assert stat.S_IMODE(opened.stat().st_mode) == 0o600
        address = opened.read_text().partition("url=")[2].partition('"')[0]
        assert address != printed
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(address).status_code == 200
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(printed).status_code == 200  # each works once
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert not opened.exists()


def test_a_registry_that_holds_nothing_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path / "new", "--no-open") as process:
        address = first_line(process)
        with httpx.Client(base_url=address.partition("?")[0], follow_redirects=True) as client:
            assert "No video yet" in client.get(address).text
            for path in (
                "/review",
                "/videos",
                "/ingest",
                "/decisions",
                "/downloads",
                "/api/status",
            ):
                assert client.get(path).status_code == 200
            assert client.get("/api/people").status_code == 409


@pytest.mark.slow  # tests/web/test_pages.py has the same without a process
def test_a_registry_in_use_is_shown_and_not_changed(home: Path) -> None:
    with open_registry(load_settings(home=home)), serving(home, "--no-open") as process:
        with httpx.Client(follow_redirects=True) as client:
            assert "Another process uses the registry" in client.get(first_line(process)).text
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} .*Choose another --port"):
            listen("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"--host 192\.0\.2\.1|at 192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_no_other_machine_reaches_it_without_a_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        main(["--home", str(home), "serve", "--no-open", "--host", "0.0.0.0"])
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert "Use --password-file" in err
    with (
        open_registry(load_settings(home=home)) as registry,
        pytest.raises(UsageError, match="a password is needed"),
    ):
        serve(registry, Listening("0.0.0.0"), announce=print)


def test_with_a_password_and_a_certificate_it_speaks_tls_only(home: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    cert, key, ca, secret = (tmp_path / name for name in ("cert", "key", "ca", "secret"))
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    options = ("--no-open", "--host", "0.0.0.0", "--password-file", str(secret))
    with serving(home, *options, "--tls-cert", str(cert), "--tls-key", str(key)) as process:
        address = httpx.URL(first_line(process)).copy_with(host="127.0.0.1")
        assert address.scheme == "https"
        with httpx.Client(
            verify=ssl.create_default_context(cafile=ca), follow_redirects=True
        ) as client:
            form = {"password": "correct horse battery"}
            answer = client.post(address.copy_with(raw_path=b"/login"), data=form)
            assert answer.status_code == 200
            assert "Secure" in answer.history[0].headers["set-cookie"]
        with pytest.raises(httpx.HTTPError):
            httpx.get(address.copy_with(scheme="http"))


# --- the password -------------------------------------------------------------------------------


def test_a_password_is_kept_as_a_salted_hash() -> None:
    one, other = Password.of("correct horse battery"), Password.of("correct horse battery")
    assert one.digest != other.digest
    assert one.matches("correct horse battery")
    assert not one.matches("correct horse batterz")
    with pytest.raises(UsageError, match=f"{SHORTEST} or more"):
        Password.of("short")


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct horse battery\nsecond line\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_password(file)
    file.chmod(0o600)
    assert read_password(file) == "correct horse battery"
    with pytest.raises(UsageError, match="cannot be read"):
        read_password(tmp_path / "none")


def test_guesses_are_counted_by_address_and_forgotten_after_a_while() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    assert [guesses.begin("a") for _ in range(GUESSES)] == [0.0] * GUESSES
    assert guesses.begin("a") == WINDOW_S
    assert guesses.begin("b") == 0.0
    now[0] = WINDOW_S / 2
    assert guesses.wait_s("a") == WINDOW_S / 2
    now[0] = WINDOW_S + 1
    assert guesses.begin("a") == 0.0
    guesses.succeed("a")
    assert guesses.wait_s("a") == 0.0


def test_guesses_from_many_addresses_are_counted_together() -> None:
    guesses = Guesses(lambda: 0.0)
    waits = [guesses.begin(f"192.0.2.{n}") for n in range(60)]
    assert waits.count(0.0) == 50


@pytest.mark.slow
def test_a_signal_during_an_ingest_keeps_what_is_recorded(tmp_path: Path, astronaut: Image) -> None:
    rows = ["Video URL,Performance"]
    for number in range(6):
        write_video(tmp_path / f"{number}.mp4", [astronaut] * (40 + number), fps=15)
        rows.append(f"{number}.mp4,{number}.5")
    home = tmp_path / "home"
    with serving(home, "--no-open", "--workers", "1") as process:
        address = httpx.URL(first_line(process))
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            client.get(address)
            base = str(address.copy_with(raw_path=b"/")).rstrip("/")
            table = {"table": ("week.csv", "\n".join(rows).encode())}
            folder = {"base_folder": str(tmp_path)}
            plan = client.post(f"{base}/ingest", files=table, data=folder).text
            start = re.findall(r'action="(/ingest/[0-9a-f]{32}/start)"', plan)[0]
            client.post(f"{base}{start}", data=folder)
            done = 0
            while not done:  # pages answer during the ingest
                progress = client.get(f"{base}/api/status").json()["ingest"]
                assert not progress["over"], progress
                done = progress["done"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
    with open_registry(load_settings(home=home)) as registry:
        assert done <= registry.index.count_videos() < 6
        assert runs(registry)[-1].outcome == "interrupted"
    assert not (home / "web").exists()
