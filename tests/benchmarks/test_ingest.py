"""The benchmark of ingest: copies that are read in full, and shares computed as described."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import ingest
from ingest.frames import MediaLimits, Sampling, VideoReader


@pytest.mark.parametrize("name", ["asl_gestures/milk.mkv", "short_hamilton_clip.mp4"])
def test_a_copy_is_another_file_with_the_same_frames(
    name: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    source = clip(name)
    copy = tmp_path / source.name
    copy.write_bytes(ingest.another_file(source.read_bytes(), source.suffix, 3))

    def frames(path: Path) -> list[bytes]:
        with VideoReader(path, sampling=Sampling(30), limits=MediaLimits()) as reader:
            found = [frame.image.tobytes() for frame in reader]
            assert reader.reason == ""
            return found

    assert copy.read_bytes() != source.read_bytes()
    assert frames(copy) == frames(source)


def test_the_table_compares_with_the_limit_and_with_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest, "processors", lambda: 2)
    stages = {"decode": 1.0, "detect": 2.0, "align": 0.5, "embed": 4.5}
    found = {
        "ours, pack": [
            {"seconds": 5.0, "cpu": 9.0, "answer": {}},
            {"seconds": 8.0, "cpu": 9.5, "answer": {}},
            {"seconds": 4.0, "cpu": 8.5, "answer": {}},
        ],
        "limit, pack": [{"seconds": 9.0, "cpu": 9.0, "answer": stages}] * 3,
        "InsightFace's loop": [{"seconds": 10.0, "cpu": 18.0, "answer": {}}] * 3,
    }
    lines = ingest.table_of({"videos": 21, "found": found})
    assert "| ours, pack | 5.0 (4.0 to 8.0) | 9.0 (8.5 to 9.5) | 80 (50 to 100) %, goal 65 % |" in (
        lines[4].removesuffix(" 2.00 (1.25 to 2.50), goal 1.5 |")
    )
    assert lines[5].startswith("| limit, pack | 4.0 (4.0 to 4.0) | 8.0 (8.0 to 8.0): decode 1.0, ")
    assert lines[6].endswith("| 1.00 (1.00 to 1.00) |")
