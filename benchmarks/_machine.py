"""The machine and the libraries that figures were measured with, and where they are written."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_LIBRARIES = ("av", "opencv-python-headless", "onnxruntime", "qdrant-edge-py", "insightface", "ray")


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)
    return len(affinity()) if affinity else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """What figures depend on."""
    cpu = Path("/proc/cpuinfo")
    names = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    model = next((n.partition(":")[2].strip() for n in names if n.startswith("model name")), "")
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processors": processors(),
        "processor": model or platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "libraries": libraries,
    }


def sentence(found: Mapping[str, Any]) -> str:
    """The machine in a line of text."""
    load = "" if found["load_before"] is None else f", load {found['load_before']:g} at the start"
    return (
        f"{found['date']}, {found['processors']} processors {found['processor']}, "
        f"{found['memory_gib']:g} GiB, {found['system']}, Python {found['python']}{load}"
    )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and in brackets the least and the most if there are several."""
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) < 2:
        return text
    return f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def write_json(path: Path | None, document: Mapping[str, Any]) -> None:
    """Write all figures to a file, if one is given."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def adopt_orphans() -> None:
    """Make this process, on Linux, the parent of processes whose own parent has ended.

    A command does not wait for the server of its workers, whose processor time would not count.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def wait_for_orphans() -> None:
    """Wait for them, so that `os.times` counts what they took."""
    if sys.platform == "linux":
        with suppress(ChildProcessError):
            while True:
                os.wait()
