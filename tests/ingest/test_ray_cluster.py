"""Videos read on a Ray cluster: the same registry, whatever is lost, and errors in words."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import psutil
import pytest

import face_registry as fr
from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import FetchLimits
from ingest.fetch.host_headers import HostHeaders
from ingest.fetch.proxies import ProxyRules
from ingest.frames import MediaLimits, Sampling
from ingest.ray_node import Failed, FetchRules, NodeSetup, NodeWorker
from ingest.summary import Summary
from registry.core.opening import open_registry
from registry.demo.cast import VIDEOS
from registry.demo.videos import build_videos
from registry.errors import FetchError, RegistryError, UsageError
from registry.settings import load_settings
from registry.upkeep.status import dump
from tests.support.factories import contract

requires_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed (requirements/cluster.txt)"
)


class _KillsOneWorker:
    """A reporter that kills a worker of the local cluster when the first video is recorded."""

    def __init__(self) -> None:
        self.killed: list[int] = []
        self.outcomes: list[str] = []

    def begin(self, videos: int) -> None: ...

    def warn(self, message: str) -> None: ...

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        self.outcomes.append(outcome)
        if not self.killed:
            mine = psutil.Process().children(recursive=True)
            workers = [one for one in mine if one.name().startswith("ray::NodeWorker")]
            assert len(workers) == 2
            workers[0].kill()
            self.killed.append(workers[0].pid)


@requires_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_lost_worker_costs_its_videos_some_time_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_videos(tmp_path)
    table = pd.DataFrame(
        {"Video URL": [str(tmp_path / one.file) for one in VIDEOS], "Performance": range(len(VIDEOS))}
    )
    with open_registry(home=tmp_path / "one") as registry:
        fr.ingest(registry, table, workers=1, allow_local_files=True)
        expected = dump(registry)

    reporter = _KillsOneWorker()
    with open_registry(home=tmp_path / "ray") as registry, caplog.at_level("INFO", "face_registry"):
        summary = fr.ingest(
            registry, table, ray="auto", workers=2, allow_local_files=True, reporter=reporter
        )
        assert dump(registry) == expected

    assert (summary.ingested, summary.failures) == (len(VIDEOS), [])
    assert len(reporter.killed) == 1
    lines = [record.getMessage() for record in caplog.records]
    assert any("worker.lost" in line for line in lines)
    assert sum("worker.ready" in line for line in lines) == 3
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
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a Ray cluster. Give HOST:PORT"):
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
        (lambda setup: replace(setup, version="9.9"), r"has face-registry .*, and this one has 9\.9"),
    ],
)
def test_a_machine_that_cannot_take_part_says_why(
    setup: NodeSetup, change: Callable[[NodeSetup], NodeSetup], reason: str
) -> None:
    answer = NodeWorker(change(setup)).start()
    assert isinstance(answer, Failed)
    with pytest.raises(RegistryError, match=reason):
        raise answer.error


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
