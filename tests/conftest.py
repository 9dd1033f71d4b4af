"""What every test may ask for, and what none may see: the developer's own registry.

Libraries are imported where they are used: the process that only hands tests to others imports this
file before it starts them.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tests.support.read_ahead import ignore_read_ahead

if TYPE_CHECKING:
    from registry.domain import Image
    from registry.models.base import FaceModel

TEST_DATA = "FACE_REGISTRY_TEST_DATA"
_OURS = ("FACE_REGISTRY_", "QDRANT_", "MINIO_")
LONG = (
    *("core/test_snapshot.py", "core/test_commit_memory.py", "demo/test_videos.py"),
    *("erasure/test_shared_crops.py", "people/test_hard_footage.py", "queries/test_photos.py"),
    *("models/test_optimised_graphs.py", "footage/test_duplicates.py", "faults/test_disk_full.py"),
    *("queries/page/test_open_questions.py", "queries/page/test_page_file.py", "test_servers.py"),
    *("ingest/tables/test_locales.py", "ingest/test_still_pictures.py", "test_main_job.py"),
    *("ingest/test_same_registry.py", "ingest/test_accuracy.py", "ingest/test_ctrl_c.py"),
    *("test_real_clips.py", "test_threads.py", "test_python_api.py", "faults/test_faults.py"),
    *("browser/test_report_page.py", "browser/test_serve_pages.py", "web/test_serve_command.py"),
    *("calibration/test_calibration_page.py", "changing/test_changing_models.py"),
    *("store/test_edge_seal.py", "hostile/test_hostile.py", "ingest/test_network.py"),
)
"""Files of which a test takes half a second or more on average, and all of them 5 s."""


def pytest_configure() -> None:
    """Prepare the process that pytest starts in; those that it starts to run tests inherit it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        ignore_read_ahead()
        # Several processes run tests, so threads of their libraries only wait for one another.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let several processes begin with what takes long, so that none is left with it at the end.

    They are given files in this order (`--no-loadscope-reorder`): those with the most tests first,
    and before them those that take long although they have few.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = Counter(item.path for item in items)
        folder = Path(__file__).parent
        long = {folder / name for name in LONG}
        items.sort(key=lambda item: (item.path not in long, -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Spare a process that is to run many tests work that it would do again and again.

    The garbage collector no longer looks through all tests and libraries, and freed memory is used
    again instead of being returned to the system.
    """
    from registry.system.process import keep_freed_memory

    gc.collect()
    gc.freeze()
    keep_freed_memory()


@pytest.fixture(autouse=True)
def _no_real_time() -> Iterator[None]:
    """No test leaves this process a real-time one: what it starts would starve the machine."""
    yield
    if sys.platform == "linux":
        assert os.sched_getscheduler(0) in (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the environment, the data folder or the caches of whoever runs it."""
    from tests.support import places  # before the settings of its servers are gone

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OURS) and name != TEST_DATA:
                patch.delenv(name)
        outside = tmp_path_factory.mktemp("outside")
        patch.setenv("XDG_DATA_HOME", str(outside / "share"))
        patch.setenv("XDG_CACHE_HOME", str(outside / "cache"))
        yield
    places.leave_clean()


@pytest.fixture(scope="session", autouse=True)
def _optimised_graphs_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All homes of a run share them, except in tests of how they are made."""
    from tests.support.kept_graphs import graphs_made_once

    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if os.environ.get("PYTEST_XDIST_WORKER") else place) / "graphs"
    folder.mkdir(exist_ok=True)
    with graphs_made_once(folder):
        yield


@pytest.fixture(scope="session", autouse=True)
def _empty_shards_are_made_once() -> Iterator[None]:
    """All homes of a process have copies of them, except in tests of stores and of full disks.

    Only on Linux: elsewhere it is not known which parts of a file are holes.
    """
    from tests.support.kept_shards import shards_made_once

    with shards_made_once() if sys.platform == "linux" else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that names no home gets one of its own."""
    monkeypatch.setenv("FACE_REGISTRY_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, photos and models that the project does not contain."""
    given = os.environ.get(TEST_DATA)
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real clips and photos: {TEST_DATA} names no folder")
    return folder


@pytest.fixture(scope="session")
def clip(shared_data: Path) -> Callable[[str], Path]:
    """The path of a real clip: `clip("asl_gestures/learn.mkv")`."""

    def find(name: str) -> Path:
        path = shared_data / "videos" / name
        if not path.is_file():
            pytest.skip(f"real clip {name}")
        return path

    return find


@pytest.fixture(scope="session")
def photo(shared_data: Path) -> Callable[..., Path]:
    """The path of a real photo: `photo("Hugo_Chavez", 3)` is the third one of that person."""

    def find(person: str, number: int = 1) -> Path:
        path = shared_data / "photos" / person / f"{person}_{number:04d}.jpg"
        if not path.is_file():
            pytest.skip(f"real photo {number} of {person}")
        return path

    return find


@pytest.fixture(scope="session")
def sface(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    """The default model on the CPU, prepared once a session."""
    from registry.models import catalogue

    return catalogue.load("sface", device="cpu", cache=tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def pack_folder(shared_data: Path) -> Path:
    """SCRFD-500M and w600k MobileFaceNet, int8: real files of InsightFace's kind."""
    folder = shared_data / "models" / "buffalo_sc_int8"
    if not folder.is_dir():
        pytest.skip("real InsightFace pack buffalo_sc_int8")
    return folder


@pytest.fixture(scope="session")
def pack(pack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    """This pack on the CPU, prepared once a session."""
    from registry.models import catalogue

    cache = tmp_path_factory.mktemp("models")
    return catalogue.load(str(pack_folder), device="cpu", cache=cache)


def _built_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]
) -> Path:
    """A folder that is built once for all processes of a run."""
    place = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        place = place.parent
    folder = place / name
    with FileLock(place / f"{name}.lock"):
        if not folder.exists():
            building = place / f"{name}.building"
            build(building)
            building.rename(folder)
    return folder


@pytest.fixture(scope="session")
def demo_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's videos, built once for all processes of a run; only to be read."""
    from registry.demo.videos import build_videos

    return _built_once(tmp_path_factory, "demo-videos", build_videos)


@pytest.fixture(scope="session")
def poker_home(tmp_path_factory: pytest.TempPathFactory, t1_image: Image) -> Path:
    """The home of a registry of one video, six people at a table; a test must copy it."""
    from tests.support.tables import ingest_poker

    return _built_once(tmp_path_factory, "poker", lambda home: ingest_poker(t1_image, home))


def _frozen(image: Image) -> Image:
    image.setflags(write=False)
    return image


@pytest.fixture(scope="session")
def t1_image() -> Image:
    """Six people side by side, BGR uint8 (886, 1280, 3): a photo that insightface carries."""
    import cv2
    import numpy as np

    path = distribution("insightface").locate_file("insightface/data/images/t1.jpg")
    encoded = np.frombuffer(Path(str(path)).read_bytes(), np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert image is not None
    return _frozen(image.astype(np.uint8, copy=False))


@pytest.fixture(scope="session")
def astronaut() -> Image:
    """One person, BGR uint8 (512, 512, 3): a photo that scikit-image carries."""
    import numpy as np
    from skimage import data

    return _frozen(np.ascontiguousarray(data.astronaut()[:, :, ::-1]))  # type: ignore[no-untyped-call]
