"""AuraFace with YuNet: a recogniser of InsightFace's kind that is free for any use.

Its weights could not be fetched where this was written, so it was not run with them. It takes faces
as InsightFace's ArcFace networks do: RGB, (value - 127.5) / 127.5.
"""

from __future__ import annotations

from pathlib import Path

from registry.domain import ModelInfo
from registry.models import sface
from registry.models.paired import PairedModel

_MIDDLE = 127.5
"""Mean and deviation of the input: `insightface.model_zoo.arcface_onnx.ArcFaceONNX`."""


def load(
    detector: bytes,
    recogniser: Path,
    info: ModelInfo,
    *,
    cache: Path,
    device: str,
    threads: int | None,
    fast: bool = False,
) -> PairedModel:
    """The model from YuNet's bytes and the recogniser's ONNX file.

    Errors are those of `registry.models.sface.load`.
    """
    return sface.load(
        detector,
        recogniser,
        info,
        cache=cache,
        device=device,
        threads=threads,
        fast=fast,
        mean=_MIDDLE,
        scale=_MIDDLE,
    )
