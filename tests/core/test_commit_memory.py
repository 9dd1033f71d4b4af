"""What the process that records videos holds for a long one."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

from benchmarks._synthetic import DIMENSION, Synthetic, contract
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Video
from registry.faces.face_table import FaceTable

FEW, MANY = 500, 1_300
MOST = 1_500
"""Bytes that a commit may take in addition for each face: its vector of 512 bytes once more, the
bytes of the record, and what the rule compares. It took 1,153 on 2026-11-27."""


def _video(faces: int, number: int) -> Video:
    [video] = Synthetic(10, faces=faces).videos(1, start=number)
    return replace(video, faces=FaceTable.of(video.faces))


def _peak(registry: Registry, video: Video) -> int:
    """The most bytes that Python and NumPy hold while the video is committed."""
    gc.collect()
    tracemalloc.start()
    try:
        assert len(registry.commit(video).faces) == len(video.faces)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_commit_holds_little_for_each_face(tmp_path: Path) -> None:
    with open_registry(home=tmp_path) as registry:
        registry.establish(contract())
        registry.commit(_video(18, 0))  # imports, and faces that are near
        few, many = _video(FEW, 1), _video(MANY, 2)
        growth = _peak(registry, many) - _peak(registry, few)
    assert growth / (MANY - FEW) < MOST


def test_faces_take_little_more_than_their_values() -> None:
    table = _video(MANY, 1).faces
    assert isinstance(table, FaceTable)
    assert table.nbytes < MANY * (4 * DIMENSION + 400)
