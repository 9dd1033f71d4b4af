"""The device that a model runs on: requested, available, actually used.

ONNX Runtime falls back to the CPU without an error if a provider cannot start, so the device in use
is read from the session.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import onnxruntime

from registry.errors import DeviceError, ModelError, UsageError

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""ONNX Runtime's execution provider by device name."""

DEVICES = ("auto", *PROVIDERS)
"""Valid values of `--device`."""

AUTOMATIC = ("cuda", "cpu")
"""What `auto` chooses from, best first. CoreML was not tested, and runs only if it is asked for."""

OPTIONS = {
    # The default search tries all algorithms at every new shape of the input, which takes seconds.
    # TF32 has 10 bits: on an H200, YuNet was 8 % faster with it, and embeddings of the same face
    # had a cosine of 0.999 to the CPU's, instead of 0.9999.
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
}
"""Options of execution providers."""

_REMEDY = {
    "cuda": "Install the extra `gpu`, which needs onnxruntime-gpu in the place of onnxruntime",
    "coreml": "CoreML comes with onnxruntime on macOS only",
    "cpu": "Install onnxruntime",
}
_ERRORS_ONLY = 3
"""ONNX Runtime's log severity: its warnings about graph clean-ups do not help users."""


def resolve(device: str, *, available: Sequence[str] | None = None) -> list[str]:
    """The execution providers to request from ONNX Runtime, best first, the CPU last.

    Args:
        device: one of `DEVICES`.
        available: providers of this installation; None asks ONNX Runtime.

    Raises:
        UsageError: `device` is not valid.
        DeviceError: the requested device is not available.
    """
    if device not in DEVICES:
        raise UsageError(f"{device!r} is not a device: use one of {', '.join(DEVICES)}.")
    if available is None:
        available = onnxruntime.get_available_providers()
    if device == "auto":
        wanted = [name for name in AUTOMATIC if PROVIDERS[name] in available]
    elif PROVIDERS[device] in available:
        wanted = [device]
    else:
        offered = ", ".join(name for name, p in PROVIDERS.items() if p in available)
        raise DeviceError(
            f"Device {device} is not available: ONNX Runtime offers {offered or 'none'}. "
            f"{_REMEDY[device]}, or use device auto."
        )
    return [PROVIDERS[name] for name in dict.fromkeys([*wanted[:1], "cpu"])]


def is_batched(providers: Sequence[str]) -> bool:
    """Whether networks run on images in batches: with CUDA, and neither the CPU nor CoreML.

    A CPU takes as long for each image of a batch as for one, and CoreML wants fixed sizes.
    """
    return PROVIDERS["cuda"] in providers


def in_use(asked: str, sessions: Sequence[onnxruntime.InferenceSession]) -> str:
    """The device that the sessions run on; `cpu` if any of them fell back to it.

    Raises:
        DeviceError: a device was requested by name, and a session does not run on it.
    """
    names = {provider: name for name, provider in PROVIDERS.items()}
    used = {names.get(session.get_providers()[0], "cpu") for session in sessions}
    device = used.pop() if len(used) == 1 else "cpu"
    if asked not in ("auto", device):
        raise DeviceError(
            f"Device {asked} was requested, but ONNX Runtime could not start it and fell back to "
            f"{device}: check the driver and the libraries that ONNX Runtime names above, or use "
            "device auto."
        )
    return device


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Options of every session: quiet, with `threads` (None: one per core), without spinning.

    Spinning threads occupy the cores that decoding and other workers need. Weights stored as
    integers are converted to float once at loading (`session.disable_quant_qdq`): measured with
    SFace, 30 ms a face instead of 47, with the same embeddings (cosine 1).
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def prepare(providers: Sequence[str], threads: int | None) -> None:
    """Settings of the whole process, to be made before a session is created.

    CUDA's libraries are loaded from Python packages. OpenCV has no number of threads per network,
    so a given number applies to all of OpenCV in this process.
    """
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    if PROVIDERS["cuda"] in providers:
        with output_to_stderr():
            onnxruntime.preload_dlls()
    if threads is not None:
        cv2.setNumThreads(threads)


def open_session(
    model: bytes | Path,
    providers: Sequence[str],
    threads: int | None,
    label: str,
    options: onnxruntime.SessionOptions | None = None,
) -> onnxruntime.InferenceSession:
    """A session of a network, from its bytes or its file. `label` names it in the error.

    `options` are by default `session_options(threads)`. Raises `ModelError` if ONNX Runtime cannot
    load it.
    """
    options = options or session_options(threads)
    # A memory pattern reserves for each thread what all layers take together. Measured with SFace
    # and two threads: 47 MB more for runs of four faces, in the same time.
    options.enable_mem_pattern = is_batched(providers)
    try:
        with output_to_stderr():
            return onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                options,
                providers=[(name, OPTIONS.get(name, {})) for name in providers],
            )
    except Exception as exc:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"ONNX Runtime cannot load {label}: {exc}") from exc


def output_to_stderr() -> contextlib.AbstractContextManager[object]:
    """Redirect what ONNX Runtime and InsightFace print while loading: stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)
