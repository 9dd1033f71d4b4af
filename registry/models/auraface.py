"""AuraFace with YuNet: a recogniser of InsightFace's kind that is free for any use.

Its weights could not be fetched where this was written, so it was not run with them. It takes faces
as InsightFace's ArcFace networks do: RGB, (value - 127.5) / 127.5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from registry.domain import Chips, ModelInfo
from registry.models import device as devices
from registry.models.sface import AUTOMATIC, SFace
from registry.models.yunet import YuNet

_MIDDLE = 127.5
"""Mean and deviation of the input: `insightface.model_zoo.arcface_onnx.ArcFaceONNX`."""


class AuraFace(SFace):
    """YuNet's detections, AuraFace's embeddings. Created by `load`."""

    def _forward(self, chips: Chips) -> Any:
        rgb = np.ascontiguousarray(chips[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        name = self._session.get_inputs()[0].name
        return self._session.run(None, {name: (rgb - _MIDDLE) / _MIDDLE})[0]


def load(
    detector: bytes, recogniser: Path, info: ModelInfo, *, device: str, threads: int | None
) -> AuraFace:
    """The model from YuNet's bytes and the recogniser's ONNX file.

    Raises:
        ModelError: OpenCV or ONNX Runtime cannot load them.
        DeviceError: the requested device is not available or could not be started.
    """
    providers = devices.resolve(device, automatic=AUTOMATIC)
    devices.prepare(providers, threads)
    session = devices.open_session(recogniser, providers, threads, str(recogniser))
    return AuraFace(YuNet(detector), session, info, devices.in_use(device, [session]))
