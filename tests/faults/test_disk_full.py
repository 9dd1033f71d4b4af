"""A disk that fills up: refused before anything is torn, complete once there is room again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.blobs.folder import RESERVE_BYTES, FolderStore
from registry.core.registry import Registry
from registry.errors import StoreFull
from registry.settings import load_settings
from registry.store.edge import EdgeStore
from tests.faults.harness import copy_home
from tests.faults.proxies import Trigger
from tests.faults.workload import STEPS, dump, run

_MIB = 2**20
STEP = {name: number for number, (name, _) in enumerate(STEPS)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 GiB at most."""
    place, mount = tmp_path / "disk", shutil.which("mount")
    place.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk to fill")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("before") / "home"
    run(home, Trigger(), steps=STEPS[: STEP["merge"]])
    return home


def _open(home: Path) -> Registry:
    """The parts with the reserves that they have by default."""
    return Registry(
        load_settings(home=home), FolderStore(home / "objects"), EdgeStore(home / "index")
    )


@pytest.mark.parametrize("room_mib", [-200, 0, 1])
@pytest.mark.parametrize("step", ["merge", "reindex", "second table"])
def test_a_full_disk_stops_the_change_and_a_rerun_completes_it(
    disk: Path, before: Path, tmp_path: Path, step: str, room_mib: int
) -> None:
    undisturbed, home = tmp_path / "undisturbed", disk / "home"
    for place in (undisturbed, home):
        copy_home(before, place)
    with _open(undisturbed) as registry:
        STEPS[STEP[step]][1](registry)
        wanted = dump(registry)
    filler = disk / "filler"
    with _open(home) as registry:
        room = shutil.disk_usage(disk).free - RESERVE_BYTES - room_mib * _MIB
        filler.write_bytes(bytes(room))
        with pytest.raises(StoreFull, match="Free some"):
            STEPS[STEP[step]][1](registry)
    filler.unlink()
    with _open(home) as registry:
        STEPS[STEP[step]][1](registry)
        assert dump(registry) == wanted
