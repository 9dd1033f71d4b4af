"""This process and others: who runs it, whether it is alive, memory, priority, processor."""

from __future__ import annotations

import ctypes
import getpass
import os
import platform
import socket
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

from registry.errors import RegistryLocked

_BACKGROUND_NICE = 5
"""Added to the niceness: programs in the foreground go first. A chosen value."""
_RANDOM_NODE = 1 << 40
"""The multicast bit, which `uuid.getnode` sets in a number that is not of a network card."""


def user_name() -> str:
    """The name of the user who runs this process; empty if the system does not know it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # ImportError: Windows without USERNAME
        return ""


def user_at_host() -> str:
    """The user and the host name, as `user@host`."""
    return f"{user_name()}@{socket.gethostname()}"


def process_at_host() -> str:
    """The process id and the host name, as words for a message."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def processor_description() -> str:
    """The kind of processor; on Linux with its model and its instruction sets."""
    found = [platform.machine()]
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in iter(file.readline, ""):
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "flags", "Features", "CPU implementer", "CPU part"):
                found.append(value.strip())
            elif len(found) > 1 and not line.strip():  # the next core begins
                break
    return "\n".join(found)


def refuse_fork(pid: int, what: str) -> None:
    """Raise `RegistryLocked` in a fork of the process `pid`, which opened `what`.

    A fork shares locks with its parent and lacks the threads of engines, so its calls would wait
    for ever.
    """
    if os.getpid() != pid:
        raise RegistryLocked(
            f"{what} was opened by process {pid}, and this process is a fork of it. Open it here "
            "with read_only=True, or use it there."
        )


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has this id, whoever runs it."""
    import psutil

    return bool(psutil.pid_exists(pid))


def seconds_since_start() -> float:
    """Seconds since this process was started, its imports included."""
    if sys.platform == "linux":
        # psutil adds the time of the boot, which Linux tells in whole seconds.
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(fields.rpartition(")")[2].split()[_START_FIELD])
        started = ticks / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    else:
        import psutil

        return max(0.0, time.time() - float(psutil.Process().create_time()))


_START_FIELD = 19
"""Of /proc/PID/stat, from 0 behind the name: starttime, in clock ticks since boot (proc(5))."""


def machine_id() -> str:
    """Where process ids are valid: equal for two processes that see each other's ids.

    On Linux the boot and the PID namespace, elsewhere host name and network card. Empty if it
    cannot be told.
    """
    if sys.platform == "linux":
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
        except OSError:
            return ""
    else:
        node = uuid.getnode()
        return "" if node & _RANDOM_NODE else f"{socket.gethostname()} {node:012x}"


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:
        return os.cpu_count() or 1


def lower_priority() -> None:
    """Let programs in the foreground go first from now on."""
    import psutil

    with suppress(OSError, psutil.Error):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(_BACKGROUND_NICE)


def keep_freed_memory() -> None:
    """Let freed memory be used again instead of returning it to the system at once.

    Arrays of a frame's size are otherwise mapped and unmapped again and again, and the system fills
    each page with zeros: with InsightFace's SCRFD that was an eighth of the time. Does nothing
    without the GNU C library, whose documentation explains the two parameters (mallopt(3)).
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_REUSED)
            mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_REUSED = 32 << 20
"""Bytes: the largest value that is allowed. A frame of 3,840 x 2,160 px has 24 MiB."""
_MOST_KEPT = 64 << 20
"""Bytes at the end of the heap."""


def was_killed(exit_code: int) -> bool:
    """Whether a process did not end by itself: a signal, or on Windows an exception's code.

    Windows has no signals: a process that fails ends with the code of the exception, such as
    0xC0000005, and one that is terminated with the code that was asked for; Python uses 0 to 2.
    """
    if sys.platform == "win32":
        return exit_code not in (0, 1, 2)
    else:
        return exit_code < 0


class PeakMemory:
    """The most resident memory of this process so far. Usable after it was confined."""

    def __init__(self) -> None:
        self._status = -1
        if sys.platform == "linux":
            with suppress(OSError):  # kept open: a confined process cannot open it
                self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """Measure it, in bytes."""
        if sys.platform == "win32":
            import psutil

            return int(psutil.Process().memory_info().peak_wset)
        else:
            import resource

            with suppress(OSError):
                # Unlike ru_maxrss, Linux resets this peak when a process starts another program.
                for line in os.pread(self._status, 8192, 0).splitlines():
                    if line.startswith(b"VmHWM:"):
                        return int(line.split()[1]) * 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024
