"""Optimised graphs that are kept: the same answers to the last bit, and never a damaged one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
from onnx import helper

from registry.domain import Image
from registry.models import catalogue, optimised_graphs
from registry.models.optimised_graphs import FOLDER, open_optimised
from registry.settings import Accuracy
from registry.system.locks import file_lock
from tests.support.kept_graphs import graphs_made_each_time

BOTH: tuple[Accuracy, ...] = ("exact", "fast")


def _answers(
    cache: Path, image: Image, accuracies: tuple[Accuracy, ...] = ("fast",)
) -> list[bytes]:
    """Embeddings and landmarks of one image. `fast` uses both graphs: SFace's and YuNet's."""
    found = []
    for accuracy in accuracies:
        model = catalogue.load("sface", device="cpu", cache=cache, threads=1, accuracy=accuracy)
        faces = model.detect(image)
        found += [face.landmarks.tobytes() for face in faces]
        found.append(model.embed(model.align(image, faces)).tobytes())
    return found


@pytest.fixture(scope="module", autouse=True)
def _each_is_made() -> Iterator[None]:
    with graphs_made_each_time():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, astronaut: Image) -> tuple[Path, list[bytes]]:
    """A folder of models with the entries of SFace and YuNet, and the answers of those graphs."""
    models = tmp_path_factory.mktemp("made") / "models"
    return models, _answers(models, astronaut)


@pytest.fixture
def models(made: tuple[Path, list[bytes]], tmp_path: Path) -> Path:
    """A copy of this folder for one test."""
    return Path(shutil.copytree(made[0], tmp_path / "models"))


def _entries(cache: Path) -> dict[str, int]:
    """Inode of the graph in each entry: another one, if the entry was made again."""
    return {
        entry.name: (entry / "graph.onnx").stat().st_ino for entry in (cache / FOLDER).iterdir()
    }


def test_a_kept_graph_answers_as_the_original(tmp_path: Path, t1_image: Image) -> None:
    blocked = tmp_path / "a file, where no folder can be made"
    blocked.touch()
    original = _answers(blocked, t1_image, BOTH)
    made = _answers(tmp_path / "models", t1_image, BOTH)
    entries = _entries(tmp_path / "models")
    kept = _answers(tmp_path / "models", t1_image, BOTH)

    assert made == original
    assert kept == original
    assert len(entries) == 2  # SFace's and YuNet's
    assert _entries(tmp_path / "models") == entries


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has access lists instead of modes")
def test_what_is_kept_is_private_as_all_of_a_home(tmp_path: Path) -> None:
    models = tmp_path / "models"
    catalogue.load("sface", device="cpu", cache=models)
    for path in (models, *models.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_kept_graph_needs_no_onnx(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from registry.models import catalogue; "
        "catalogue.load('sface', device='cpu', cache=Path(sys.argv[1]), accuracy='fast'); "
        "print('onnx' in sys.modules)"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert shown == ["True", "False"]


@pytest.mark.parametrize("file", ["weights.bin", "graph.onnx", "checks.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut off", "missing"])
def test_a_damaged_entry_is_made_again(
    models: Path, made: tuple[Path, list[bytes]], astronaut: Image, file: str, damage: str
) -> None:
    entries = _entries(models)
    for entry in (models / FOLDER).iterdir():
        path = entry / file
        content = bytearray(path.read_bytes())
        path.unlink()
        if damage == "flipped":
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        elif damage == "cut off":
            path.write_bytes(content[: len(content) // 2])

    assert _answers(models, astronaut) == made[1]
    repaired = _entries(models)
    assert repaired.keys() == entries.keys()
    assert _answers(models, astronaut) == made[1]
    assert _entries(models) == repaired


def test_an_entry_whose_answer_differs_is_made_again(
    models: Path, made: tuple[Path, list[bytes]], astronaut: Image
) -> None:
    """As one that was made on another processor, in a home that two machines share."""
    for entry in (models / FOLDER).iterdir():
        checks = (entry / "checks.json").read_text()
        start = checks.index('"answer": "') + len('"answer": "')
        (entry / "checks.json").write_text(checks[:start] + "0" * 64 + checks[start + 64 :])

    assert _answers(models, astronaut) == made[1]
    for entry in (models / FOLDER).iterdir():
        assert "0" * 64 not in (entry / "checks.json").read_text()


def test_old_entries_go_when_another_is_made(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    for name, days in (("old", 40), ("new", 10), (".killed", 40)):
        (folder / name).mkdir(parents=True)
        (folder / name / "weights.bin").write_bytes(b"1")
        at = time.time() - days * 24 * 3600
        os.utime(folder / name, (at, at))

    catalogue.load("sface", device="cpu", cache=tmp_path)

    names = {entry.name for entry in folder.iterdir()}
    assert "new" in names
    assert len(names) == 2
    assert not {"old", ".killed"} & names


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    code = (
        "import sys, numpy; from pathlib import Path; from registry.models import catalogue; "
        "model = catalogue.load('sface', device='cpu', cache=Path(sys.argv[1]), threads=1); "
        "chips = numpy.arange(3 * 112 * 112 * 3, dtype=numpy.uint8).reshape(3, 112, 112, 3); "
        "print(model.embed(chips).tobytes().hex())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0] * 3
    assert len(answers) == 1
    assert np.frombuffer(bytes.fromhex(answers.pop().decode()), np.float32).shape == (3 * 128,)
    assert [entry.name[0] for entry in (tmp_path / FOLDER).iterdir()] != ["."]


def _graph() -> bytes:
    """x + y, with weights that are stored in a file of their own."""
    floats, shape = onnx.TensorProto.FLOAT, [1, 1024]
    weights = helper.make_tensor("y", floats, shape, np.ones(1024, np.float32))
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "y"], ["z"])],
        "sum",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("z", floats, shape)],
        [weights],
    )
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def test_one_makes_an_entry_while_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(_graph())
        return made[-1]

    def load() -> None:
        open_optimised(tmp_path, "digest", make, 1, "sum", sample=(1, 1024))

    threads = [Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1

    monkeypatch.setattr(optimised_graphs, "_LOCK_TIMEOUT_S", 0.01)
    shutil.rmtree(tmp_path / FOLDER)
    with file_lock(tmp_path / ".optimised.lock"):
        load()
    assert len(made) == 2  # without the lock in the end
