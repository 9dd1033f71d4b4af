"""Graphs that ONNX Runtime has optimised, kept in the folder of models for the next process.

To make SFace ready from its file takes 0.2 s of processor time and `import onnx`, in every worker
process. A kept graph takes a third of it, and its weights, which are mapped from the file, are in
memory once for all workers. Figures: docs/MODELS.md, Speed.

A kept graph is an entry, a folder that appears in one step. Its name depends on everything that
the graph depends on: the weights, this code, ONNX Runtime and the processor, for which ONNX Runtime
orders the weights. An entry is used only if its files have the digests that it names and its answer
to a sample is the one that the original gave, to the last bit. Otherwise it is made again. Where
the folder cannot be written, graphs are made in each process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import onnxruntime

from registry.errors import ModelError
from registry.models import device as devices
from registry.models.weights import file_digest
from registry.system.locks import Timeout, file_lock
from registry.system.privacy import make_private_folder
from registry.system.process import processor_description

FOLDER = "optimised"
"""In the folder of models."""

_GRAPH, _WEIGHTS, _CHECKS = "graph.onnx", "weights.bin", "checks.json"
_MODULES = ("device", "graphs", "optimised_graphs", "sface", "yunet")
"""The code that graphs depend on, in this package."""
_STORE = "session.optimized_model_external_initializers"
_LOCK = f".{FOLDER}.lock"
_LOCK_TIMEOUT_S = 10.0
"""For another process to make an entry, which takes it 0.3 s. After that each makes its own."""
_LEAST_BYTES = 1024
"""Smaller weights are stored in the graph itself: ONNX Runtime's default."""
_UNUSED_S = 30 * 24 * 3600.0
"""Entries this old are removed when another one is made: those of earlier versions, and what a
process that was killed left. A chosen time: making one again takes 0.3 s."""


def open_optimised(
    models: Path | None,
    weights: str,
    make: Callable[[], bytes],
    threads: int | None,
    label: str,
    *,
    sample: Sequence[int],
) -> onnxruntime.InferenceSession:
    """A session on the CPU of the graph that `make` returns, or of the kept one.

    Args:
        models: the folder of models; None: nothing is kept.
        weights: digest of the files that `make` reads.
        make: returns the ONNX graph, not optimised.
        threads: as in `registry.models.catalogue.load`.
        label: names the graph in errors, and among those made from the same files.
        sample: the shape of an input for the comparison.

    Raises what `make` and `registry.models.device.open_session` raise.
    """
    if models is None:
        return devices.open_session(make(), devices.resolve("cpu"), threads, label)
    entry = models / FOLDER / _key(weights, label)
    if kept := _open_kept(entry, threads, label, sample):
        return kept
    with _alone(entry.parent):  # workers start together, and one of them makes it
        kept = _open_kept(entry, threads, label, sample)
        return kept or _make_entry(entry, make(), threads, label, sample)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of the block, unless the folder or its lock cannot be used."""
    with ExitStack() as held:
        with suppress(OSError, Timeout):
            for each in (folder.parent, folder):
                make_private_folder(each)
            held.enter_context(file_lock(folder.with_name(_LOCK)).acquire(timeout=_LOCK_TIMEOUT_S))
        yield


def _key(weights: str, label: str) -> str:
    here = Path(__file__)
    code = [file_digest(here.with_name(f"{name}.py")) for name in _MODULES]
    parts = [weights, label, *code, onnxruntime.__version__, processor_description()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _open_kept(
    entry: Path, threads: int | None, label: str, sample: Sequence[int]
) -> onnxruntime.InferenceSession | None:
    """The session of an entry; None if there is none or it is not as it was made."""
    try:
        checks = json.loads((entry / _CHECKS).read_bytes())
        if any(checks[name] != file_digest(entry / name) for name in (_GRAPH, _WEIGHTS)):
            return None
        options = devices.session_options(threads)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        cpu = devices.resolve("cpu")
        session = devices.open_session(entry / _GRAPH, cpu, threads, label, options)
        return session if checks["answer"] == _answer(session, sample) else None
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return None


def _make_entry(
    entry: Path, graph: bytes, threads: int | None, label: str, sample: Sequence[int]
) -> onnxruntime.InferenceSession:
    """A session of the graph; ONNX Runtime stores what it made of it, where that is possible."""
    cpu = devices.resolve("cpu")
    try:
        made = Path(tempfile.mkdtemp(prefix=".", dir=entry.parent))
    except OSError:
        return devices.open_session(graph, cpu, threads, label)
    try:
        with suppress(OSError, ModelError):
            options = devices.session_options(threads)
            options.optimized_model_filepath = str(made / _GRAPH)
            options.add_session_config_entry(f"{_STORE}_file_name", _WEIGHTS)
            options.add_session_config_entry(f"{_STORE}_min_size_in_bytes", str(_LEAST_BYTES))
            session = devices.open_session(graph, cpu, threads, label, options)
            checks = {name: file_digest(made / name) for name in (_GRAPH, _WEIGHTS)}
            checks["answer"] = _answer(session, sample)
            (made / _CHECKS).write_text(json.dumps(checks), encoding="utf-8")
            for file in made.iterdir():
                file.chmod(0o600)
            _put(made, entry)
            return session
        return devices.open_session(graph, cpu, threads, label)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, entry: Path) -> None:
    """Move an entry to its place, and remove old ones. Another process may be doing the same."""
    with suppress(OSError):
        for other in entry.parent.iterdir():
            if other.stat().st_mtime < time.time() - _UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)
    if entry.exists():  # damaged, or put there by another process in this moment: both can go
        shutil.rmtree(entry, ignore_errors=True)
    with suppress(OSError):
        made.rename(entry)


def _answer(session: onnxruntime.InferenceSession, sample: Sequence[int]) -> str:
    """Digest of what a network answers to a made-up input of this shape. Raises `ModelError`."""
    given = session.get_inputs()[0]
    values = np.arange(np.prod(sample), dtype=np.int64) * 7919 % 256
    kind = np.uint8 if given.type == "tensor(uint8)" else np.float32
    try:
        outputs = session.run(None, {given.name: values.reshape(sample).astype(kind)})
    except Exception as exc:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"ONNX Runtime cannot run a kept graph: {exc}") from exc
    return hashlib.sha256(b"".join(np.asarray(one).tobytes() for one in outputs)).hexdigest()
