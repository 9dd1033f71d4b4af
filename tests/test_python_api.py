"""From a notebook: a DataFrame in, a DataFrame out, a photo looked up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import face_registry as fr
import ingest
import registry
from registry import errors
from registry.demo.cast import VIDEOS
from registry.demo.videos import build_videos
from registry.domain import Image
from tests.support.media import write_video

HEAVY = ("numpy", "pandas", "cv2", "av", "onnxruntime", "qdrant_client", "qdrant_edge", "click")


def test_the_package_loads_the_heavy_libraries_only_when_they_are_used() -> None:
    code = f"import sys, face_registry; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lists_do_not_load_the_libraries_of_statistics_and_pictures() -> None:
    commands = "queries.list_commands, queries.lookup_commands, queries.metric_commands"
    heavy = ("scipy", "pandas", "cv2", "pillow_heif", "altair", "vl_convert", "IPython")
    code = f"import sys, {commands}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reports_do_not_load_the_library_of_charts() -> None:
    code = (
        "import sys, queries.report_commands, queries.statistics.performance\n"
        "heavy = ('altair', 'vl_convert', 'cv2', 'scipy.stats')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_provides_every_name_that_it_lists() -> None:
    code = (
        "import face_registry, sys\n"
        "from face_registry import *\n"
        "assert set(face_registry.__all__) <= set(globals())\n"
        "assert dir(face_registry) == sorted(face_registry.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'averges'"):
        fr.averges  # type: ignore[attr-defined]  # noqa: B018


def test_every_error_is_public() -> None:
    ours = {name for name, one in vars(errors).items() if isinstance(one, type)}
    assert ours <= set(fr.__all__)
    assert all(getattr(fr, name) is getattr(errors, name) for name in ours)


def test_the_names_of_the_other_packages_are_the_same_objects() -> None:
    assert registry.open_registry is fr.open_registry
    assert registry.Registry is fr.Registry
    assert registry.__version__ == fr.__version__
    assert ingest.ingest is fr.ingest


def test_the_main_job_from_python(tmp_path: Path, astronaut: Image) -> None:
    video = next(v for v in VIDEOS if v.file == "ask-an-astronaut.mp4")
    build_videos(tmp_path, [video])
    table = pd.DataFrame({"link": [str(tmp_path / video.file)], "likes": [7]})
    with fr.open_registry(home=tmp_path / "home") as registry:
        summary = fr.ingest(
            registry,
            table,
            url_column="link",
            metrics=["likes"],
            every=30,
            workers=0,
            allow_local_files=True,
        )
        assert summary.ingested == 1
        found = fr.averages(registry)
        assert found["average_performance"].tolist() == [7.0]
        smaller = np.asarray(cv2.resize(astronaut, None, fx=0.8, fy=0.8), np.uint8)
        answer = fr.lookup(registry, smaller, channels="BGR")
        assert answer.faces[0].matches[0].identity == found["identity"][0]
        fr.write_csv(found, tmp_path / "out.csv")
        assert fr.write_zip(registry, tmp_path / "faces.zip") == found["faces"][0]


_SCRIPT = """
import face_registry as fr

with fr.open_registry(home="home") as registry:
    summary = fr.ingest(registry, "videos.csv", workers=1)
    print([failure.reason for failure in summary.failures])
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", lambda i: (i, 80, 120), frames=5)
    (tmp_path / "videos.csv").write_text("Video URL,Performance\na.mp4,1\n")
    (tmp_path / "script.py").write_text(_SCRIPT)
    call = [sys.executable, "script.py"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RegistryError: The worker processes cannot start. " in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_a_lock_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(
        fr.StoreDenied, match=f"{tmp_path} cannot be used .*directory at .*lock.*--home"
    ):
        fr.open_registry(home=tmp_path)
