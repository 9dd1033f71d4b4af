"""Videos read on a Ray cluster: the same registry, whatever is lost, and errors in words."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import face_registry as fr
from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import FetchLimits
from ingest.fetch.host_headers import HostHeaders
from ingest.fetch.network import FetchRules
from ingest.fetch.proxies import ProxyRules
from ingest.frames import MediaLimits, Sampling
from ingest.ray_cluster import RayCluster
from ingest.ray_node import Failed, NodeSetup, NodeWorker
from registry.core.opening import open_registry
from registry.errors import FetchError, RegistryError, UsageError
from registry.settings import load_settings
from tests.support.factories import contract
from tests.test_main_job import call_here as call

requires_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed (requirements/cluster.txt)"
)


class _KillsOneWorker(logging.Handler):
    """Kills the worker that processed the first video, while it holds the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.killed or "video.read" not in record.getMessage():
            return
        mine = psutil.Process().children(recursive=True)
        workers = [one for one in mine if one.name().startswith("ray::NodeWorker")]
        busiest = max(workers, key=lambda one: sum(_used(child) for child in one.children(True)))
        self.killed.append(busiest.pid)
        busiest.kill()


def _used(process: psutil.Process) -> float:
    return float(process.cpu_times().user)


@requires_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_lost_worker_costs_its_videos_some_time_and_changes_nothing(
    demo_videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = sorted(demo_videos.glob("*.mp4"))
    table = tmp_path / "videos.csv"
    rows = [f"{file},{number}" for number, file in enumerate(files)]
    table.write_text("\n".join(["Video URL,Performance", *rows]))

    def ingest_and_dump(home: Path, *options: str) -> Any:
        done = call(home, "ingest", str(table), "--allow-local-files", "--json", *options)
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)  # so nothing of Ray's is in it
        assert document["videos"]["ingested"] == len(files)
        return json.loads(call(home, "status", "--dump").stdout)

    expected = ingest_and_dump(tmp_path / "one", "--workers", "1")
    killer, log = _KillsOneWorker(), logging.getLogger("face_registry")
    log.addHandler(killer)
    try:
        with caplog.at_level("INFO", log.name):
            found = ingest_and_dump(tmp_path / "ray", "--ray", "auto", "--workers", "2")
    finally:
        log.removeHandler(killer)

    assert found == expected
    assert len(killer.killed) == 1
    assert any("worker.lost" in record.getMessage() for record in caplog.records)
    assert list((tmp_path / "ray" / "tmp").iterdir()) == []


def _ingest_on(address: str, home: Path, **options: object) -> None:
    table = pd.DataFrame({"Video URL": ["https://example.com/a.mp4"], "Performance": [1]})
    with open_registry(home=home) as registry:
        fr.ingest(registry, table, ray=address, **options)  # type: ignore[arg-type]


def test_ray_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # Python then takes it for not installed
    with pytest.raises(UsageError, match=r"not installed.*face-registry\[cluster\]"):
        _ingest_on("auto", tmp_path)


@requires_ray
@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:many", ":6379"])
def test_an_invalid_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match=r"is not the address of a Ray cluster\. Give HOST:PORT"):
        _ingest_on(address, tmp_path)


@requires_ray
def test_a_cluster_that_does_not_answer_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"{address} cannot be reached: Connection refused"):
            _ingest_on(address, tmp_path)


def test_a_cluster_needs_worker_processes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--ray needs worker processes"):
        _ingest_on("auto", tmp_path, workers=0)


@pytest.fixture
def setup(tmp_path: Path) -> NodeSetup:
    """As the main process of a registry in `tmp_path` sends it."""
    settings = load_settings(home=tmp_path / "home")
    rules = FetchRules(AddressPolicy(), FetchLimits(), ProxyRules(), HostHeaders())
    marker = tmp_path / "marker"
    marker.touch()
    return NodeSetup(
        settings, contract(), "sface", Sampling(10), MediaLimits(), 60.0, rules, marker
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda setup: replace(setup, marker=setup.marker.with_name("elsewhere")),
            r"images of this registry are in the folder .*objects, which the machine .* does not "
            r"see\. Move them to an S3 server .* or put the home on a file system",
        ),
        (
            lambda setup: replace(setup, version="9.9"),
            r"has face-registry .*, and this one has 9\.9",
        ),
    ],
)
def test_a_machine_that_cannot_take_part_says_why(
    setup: NodeSetup, change: Callable[[NodeSetup], NodeSetup], reason: str
) -> None:
    answer = NodeWorker(change(setup)).start()
    assert isinstance(answer, Failed)
    with pytest.raises(RegistryError, match=reason):
        raise answer.error


class _Unknown(NodeSetup):
    """A setup that a worker cannot read, as on a machine without face-registry."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return import_module, ("a_package_that_is_not_installed",)


@requires_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_workers_that_cannot_start_end_the_run_with_the_reason(setup: NodeSetup) -> None:
    unknown = _Unknown(*(getattr(setup, field.name) for field in fields(NodeSetup)))
    with (
        RayCluster(
            "auto", lambda _: unknown, setup.settings, workers=1, videos=1, local_workers=1
        ) as cluster,
        pytest.raises(RegistryError, match=r"No module named .*\. Install face-registry"),
    ):
        cluster.fetch("https://example.com/a.mp4", "name")


def test_a_file_that_only_the_main_machine_has_is_named(setup: NodeSetup, tmp_path: Path) -> None:
    worker = NodeWorker(setup)
    assert isinstance(worker.start(), str)
    try:
        answer = worker.fetch(str(tmp_path / "missing.mp4"), "name")
    finally:
        worker.close()
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FetchError)
    assert "has no file" in str(answer.error)
    assert "in a folder that all machines share" in str(answer.error)
