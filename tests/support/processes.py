"""Processes and rights of the machine that tests need, on every system."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

KILLED = -9
"""`Popen.returncode` of a process that SIGKILL ended. Windows has no signals."""


def kill(pid: int) -> None:
    """End a process at once, without a chance to tidy up."""
    psutil.Process(pid).kill()


def kill_group(pid: int) -> None:
    """End a process and all that it started."""
    process = psutil.Process(pid)
    for one in (*process.children(recursive=True), process):
        one.kill()


def suspend(pid: int) -> None:
    """Let a process stand still, until `resume`."""
    psutil.Process(pid).suspend()


def resume(pid: int) -> None:
    """Let a process that stands still go on."""
    psutil.Process(pid).resume()


def is_root() -> bool:
    """Whether the tests run as root, whom no mode keeps out."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def make_pipe(path: Path) -> None:
    """Make a FIFO; on a system without them, the test is skipped."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("this system has no pipes among files")


def make_link(path: Path, target: Path) -> None:
    """Make a symbolic link; where this user may make none, the test is skipped."""
    try:
        path.symlink_to(target)
    except OSError as exc:
        pytest.skip(f"this user may make no symbolic link ({exc})")
    if not path.is_symlink():
        pytest.skip("this system says that it made a symbolic link, and made none")


def data_spans(path: Path) -> list[tuple[int, int]]:
    """Where a file holds anything, as (start, end): the index lays its files out with holes."""
    with path.open("rb") as file:
        return data_spans_of(file.fileno())


def data_spans_of(descriptor: int) -> list[tuple[int, int]]:
    """The same of an open file, of which the position changes."""
    spans = []
    size, end = os.fstat(descriptor).st_size, 0
    seek_data, seek_hole = getattr(os, "SEEK_DATA", None), getattr(os, "SEEK_HOLE", None)
    if seek_data is None or seek_hole is None:
        return [(0, size)] if size else []
    while end < size:
        try:
            start = os.lseek(descriptor, end, seek_data)
        except OSError:  # nothing but a hole is left
            break
        end = os.lseek(descriptor, start, seek_hole)
        spans.append((start, end))
    return spans
