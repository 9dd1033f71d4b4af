"""Irrevocable confinement of this process: no files, no network, no programs.

For processes that parse untrusted input. There are three independent layers: resource limits,
which every Unix has, and on Linux Landlock (files) and seccomp (system calls). None needs
privileges; on a kernel without one of them the others still apply.
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
"""Numbers of system calls, the same on every architecture."""
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(version of Landlock, number of file rights that it knows)."""
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_TCP = 0b11
_SCOPES = 0b11
"""Scopes: abstract Unix sockets, and signals to other processes."""

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_X32 = 0x40000000
"""Numbers from here on are x86-64's x32 variants of the same calls."""

Calls = Mapping[str, tuple[int, int | None]]
"""Name of a system call to its numbers on x86-64 and arm64; None: it does not exist there."""

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
"""Calls that a process needs to read one open file and write to one open pipe."""
REACHING_OUT: Final[Calls] = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "kill": (62, 129),
    "listen": (50, 201), "ptrace": (101, 117), "mount": (165, 40), "tkill": (200, 130),
    "tgkill": (234, 131), "add_key": (248, 217), "keyctl": (250, 219), "unshare": (272, 97),
    "perf_event_open": (298, 241), "open_by_handle_at": (304, 265), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "execveat": (322, 281), "userfaultfd": (323, 282), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "pidfd_getfd": (438, 438),
}  # fmt: skip
"""Calls that start programs, reach other processes or have had the most vulnerabilities; reading a
page needs none of them."""


def restrict_resources(*, descriptors: bool = True) -> None:
    """Forbid core dumps and writing to files; with `descriptors`, also opening anything.

    Call it after `restrict_files`, which has to open its ruleset.
    """
    limits = [resource.RLIMIT_CORE, resource.RLIMIT_FSIZE]
    for limit in limits + [resource.RLIMIT_NOFILE] * descriptors:
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (0, 0))


def restrict_files(readable: Iterable[Path] = (), *, network: bool = False) -> int:
    """Forbid opening files with Landlock, except for reading below `readable`.

    Without `network`, TCP is forbidden too, if the kernel's Landlock can do so (version 4). What is
    open stays usable. Applies to this thread and the threads that it starts. Returns the version of
    Landlock; 0 if the kernel has none, and nothing changed.
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
    attributes = struct.pack(f"={len(handled)}Q", *handled)
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    if ruleset < 0:
        return 0
    try:
        for path in readable:
            _permit(libc, ruleset, path)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return 0 if libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) else version
    finally:
        os.close(ruleset)


def restrict_calls(calls: Calls, *, keep: bool) -> bool:
    """Make these system calls, or with `keep` all others, fail with EPERM in this process.

    Uses seccomp. Returns False, and changes nothing, if the kernel has none or the processor is
    neither x86-64 nor arm64.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in {"x86_64", "aarch64"} or sys.maxsize < 2**32:
        return False
    column = int(machine == "aarch64")
    numbers = [number for call in calls.values() if (number := call[column]) is not None]
    listed, others = (_ALLOW, _REFUSE) if keep else (_REFUSE, _ALLOW)
    program = _program(0xC00000B7 if column else 0xC000003E, numbers, listed, others)
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, and their address.
    filter_program = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.syscall(277 if column else 317, 1, 1, filter_program) == 0)


def import_folders() -> list[Path]:
    """Return the folders of Python's own modules, installed modules and loaded packages."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for name, module in list(sys.modules.items()):
        places.update(() if "." in name else getattr(module, "__path__", ()))
    return [path for path in map(Path, sorted(places)) if path.exists()]


def bare_environment(home: Path) -> dict[str, str]:
    """Return variables for a Python process that inherits no settings but where modules are."""
    return {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "HOME": str(home),
        "PATH": "",
    }


def _permit(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    """Add a rule that allows reading the file, or the files below the folder."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        right = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", right, descriptor), 0)
    finally:
        os.close(descriptor)


def _program(architecture: int, numbers: list[int], listed: int, others: int) -> bytes:
    """A filter for seccomp (BPF): one verdict for these calls, another for the rest."""

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
