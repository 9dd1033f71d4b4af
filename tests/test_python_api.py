"""From a notebook: a DataFrame in, a DataFrame out, a photo looked up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ingest import ingest
from queries import averages, lookup, write_csv, write_zip
from registry import open_registry
from registry.demo.cast import VIDEOS
from registry.demo.videos import build_videos
from registry.domain import Image
from registry.errors import StoreDenied
from tests.support.media import write_video


def test_the_main_job_from_python(tmp_path: Path, astronaut: Image) -> None:
    video = next(v for v in VIDEOS if v.file == "ask-an-astronaut.mp4")
    build_videos(tmp_path, [video])
    table = pd.DataFrame({"link": [str(tmp_path / video.file)], "likes": [7]})
    with open_registry(home=tmp_path / "home") as registry:
        summary = ingest(
            registry,
            table,
            url_column="link",
            metrics=["likes"],
            every=30,
            workers=0,
            allow_local_files=True,
        )
        assert summary.ingested == 1
        found = averages(registry)
        assert found["average_performance"].tolist() == [7.0]
        smaller = np.asarray(cv2.resize(astronaut, None, fx=0.8, fy=0.8), np.uint8)
        answer = lookup(registry, smaller)
        assert answer.faces[0].matches[0].identity == found["identity"][0]
        write_csv(found, tmp_path / "out.csv")
        assert write_zip(registry, tmp_path / "faces.zip") == found["faces"][0]


_SCRIPT = """
from ingest import ingest
from registry import open_registry

with open_registry(home="home") as registry:
    summary = ingest(registry, "videos.csv", workers=1)
    print([failure.reason for failure in summary.failures])
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", lambda i: (i, 80, 120), frames=5)
    (tmp_path / "videos.csv").write_text("Video URL,Performance\na.mp4,1\n")
    (tmp_path / "script.py").write_text(_SCRIPT)
    call = [sys.executable, "script.py"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'if __name__ == "__main__":' in done.stdout, done.stderr


def test_a_lock_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(
        StoreDenied, match=f"{tmp_path} cannot be used .*directory at .*lock.*--home"
    ):
        open_registry(home=tmp_path)
