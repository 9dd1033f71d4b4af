"""An attack for each promise of SECURITY.md about the pages."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.core.registry import Registry
from registry.web.access import FORM_BYTES, Hosts
from registry.web.passwords import GUESSES
from tests.support.page_server import Pages, serve_pages
from tests.support.registries import new_registry, who
from tests.web.conftest import VIDEOS

PATHS = (
    "/", "/review", "/videos", "/ingest", "/ingest/run", "/ingest/events", "/decisions",
    "/downloads", "/downloads/faces.zip", "/sessions", "/api", "/api/people", "/api/openapi.json",
    "/crops/x/y.jpg",
)  # fmt: skip


@pytest.fixture
def closed(pages: Pages) -> Iterator[httpx.Client]:
    """A client without a session."""
    with pages.stranger() as stranger:
        yield stranger


@pytest.mark.parametrize("path", PATHS)
def test_without_a_session_nothing_is_shown(closed: httpx.Client, path: str) -> None:
    answer = closed.get(path)
    assert answer.status_code == 401
    assert "face-registry serve" in answer.text
    assert not any(video.video_id[:8] in answer.text for video in VIDEOS)


def test_a_token_opens_one_session_and_leaves_the_address(pages: Pages) -> None:
    token = pages.site.sessions.new_token()
    with pages.stranger() as first, pages.stranger() as second:
        answer = first.get(f"/?token={token}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert token not in cookie
        assert first.get("/").status_code == 200
        assert second.get(f"/?token={token}").status_code == 401
        assert second.get("/?token=guessed").status_code == 401


def test_a_look_at_the_headers_does_not_use_the_token_up(pages: Pages) -> None:
    token = pages.site.sessions.new_token()
    with pages.stranger() as first:
        assert first.head(f"/?token={token}").status_code == 401
        assert first.get(f"/?token={token}").status_code == 200


def test_a_session_ends(client: httpx.Client) -> None:
    assert client.post("/sessions/end").text.startswith("You are signed out")
    assert client.get("/").status_code == 401


def test_a_second_browser_gets_an_address_of_its_own(client: httpx.Client, pages: Pages) -> None:
    page = client.post("/sessions").text
    link = page.partition('<code id="link">')[2].partition("<")[0]
    assert link.startswith(f"{pages.address}/?token=")
    with pages.stranger() as second:
        assert second.get(link).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.evil"]
)
def test_a_name_that_was_made_to_point_here_is_refused(client: httpx.Client, host: str) -> None:
    """DNS rebinding: a page of evil.example whose name resolves to 127.0.0.1 by now."""
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_the_names_of_this_machine_are_allowed(client: httpx.Client, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code in (200, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9"},
        {"origin": "https://127.0.0.1"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_changes_nothing(
    client: httpx.Client, registry: Registry, headers: dict[str, str]
) -> None:
    fields = {"person": [who(registry, VIDEOS[0]), who(registry, VIDEOS[1])], "sure": "yes"}
    before = len(registry.decisions.entries())
    assert client.post("/people/merge", data=fields, headers=headers).status_code == 403
    assert len(registry.decisions.entries()) == before
    headers = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert client.post("/people/merge", data=fields, headers=headers).status_code == 200
    assert len(registry.decisions.entries()) == before + 1


def test_a_link_of_another_site_changes_nothing(client: httpx.Client, registry: Registry) -> None:
    """Whatever changes something takes POST or PUT only."""
    before = len(registry.decisions.entries())
    for path in ("/people/merge", "/people/hide", "/review/undo", "/ingest/stop", "/sessions/end"):
        assert client.get(path).status_code in (404, 405)
    assert len(registry.decisions.entries()) == before


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/web.css", "/api/people", "/crops/a/b"])
def test_every_answer_has_the_headers_that_browsers_need(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/review", "/videos", "/ingest", "/decisions", "/downloads"])
def test_no_page_holds_a_script_or_a_style_of_its_own(client: httpx.Client, path: str) -> None:
    text = client.get(path).text
    assert " style=" not in text
    assert "<style" not in text
    assert " onclick=" not in text
    assert text.count("<script") == text.count('<script src="/static/web.js" defer></script>') == 1


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_what_people_type_is_escaped_everywhere(
    client: httpx.Client, registry: Registry, name: str
) -> None:
    identity = who(registry, VIDEOS[0])
    client.post(f"/people/{identity}/name", data={"name": name})
    assert registry.identity(identity).name == name
    for path in ("/", f"/people/{identity}", "/review", "/videos", "/decisions", f"/?q={name}"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_an_id_in_an_error_is_escaped(client: httpx.Client) -> None:
    text = client.get("/people/<script>alert(1)<%2Fscript>").text
    assert "alert(1)" not in text or "&lt;script&gt;" in text
    assert "<script>alert" not in text
    answer = client.get("/api/people/<script>")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "/crops/..%2f..%2fregistry.json/0_0.jpg", "/crops/../registry.json", "/crops/x/0_0.jpg",
        "/crops/%2e%2e/%2e%2e/lock", "/static/..%2f..%2fsettings.py", "/static/web.py",
        "/downloads/..%2fregistry.json", "/videos/%2fetc%2fpasswd/file", "/videos/x/file",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_served(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "registry_id" not in answer.text


def test_a_crop_is_served_by_its_key_as_a_picture(client: httpx.Client, registry: Registry) -> None:
    face = VIDEOS[0].faces[0]
    answer = client.get(f"/{face.crop}")
    assert answer.content == registry.crop(face.crop, face.crop_digest)
    assert answer.headers["content-type"] == "image/jpeg"
    assert client.get(f"/crops/{VIDEOS[0].video_id}/0_0.parquet").status_code == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    assert client.post("/people/merge", content=b"x" * (FORM_BYTES + 1)).status_code == 413


def test_a_body_that_is_longer_than_it_says_is_cut_off(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(FORM_BYTES // 2**16 + 10):
            yield b"x" * 2**16

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/people/merge", content=endless(), headers=kind).status_code == 413


def test_a_form_leads_to_no_other_site(client: httpx.Client, registry: Registry) -> None:
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"):
        fields = {"person": who(registry, VIDEOS[0]), "back": back}
        answer = client.post("/people/merge", data=fields, follow_redirects=False)
        assert answer.headers["location"] == "/"


# --- reachable by other machines ----------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a server with a password."""
    with (
        new_registry(tmp_path / "guarded", *VIDEOS[:1]) as registry,
        serve_pages(registry, password="correct horse battery", local_files=False) as running,
        running.stranger() as client,
    ):
        yield client


def test_the_password_opens_a_session_of_its_own(guarded: httpx.Client) -> None:
    assert guarded.get("/", headers={"accept": "text/html"}).url.path == "/login"
    assert guarded.get("/api/people").status_code == 401
    assert guarded.post("/login", data={"password": "wrong"}).status_code == 401
    answer = guarded.post(
        "/login", data={"password": "correct horse battery"}, follow_redirects=False
    )
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert guarded.get("/api/people").status_code == 200


def test_an_error_before_signing_in_shows_nothing_of_the_registry(guarded: httpx.Client) -> None:
    broken = {"content-type": "multipart/form-data; boundary=x"}
    answer = guarded.post("/login", content=b"--y\r\nnot a form", headers=broken)
    assert answer.status_code == 400
    assert answer.text == "This did not work.\n"
    for path in ("/loginx", "/login/x", "/nothing"):
        assert guarded.get(path).status_code == 401
    assert "<" not in guarded.get("/static/nothing").text


def test_a_password_cannot_be_guessed_quickly(guarded: httpx.Client) -> None:
    statuses = [
        guarded.post("/login", data={"password": f"guess {n}"}).status_code
        for n in range(GUESSES + 2)
    ]
    assert statuses == [401] * GUESSES + [429] * 2
    right = {"password": "correct horse battery"}
    assert guarded.post("/login", data=right).status_code == 429


def test_who_reaches_the_server_from_elsewhere_names_no_file_of_it(guarded: httpx.Client) -> None:
    guarded.post("/login", data={"password": "correct horse battery"})
    table = {"table": ("t.csv", b"Video URL,Performance\n/etc/passwd,1\n")}
    answer = guarded.post("/ingest", files=table, data={"allow_local_files": "1"})
    assert "cannot name files of this computer" in answer.text
    answer = guarded.post("/ingest", files=table, data={"allow_private": "1"})
    assert "or its network" in answer.text
    assert "base_folder" not in guarded.get("/ingest").text


def test_names_and_addresses() -> None:
    hosts = Hosts(["box", socket.gethostname()])
    assert all(map(hosts.allow, ("box", "BOX.:80", "192.0.2.7", "[2001:db8::1]:443")))
    assert not any(map(hosts.allow, ("boxes", "box.evil.example", "", "evil@", "[::1", "a b")))
