"""The device that a model runs on: what was asked for, what is there, what is really used.

ONNX Runtime falls back to the processor without an error when a provider cannot start, so what a
session uses is read back from the session itself.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import cv2
import onnxruntime

from registry.errors import DeviceError, UsageError

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Device name to ONNX Runtime's execution provider, in the order in which `auto` prefers them."""

DEVICES = ("auto", *PROVIDERS)
"""What may be asked for."""

_REMEDY = {
    "cuda": "Install the extra `gpu`, which needs onnxruntime-gpu in the place of onnxruntime",
    "coreml": "CoreML comes with onnxruntime on macOS alone",
    "cpu": "Install onnxruntime",
}
_ERRORS_ONLY = 3
"""ONNX Runtime's log severity: warnings about graph clean-ups tell a user nothing."""


def resolve(
    device: str, *, available: Sequence[str] | None = None, automatic: Sequence[str] = ()
) -> list[str]:
    """The execution providers to ask ONNX Runtime for, best first, the processor last.

    Args:
        device: one of `DEVICES`.
        available: providers of this installation; ONNX Runtime is asked if it is None.
        automatic: the devices that `auto` may pick, best first; all of them if empty.

    Raises:
        UsageError: `device` is not a device.
        DeviceError: the device asked for is not there.
    """
    if device not in DEVICES:
        raise UsageError(f"{device!r} is not a device: use one of {', '.join(DEVICES)}.")
    if available is None:
        available = onnxruntime.get_available_providers()
    if device == "auto":
        wanted = [name for name in automatic or PROVIDERS if PROVIDERS[name] in available]
    elif PROVIDERS[device] in available:
        wanted = [device]
    else:
        offered = ", ".join(name for name, p in PROVIDERS.items() if p in available)
        raise DeviceError(
            f"Device {device} is not there: ONNX Runtime offers {offered or 'none'}. "
            f"{_REMEDY[device]}, or use device auto."
        )
    return [PROVIDERS[name] for name in dict.fromkeys([*wanted[:1], "cpu"])]


def in_use(asked: str, sessions: Sequence[onnxruntime.InferenceSession]) -> str:
    """The device that the sessions really run on; `cpu` if any of them fell back to it.

    Raises:
        DeviceError: a session runs elsewhere than on the device asked for by name.
    """
    names = {provider: name for name, provider in PROVIDERS.items()}
    used = {names.get(session.get_providers()[0], "cpu") for session in sessions}
    device = used.pop() if len(used) == 1 else "cpu"
    if asked not in ("auto", device):
        raise DeviceError(
            f"Device {asked} was asked for, but ONNX Runtime could not start it and fell back to "
            f"{device}: check the driver and the libraries that ONNX Runtime names above, or use "
            "device auto."
        )
    return device


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Options of every session: quiet, `threads` wide (None: one a core), without spinning.

    Spinning threads burn the cores that decoding and other workers need. Weights stored as integers
    are folded to float once at loading (`session.disable_quant_qdq`), which makes SFace faster than
    dequantising them at each run (30 ms a face instead of 47) and changes no embedding (cosine 1).
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def prepare(providers: Sequence[str], threads: int | None) -> None:
    """What has to be set for the whole process before a session is built.

    CUDA's libraries are loaded from the Python packages that brought them. OpenCV knows no threads
    of one network, so a number asked for by name holds for all that OpenCV does in this process.
    """
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    if PROVIDERS["cuda"] in providers:
        with output_to_stderr():
            onnxruntime.preload_dlls()
    if threads is not None:
        cv2.setNumThreads(threads)


def output_to_stderr() -> contextlib.AbstractContextManager[object]:
    """Results go to stdout; what ONNX Runtime and InsightFace print while loading does not."""
    return contextlib.redirect_stdout(sys.stderr)
