"""The faces of a long video come from a worker through a file, of which nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ingest.extract import Extraction
from ingest.face_file import (
    FilledFile,
    load_faces,
    new_face_file,
    remove_face_file,
    remove_left_behind,
    save_faces,
)
from registry.domain import Media
from registry.errors import StoreError
from registry.faces.face_table import PART, FaceTable, embeddings_of
from tests.support.factories import face, person


def _extraction(faces: int) -> Extraction:
    table = FaceTable.of(face("video", 10 * i, person(i % 7)) for i in range(faces))
    return Extraction(table, Media(frames_sampled=faces), "partial", {"detect": 1.0})


def test_a_short_video_needs_no_file(tmp_path: Path) -> None:
    path = new_face_file(tmp_path / "downloads")
    extraction = _extraction(PART)
    assert save_faces(extraction, path) is extraction
    assert load_faces(extraction, path) is extraction
    assert not path.parent.exists()


def test_the_faces_of_a_long_video_come_back(tmp_path: Path) -> None:
    path = new_face_file(tmp_path / "downloads")
    extraction = _extraction(PART + 1)
    sent = save_faces(extraction, path)
    assert isinstance(sent, FilledFile)
    assert not sent.extraction.faces
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    back = load_faces(sent, path)
    assert (back.media, back.reason, back.seconds) == (extraction.media, "partial", {"detect": 1.0})
    assert np.array_equal(embeddings_of(back.faces), embeddings_of(extraction.faces))
    remove_face_file(path)
    assert list(path.parent.iterdir()) == []


def test_a_file_that_is_gone_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = new_face_file(tmp_path)
    sent = save_faces(_extraction(PART + 1), path)
    path.unlink()
    with pytest.raises(StoreError, match=r"cannot be read.*Run the same command again"):
        load_faces(sent, path)


def test_what_a_killed_worker_wrote_is_removed(tmp_path: Path) -> None:
    path, other = new_face_file(tmp_path), new_face_file(tmp_path)
    half = path.with_name(f"{path.stem}abcd{path.suffix}")
    half.write_bytes(b"half")
    other.write_bytes(b"of another video")
    remove_face_file(path)
    assert list(tmp_path.iterdir()) == [other]


def test_files_of_processes_that_ended_are_removed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ingest.face_file import new_face_file\n"
        "new_face_file(Path(sys.argv[1])).write_bytes(b'faces')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    [left] = tmp_path.iterdir()
    ours = new_face_file(tmp_path)
    elsewhere = left.with_name(left.name.replace(left.name.split("-")[1], "00000000"))
    old = elsewhere.with_name(f"old-{elsewhere.name}")
    for path in (ours, elsewhere, old):
        path.write_bytes(b"faces")
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    remove_left_behind(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ours.name, elsewhere.name}
    remove_left_behind(tmp_path / "missing")
