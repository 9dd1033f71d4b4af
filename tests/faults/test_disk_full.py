"""A disk that fills up: refused before anything is torn, complete once there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from registry.blobs.folder import RESERVE_BYTES, FolderStore
from registry.core.registry import Registry
from registry.errors import StoreFull
from registry.settings import load_settings
from registry.store.edge import EdgeStore
from tests.faults.proxies import Trigger
from tests.faults.workload import STEPS, dump, run
from tests.support.homes import copy_home
from tests.support.kept_shards import shards_made_each_time

_MIB = 2**20
STEP = {name: number for number, (name, _) in enumerate(STEPS)}


@pytest.fixture(autouse=True)
def _shards_are_made_each_time() -> Iterator[None]:
    with shards_made_each_time():
        yield


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 640 MiB at most."""
    place, mount = tmp_path / "disk", shutil.which("mount")
    place.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "size=640m", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk to fill")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("before") / "home"
    run(home, Trigger(), steps=STEPS[: STEP["merge"]])
    return home


@pytest.fixture(scope="module")
def wanted(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What the registry says after a step that nothing disturbed."""

    @cache
    def dumped(step: str) -> Any:
        home = copy_home(before, tmp_path_factory.mktemp("undisturbed") / "home")
        with _open(home) as registry:
            STEPS[STEP[step]][1](registry)
            return dump(registry)

    return dumped


def _open(home: Path) -> Registry:
    """The parts with the reserves that they have by default."""
    return Registry(
        load_settings(home=home), FolderStore(home / "objects"), EdgeStore(home / "index")
    )


def _fill(path: Path, size: int) -> None:
    """Write a file that takes so much room; on Linux without writing every byte of it."""
    if sys.platform == "linux":
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    else:
        path.write_bytes(bytes(size))


@pytest.mark.parametrize("room_mib", [-200, 0, 1])
@pytest.mark.parametrize("step", ["merge", "reindex", "second table"])
def test_a_full_disk_stops_the_change_and_a_rerun_completes_it(
    disk: Path, before: Path, wanted: Callable[[str], Any], step: str, room_mib: int
) -> None:
    home, filler = copy_home(before, disk / "home"), disk / "filler"
    with _open(home) as registry:
        room = shutil.disk_usage(disk).free - RESERVE_BYTES - room_mib * _MIB
        _fill(filler, room)
        with pytest.raises(StoreFull, match="Free some"):
            STEPS[STEP[step]][1](registry)
    filler.unlink()
    with _open(home) as registry:
        STEPS[STEP[step]][1](registry)
        assert dump(registry) == wanted(step)
