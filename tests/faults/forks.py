"""Children of a warmed-up parent, which has every library imported and no store open."""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.processes import kill

DEADLINE_S = 60.0
"""A child that takes longer hangs, and counts as lost."""


def child(
    work: Callable[[Callable[[Any], None]], None], *, kill_after_s: float | None = None
) -> tuple[int, list[Any]]:
    """Run `work` in a child. Returns how it ended (as `Popen.returncode`) and what it said.

    `work` is given a function that says a JSON value to the parent. An exception of the child is
    said as {"error": type, "message": text}, and the child ends with 1.
    """
    read, write = os.pipe()
    assert hasattr(os, "fork"), "this system cannot fork"
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os._exit(_in_child(work, write))
    os.close(write)
    said, late = _listen(read, DEADLINE_S if kill_after_s is None else kill_after_s)
    if late:
        kill(pid)
        said += _listen(read, DEADLINE_S)[0]
    os.close(read)
    _, status = os.waitpid(pid, 0)
    if late and kill_after_s is None:
        raise TimeoutError(f"a child was still at work after {DEADLINE_S:.0f} s")
    lines = said.decode().split("\n")[:-1]  # the last one is torn, or empty
    return os.waitstatus_to_exitcode(status), [json.loads(line) for line in lines]


def _listen(read: int, timeout_s: float) -> tuple[bytes, bool]:
    """What comes until the other end closes, and whether that took too long."""
    import time

    said, deadline = b"", time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([read], [], [], left)[0]:
            return said, True
        chunk = os.read(read, 1 << 16)
        if not chunk:
            return said, False
        said += chunk


def _in_child(work: Callable[[Callable[[Any], None]], None], write: int) -> int:
    def say(value: Any) -> None:
        line = json.dumps(value, default=str).encode() + b"\n"
        while line:
            line = line[os.write(write, line) :]

    try:
        work(say)
        return 0
    except BaseException as exc:
        if os.environ.get("FAULTS_TRACE"):
            traceback.print_exc(file=sys.stderr)
        say({"error": type(exc).__name__, "message": str(exc)[:500]})
        return 1


def folder_size(path: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())
