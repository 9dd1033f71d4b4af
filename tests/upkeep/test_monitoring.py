"""Measurements in Prometheus' text format, to stdout and to a file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from registry import open_registry
from registry.cli import cli
from registry.core.runs import recorded
from registry.errors import StoreError
from registry.upkeep.monitoring import format_metrics
from tests.support.factories import person, video
from tests.support.registries import new_registry, who

A, B = video("a", [person(0), person(1)]), video("b", [person(0)])


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, as Prometheus' own parser reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_registry_tells_its_size_and_its_last_runs(tmp_path: Path) -> None:
    with new_registry(tmp_path, A, B) as registry:
        registry.name(who(registry, A), "Annabel")
        with recorded(registry, "ingest") as recording:
            recording.counts, recording.failures = {"videos": {"rows": 3}, "faces": 3}, 1
            recording.counts |= {"frames": 9}
        with pytest.raises(StoreError), recorded(registry, "reindex"):
            raise StoreError("no")
        text = format_metrics(registry)
    found = read(text)

    def of(name: str, **labels: str) -> float:
        return found[f"face_registry_{name}", frozenset(labels.items())]

    assert (of("up", part="objects"), of("up", part="index")) == (1, 1)
    assert (of("videos", status="done"), of("videos", status="failed")) == (2, 0)
    assert (of("faces"), of("identities"), of("identities_named")) == (3, 2, 1)
    assert of("identities_in_one_video") == 1
    assert of("last_run_videos", kind="ingest", result="rows") == 3
    assert (of("last_run_failures", kind="ingest"), of("last_run_frames", kind="ingest")) == (1, 9)
    assert of("last_run_outcome", kind="ingest", outcome="done") == 1
    assert of("last_run_outcome", kind="reindex", outcome="failed") == 1
    assert of("last_success_timestamp_seconds", kind="ingest") > 1.7e9
    assert (
        "face_registry_last_success_timestamp_seconds",
        frozenset({("kind", "reindex")}),
    ) not in found
    assert "Annabel" not in text


def test_an_index_that_is_lost_is_down(tmp_path: Path) -> None:
    with new_registry(tmp_path, A) as registry:
        registry.store.drop("faces")
    with open_registry(home=tmp_path) as registry:
        found = read(format_metrics(registry))
    assert found["face_registry_up", frozenset({("part", "index")})] == 0
    assert found["face_registry_up", frozenset({("part", "objects")})] == 1


def test_stores_that_do_not_answer_are_down_and_the_command_fails(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("no folder")
    done = CliRunner().invoke(cli, ["--home", str(tmp_path), "status", "--metrics"])
    assert isinstance(done.exception, StoreError)
    found = read(done.stdout)
    assert found["face_registry_up", frozenset({("part", "objects")})] == 0
    assert found["face_registry_up", frozenset({("part", "index")})] == 1


def test_ingest_leaves_measurements_for_a_collector_to_read(tmp_path: Path) -> None:
    table, path = tmp_path / "videos.csv", tmp_path / "out" / "faces.prom"
    table.write_text("Video URL,Performance\nmissing.mp4,1\n")
    command = ["--home", str(tmp_path / "home"), "ingest", str(table), "--workers", "1"]
    done = CliRunner().invoke(cli, [*command, "--metrics-file", str(path)])
    assert done.exit_code == 3
    assert read(path.read_text())["face_registry_videos", frozenset({("status", "failed")})] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["faces.prom"]
    refused = CliRunner().invoke(cli, [*command, "--every", "3", "--metrics-file", str(path)])
    assert refused.exit_code == 1
