"""What the sections of the benchmark of a graphics card share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ingest.frames import Sampling, VideoReader
from registry.domain import Detection, Image, ModelInfo
from registry.models import device as devices
from registry.models import graphs, sface, yunet
from registry.models.base import FaceModel
from registry.models.entries import find
from registry.models.network import OnnxNetwork
from registry.models.paired import PairedModel
from registry.models.weights import carried_path

EVERY = 10
MEASURE_S = 0.6
"""A measurement repeats until it has taken so long, after two runs that do not count."""


@dataclass
class Bench:
    """What the sections share, and what they found."""

    device: str
    data: Path
    models: Path | None
    frames_wanted: int
    deadline: float
    results: dict[str, Any] = field(default_factory=dict)
    frames: list[Image] = field(default_factory=list)
    found: list[list[Detection]] = field(default_factory=list)
    """What the CPU finds in the frames."""
    chips: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 112, 112, 3), np.uint8))

    @property
    def providers(self) -> list[str]:
        return devices.resolve(self.device)

    @property
    def clips(self) -> list[Path]:
        videos = self.data / "videos"
        stage = videos / "short_hamilton_clip.mp4"
        clips = sorted((videos / "asl_gestures").glob("*.mkv"))
        return [*clips, *([stage] if stage.is_file() else [])]

    @property
    def batches(self) -> tuple[int, ...]:
        return (1, 4) if self.device == "cpu" else (1, 4, 16, 64)

    @property
    def precisions(self) -> tuple[str, ...]:
        """On the CPU, float16 is computed as float32, and slower for it."""
        return ("fp32", "fp16") if self.device == "cpu" else ("fp32", "TF32", "fp16")

    def row(self, section: str, **values: Any) -> None:
        """Print a line and keep it."""
        self.results.setdefault(section, []).append(values)
        shown = "  ".join(
            f"{key} {value:.5g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in values.items()
        )
        print(f"  {shown}", flush=True)

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def weights(self) -> tuple[bytes, bytes]:
        """YuNet's and SFace's files."""
        entry = find("sface")
        files = [
            self.models / name if self.models else carried_path(entry.carrier, name)
            for name in entry.files
        ]
        detector, recogniser = (file.read_bytes() for file in files)
        return detector, recogniser


def info() -> ModelInfo:
    entry = find("sface")
    return ModelInfo(entry.name, entry.digest, entry.dimension, entry.verification_threshold)


def cpu_model(weights: tuple[bytes, bytes], threads: int | None = None) -> FaceModel:
    detector, recogniser = weights
    return sface.load(detector, lambda: recogniser, info(), device="cpu", threads=threads)


def batched_model(
    weights: tuple[bytes, bytes], providers: Sequence[str], *, half: bool = False
) -> FaceModel:
    """`sface` as it runs on an accelerator, whatever the providers are."""
    detector = yunet.batched(weights[0])
    recogniser = graphs.recogniser(sface.batchable(weights[1]))
    if half:
        detector, recogniser = half_precision(detector), half_precision(recogniser)
    found = OnnxNetwork(detector, providers, None, "YuNet")
    embedded = OnnxNetwork(recogniser, providers, None, "SFace")
    name = devices.in_use("auto", [found.session, embedded.session])
    rows = yunet.BatchedYuNet(found)
    return PairedModel(yunet.YuNet(rows), embedded.run, info(), name, batch=32)


def half_precision(model: bytes) -> bytes:
    """A rewritten graph that computes in float16 between its input and its output."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted = convert_float_to_float16(onnx.load_model_from_string(model), keep_io_types=True)
    return bytes(converted.SerializeToString())


def seconds_a_run(run: Callable[[], object]) -> float:
    """The time of one run, in seconds: the mean over `MEASURE_S`."""
    run()
    run()
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < MEASURE_S:
        run()
        count += 1
    return spent / count


@contextmanager
def provider_options(**changed: str) -> Iterator[None]:
    """Other options of the CUDA provider while the block runs."""
    cuda = devices.PROVIDERS["cuda"]
    before = devices.OPTIONS[cuda]
    devices.OPTIONS[cuda] = {**before, **changed}
    try:
        yield
    finally:
        devices.OPTIONS[cuda] = before


def read(path: Path) -> list[Image]:
    with VideoReader(path, sampling=Sampling(every=EVERY)) as reader:
        return [frame.image for frame in reader]
