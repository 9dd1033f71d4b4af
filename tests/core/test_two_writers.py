"""Two real `ingest` commands at once, on overlapping tables, embedded and on servers.

The site holds back the second video of the first table, so that the first writer is known to be at
work, with one video on record, for as long as a test wants.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from registry.blobs.minio_store import MinioStore
from registry.core.opening import open_registry
from registry.demo.cast import VIDEOS
from registry.demo.videos import build_videos, write_probe
from registry.upkeep.index_comparison import compare_index
from tests.faults.harness import difference
from tests.support import places
from tests.support.processes import kill_group, resume, suspend
from tests.support.qdrant_served import serve_qdrant
from tests.support.web import Behaviour, Exchange, Web, serve
from tests.support.weed import S3Server, s3_server
from tests.test_main_job import call_here as call

__all__ = ["s3_server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FIRST, HELD_BACK, LAST = "ask-an-astronaut.mp4", "poker-night.mp4", "card-tricks.mp4"
SOON_S = 90.0
LEASE_S = 3.0
_SHORT_LEASE = """
import sys
from ingest import ingest
from ingest.fetch.addresses import AddressPolicy
from registry.core.lease import Lease
from registry.core.backends import open_blobs, open_store
from registry.core.registry import Registry
from registry.settings import load_settings
from registry.errors import RegistryError
settings = load_settings(home=sys.argv[1])
blobs = open_blobs(settings)
lease = Lease(blobs, ttl_s=float(sys.argv[3]))
with Registry(settings, blobs, open_store(settings), lease=lease) as registry:
    try:
        ingest(registry, sys.argv[2], workers=1, policy=AddressPolicy(allow_private=True))
    except RegistryError as exc:
        sys.exit(f"error: {exc}")
"""


class Site:
    """The videos over HTTP, the second one on demand."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.gate = Event()
        self._web = web
        self._folder = folder
        for name in (FIRST, HELD_BACK, LAST):
            behaviour = serve((folder / name).read_bytes())
            web.on(f"/{name}", self._held(behaviour) if name == HELD_BACK else behaviour)

    def table(self, name: str, *files: str) -> Path:
        path = self._folder / f"{name}.csv"
        rows = "".join(f"{self._web.url(f'/{f}')},{n}\n" for n, f in enumerate(files, start=1))
        path.write_text(f"Video URL,Performance\n{rows}")
        return path

    def _held(self, then: Behaviour) -> Behaviour:
        def behave(exchange: Exchange) -> None:
            while not self.gate.is_set() and exchange.pause(0.05):
                pass
            then(exchange)

        return behave


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_videos(folder, [v for v in VIDEOS if v.file in (FIRST, HELD_BACK, LAST)])
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with Web() as web:
        site = Site(web, folder)
        yield site
        site.gate.set()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python with these arguments; what still runs at the end is ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            )
        )  # fmt: skip
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                kill_group(process.pid)
        process.communicate()


@pytest.fixture
def servers(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both servers, in the environment of whatever a test starts."""
    given = {
        "MINIO_ENDPOINT": s3_server.endpoint,
        "MINIO_ACCESS_KEY": s3_server.access_key,
        "MINIO_SECRET_KEY": s3_server.secret_key,
        "MINIO_SECURE": "false",
        "MINIO_BUCKET": places.bucket("two"),
    }
    with ExitStack() as until_the_end:
        qdrant = dict(places.QDRANT)
        if not qdrant:
            qdrant["QDRANT_URL"] = until_the_end.enter_context(serve_qdrant()).url
        qdrant["QDRANT_PREFIX"] = f"{places.bucket('two')}-"
        for name, value in {**given, **qdrant}.items():
            monkeypatch.setenv(name, value)
        yield


def command(home: Path, *arguments: object) -> list[object]:
    """What Python is given to run a command."""
    return ["-c", "from registry.cli import main; main()", "--home", home, *arguments]


def ingesting(home: Path, table: Path, *more: str) -> list[object]:
    return command(home, "ingest", table, "--allow-private-hosts", "--workers", "1", *more)


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SOON_S
    while not (found := what()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
    return found


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and what it said on stderr."""
    _, said = process.communicate(timeout=SOON_S)
    assert "Traceback" not in said
    return process.returncode, said


def dumped(home: Path) -> dict[str, Any]:
    result = call(home, "status", "--dump")
    assert result.exit_code == 0, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def one_after_the_other(home: Path, *tables: Path) -> dict[str, Any]:
    """What an embedded registry says that ingested these tables in turn."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MINIO_ENDPOINT", "QDRANT_URL"):
            patch.delenv(name, raising=False)
        for table in tables:
            result = call(home, "ingest", str(table), "--allow-private-hosts", "--workers", "1")
            assert result.exit_code == 0, result.exception
        return dumped(home)


def test_embedded_the_second_is_told_who_works_or_waits(
    site: Site, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    one, other = site.table("one", FIRST, HELD_BACK), site.table("other", HELD_BACK, LAST)
    home, holder = tmp_path / "home", tmp_path / "home" / "lock.json"
    first = start(*ingesting(home, one))
    until(lambda: holder.exists() and holder.read_text())
    code, said = ended(start(*ingesting(home, other)))
    assert (code, f"in use by process {first.pid} since" in said) == (1, True), said
    until(lambda: list(home.glob("objects/records/*")))
    for reader in (["report"], ["identities", "list"], ["status"]):
        result = call(home, *reader)
        assert (result.exit_code, f"in use by process {first.pid}" in result.stderr) == (0, True)
    waiting = start(*ingesting(home, other, "--wait"))
    site.gate.set()
    assert ended(first)[0] == 0
    code, said = ended(waiting)
    assert code == 0, said
    assert difference(one_after_the_other(tmp_path / "alone", one, other), dumped(home)) == ""


def test_on_servers_the_second_is_told_or_waits_and_readers_go_on(
    site: Site, servers: None, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    one, other = site.table("one", FIRST, HELD_BACK), site.table("other", HELD_BACK, LAST)
    first = start(*ingesting(tmp_path / "first", one))
    reader = tmp_path / "reader"
    until(lambda: _videos_on_record(reader) == 1)
    code, said = ended(start(*ingesting(tmp_path / "second", other)))
    assert (code, f"in use by process {first.pid} on" in said) == (1, True), said
    photo = tmp_path / "photo.jpg"
    write_probe(photo, "astronaut")
    for command_line in (["report"], ["identities", "list"], ["lookup", str(photo)]):
        result = call(reader, *command_line)
        assert result.exit_code == 0, result.exception
    waiting = start(*ingesting(tmp_path / "second", other, "--wait"))
    site.gate.set()
    assert ended(first)[0] == 0
    code, said = ended(waiting)
    assert code == 0, said
    assert difference(one_after_the_other(tmp_path / "alone", one, other), dumped(reader)) == ""


def test_a_writer_that_stood_still_beyond_its_lease_writes_nothing_more(
    site: Site, servers: None, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    one, other = site.table("one", FIRST, HELD_BACK), site.table("other", LAST)
    late = start("-c", _SHORT_LEASE, tmp_path / "first", one, LEASE_S)
    reader = tmp_path / "reader"
    until(lambda: _videos_on_record(reader) == 1)
    suspend(late.pid)
    code, said = ended(start(*ingesting(tmp_path / "second", other, "--wait")))
    assert code == 0, said
    between = dumped(reader), _objects()
    site.gate.set()
    resume(late.pid)
    code, said = ended(late)
    assert (code, "taken over by process" in said) == (1, True), said
    assert "writes nothing more" in said
    assert (dumped(reader), _objects()) == between
    with open_registry(home=reader) as registry:
        assert list(compare_index(registry.records, registry.index, registry.view)) == []
    assert ended(start(*ingesting(tmp_path / "first", one)))[0] == 0
    tables = site.table("its-first", FIRST), other, site.table("again", FIRST, HELD_BACK)
    assert difference(one_after_the_other(tmp_path / "alone", *tables), dumped(reader)) == ""


def _videos_on_record(home: Path) -> int:
    result = call(home, "videos", "list", "--json")
    return len(json.loads(result.stdout)["videos"]) if result.exit_code == 0 else 0


def _objects() -> list[tuple[str, str]]:
    """Every object but the lease, with its tag."""
    e = os.environ
    keys = e["MINIO_ENDPOINT"], e["MINIO_ACCESS_KEY"], e["MINIO_SECRET_KEY"], e["MINIO_BUCKET"]
    store = MinioStore(*keys, secure=False)
    found = [(i.key, store.get_tagged(i.key)[1]) for i in store.list() if i.key != "lease.json"]
    store.close()
    return found
