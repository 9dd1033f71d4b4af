"""Objects and index files that changed on the disk: found, never served, put right where it can be.

Every damage is done to a copy of one registry; what it says afterwards is what it said before, or
an error of ours that names what is damaged.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from registry.errors import RegistryError, StoreCorrupt
from tests.faults import workload
from tests.faults.proxies import Trigger
from tests.support.homes import copy_home

OBJECTS = {
    "record": "records/*.parquet",
    "decision": "decisions/*.json",
    "contract": "registry.json",
    "crop": "crops/*/*.jpg",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    home = tmp_path_factory.mktemp("sound") / "home"
    workload.run(home, Trigger(), steps=workload.STEPS[:5])
    return home, _read(home)


def _read(home: Path, *, reindex: bool = False) -> Any:
    """All that it says, every crop checked."""
    with workload.open_parts(home, Trigger()) as registry:
        if reindex:
            registry.reindex()
        for face in registry.index.faces():
            registry.crop(face.crop, face.crop_digest)
        return workload.dump(registry)


def _torn(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("damage", [_torn, _flipped])
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_damaged_object_is_never_served(
    sound: tuple[Path, Any], tmp_path: Path, kind: str, damage: Any
) -> None:
    home, wanted = sound
    chance = random.Random(f"{kind} {damage.__name__}")
    found = 0
    copy_home(home, tmp_path / "home")
    for _ in range(8):
        path = chance.choice(sorted((tmp_path / "home" / "objects").glob(OBJECTS[kind])))
        before = path.read_bytes()
        path.write_bytes(damage(before, chance))
        try:
            assert _read(tmp_path / "home") == wanted  # such as a blank that became another
        except StoreCorrupt as exc:
            found += 1
            assert path.name in str(exc) or path.stem in str(exc)
        path.write_bytes(before)
    assert found >= 6
    assert _read(tmp_path / "home") == wanted


def test_an_index_whose_files_are_gone_or_torn_is_rebuilt(
    sound: tuple[Path, Any], tmp_path: Path
) -> None:
    home, wanted = sound
    copy_home(home, tmp_path / "home")
    folder = tmp_path / "home" / "index"
    (folder / "faces" / "edge_config.json").write_text("{")
    with pytest.raises(RegistryError, match="reindex"):
        _read(tmp_path / "home")
    assert _read(tmp_path / "home", reindex=True) == wanted
