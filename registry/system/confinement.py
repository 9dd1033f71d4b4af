"""Takes from this process, for good, what it does not need: files, network, programs.

For processes that read what strangers wrote. Three layers, each of which holds by itself: limits
that every system of the Unix kind has, and on Linux Landlock (files) and seccomp (system calls).
None needs privileges; a kernel without one of them leaves the others.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_NO_NEW_PRIVILEGES = 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
"""The same numbers on every architecture."""
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""Landlock's version to how many rights of files it knows."""
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_TCP = 0b11
_SCOPES = 0b11
"""Abstract sockets, and signals to other processes."""

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_X32 = 0x40000000
"""From here on, x86-64 has a second set of the same calls."""

Calls = Mapping[str, tuple[int, int | None]]
"""Name of a system call to its numbers on x86-64 and arm64; None: there is none."""

DECODING: Final[Calls] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "poll": (7, None),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101),
    "getpid": (39, 172), "exit": (60, 93), "gettimeofday": (96, 169), "getrusage": (98, 165),
    "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "set_robust_list": (273, 99), "getrandom": (318, 278), "rseq": (334, 293),
}  # fmt: skip
"""What is left to a process that reads one open file and writes to one open pipe."""
REACHING_OUT: Final[Calls] = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "kill": (62, 129),
    "listen": (50, 201), "ptrace": (101, 117), "mount": (165, 40), "tkill": (200, 130),
    "tgkill": (234, 131), "add_key": (248, 217), "keyctl": (250, 219), "unshare": (272, 97),
    "perf_event_open": (298, 241), "open_by_handle_at": (304, 265), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "execveat": (322, 281), "userfaultfd": (323, 282), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "pidfd_getfd": (438, 438),
}  # fmt: skip
"""Programs, other processes, and the parts of Linux with the most flaws: a page needs none."""


def close_limits(*, descriptors: bool = True) -> None:
    """No core dump, no byte into a file; with `descriptors`, nothing more can be opened either.

    After `close_files`, which has to open its rules.
    """
    kinds = [resource.RLIMIT_CORE, resource.RLIMIT_FSIZE]
    for kind in kinds + [resource.RLIMIT_NOFILE] * descriptors:
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (0, 0))


def close_files(readable: Iterable[Path] = (), *, network: bool = False) -> int:
    """No file is opened but for reading below `readable`; no TCP either, but with `network`.

    What is open stays open. Holds for this thread and those that it starts. Returns Landlock's
    version; 0 where the kernel has none, and nothing changed.
    """
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(_LANDLOCK_CREATE, None, 0, 1))
    if version < 1:
        return 0
    rights = max(count for since, count in _FILE_RIGHTS if since <= version)
    handled = [(1 << rights) - 1]
    handled += [0 if network else _TCP] * (version >= 4) + [_SCOPES] * (version >= 6)
    asked = struct.pack(f"={len(handled)}Q", *handled)
    rules = libc.syscall(_LANDLOCK_CREATE, asked, len(asked), 0)
    if rules < 0:
        return 0
    try:
        for path in readable:
            _permit(libc, rules, path)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return 0 if libc.syscall(_LANDLOCK_RESTRICT, rules, 0) else version
    finally:
        os.close(rules)


def close_calls(calls: Calls, *, keep: bool) -> bool:
    """These system calls, or with `keep` all others, fail with EPERM, in all threads.

    False where the kernel has no seccomp, or the processor is neither x86-64 nor arm64: nothing
    changed then.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in {"x86_64", "aarch64"} or sys.maxsize < 2**32:
        return False
    column = int(machine == "aarch64")
    numbers = [number for call in calls.values() if (number := call[column]) is not None]
    listed, others = (_ALLOW, _REFUSE) if keep else (_REFUSE, _ALLOW)
    program = _program(0xC00000B7 if column else 0xC000003E, numbers, listed, others)
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: how many instructions, and where they are.
    wanted = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.syscall(277 if column else 317, 1, 1, wanted) == 0)


def importable() -> list[Path]:
    """The folders that Python's own modules, installed ones, and loaded packages lie in."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for name, module in list(sys.modules.items()):
        places.update(() if "." in name else getattr(module, "__path__", ()))
    return [path for path in map(Path, sorted(places)) if path.exists()]


def bare_environment(home: Path) -> dict[str, str]:
    """Variables for a Python process that is to know nothing of this one but where modules are."""
    return {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "HOME": str(home),
        "PATH": "",
    }


def _permit(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        right = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", right, place), 0)
    finally:
        os.close(place)


def _program(architecture: int, numbers: list[int], listed: int, others: int) -> bytes:
    """A filter for seccomp: one verdict for the calls of these numbers, another for the rest."""

    def step(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    load, equal, at_least, end = 0x20, 0x15, 0x35, 0x06
    last = len(numbers)
    return b"".join(
        [
            step(load, 0, 0, 4),
            step(equal, 1, 0, architecture),
            step(end, 0, 0, _KILL),
            step(load, 0, 0, 0),
            step(at_least, last + 1, 0, _X32),
            *(step(equal, last - i + 1, 0, number) for i, number in enumerate(numbers)),
            step(end, 0, 0, others),
            step(end, 0, 0, _REFUSE),
            step(end, 0, 0, listed),
        ]
    )
