"""A new registry samples before long gaps and behind cuts; an old one when it is told to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ingest import ingest
from ingest.summary import Summary
from registry import open_registry
from registry.core import contract as contracts
from registry.core.registry import Registry
from registry.errors import ContractError, UsageError
from registry.models.base import FaceModel
from tests.support.factories import contract
from tests.support.media import numbered, write_video


def read(registry: Registry, folder: Path, name: str, **options: Any) -> Summary:
    """Ingest a video of 12 s at 1 frame a second."""
    path = write_video(folder / name, numbered(12, seed=len(name)), fps=1)
    table = pd.DataFrame({"Video URL": [str(path)], "Performance": [1.0]})
    return ingest(registry, table, workers=0, allow_local_files=True, **options)


def test_a_new_registry_looks_at_each_second(tmp_path: Path) -> None:
    with open_registry(home=tmp_path / "home") as registry:
        assert read(registry, tmp_path, "a.mp4").frames == 12
        assert (registry.contract.max_gap_s, registry.contract.cuts) == (1.0, True)
    with open_registry(home=tmp_path / "home") as registry:
        assert (registry.contract.max_gap_s, registry.contract.cuts) == (1.0, True)


def test_a_new_registry_may_be_told_otherwise(tmp_path: Path) -> None:
    with open_registry(home=tmp_path / "home") as registry:
        assert read(registry, tmp_path, "a.mp4", max_gap=0, cuts=False).frames == 2
        assert "max_gap_s" not in registry.contract.as_dict()


def test_an_old_registry_keeps_its_sampling_until_told_otherwise(
    tmp_path: Path, sface: FaceModel
) -> None:
    old = replace(contract(), model=sface.info, model_source="sface")
    with open_registry(home=tmp_path / "home") as registry:
        registry.establish(old)
        before = registry.blobs.get("registry.json")
        first = read(registry, tmp_path, "a.mp4")
        assert first.frames == 2
        assert not [note for note in first.notes if "sampling" in note]
        assert registry.blobs.get("registry.json") == before

        second = read(registry, tmp_path, "bb.mp4", max_gap=2.0)

        assert second.frames == 6, "one in two seconds"
        (note,) = [note for note in second.notes if "sampling" in note]
        assert "(longest gap: 2 s, cuts: off)" in note
        assert read(registry, tmp_path, "ccc.mp4", max_gap=2.0).notes == first.notes
        assert read(registry, tmp_path, "dddd.mp4", cuts=True).frames == 6
        assert contracts.load(registry.blobs) == replace(old, max_gap_s=2.0, cuts=True)
        with pytest.raises(ContractError, match="--every 10, and --every 5"):
            read(registry, tmp_path, "eeeee.mp4", every=5)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_gaps_that_are_no_seconds_are_refused(tmp_path: Path, seconds: float) -> None:
    with (
        open_registry(home=tmp_path / "home") as registry,
        pytest.raises(UsageError, match="max_gap"),
    ):
        read(registry, tmp_path, "a.mp4", max_gap=seconds)


@pytest.fixture(scope="module")
def cases(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos of the shared cases."""
    make = shared_data.parent / "cases" / "make.py"
    if not make.is_file():
        pytest.skip(f"shared cases: {make} is missing")
    out = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(make), str(out)], check=True, stdout=subprocess.DEVNULL)
    return out / "videos"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["slides_25fps", "slides_one_frame_each", "slides_1fps"])
def test_slide_shows_give_all_eight_people_with_their_times(
    cases: Path, tmp_path: Path, name: str, workers: int
) -> None:
    table = pd.DataFrame({"Video URL": [str(cases / f"{name}.mp4")], "Performance": [1.0]})
    with open_registry(home=tmp_path / "home") as registry:
        ingest(registry, table, workers=workers, consolidate=True, allow_local_files=True)
        seconds = seconds_on_screen(registry)

    assert seconds == pytest.approx([3.0] * 8, abs=0.1)


@pytest.mark.slow
def test_a_late_clock_starts_at_zero(cases: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"Video URL": [str(cases / "late_clock.mkv")], "Performance": [1.0]})
    with open_registry(home=tmp_path / "home") as registry:
        ingest(registry, table, workers=1, allow_local_files=True)
        (video,) = registry.records.all()

    assert video.faces[0].time_s == 0
    assert video.media.duration_s == pytest.approx(72 / 30, abs=0.01), "72 frames at 30 a second"


def seconds_on_screen(registry: Registry) -> Sequence[float]:
    return [identity.screen_time_s for identity in registry.index.identities(provisional=False)]
