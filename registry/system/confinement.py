"""Irrevocable confinement of this process: no files, no network, no programs.

For processes that parse untrusted input. There are three independent layers: resource limits,
which every Unix has, and on Linux Landlock (files) and seccomp (system calls). None needs
privileges; on a kernel without one of them the others still apply.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import resource
if sys.platform == "linux":
    from registry.system import linux_confinement

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
    "epoll_wait": (232, None), "set_robust_list": (273, 99), "epoll_pwait": (281, 22),
    "getrandom": (318, 278), "rseq": (334, 293),
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

    Call it after `restrict_files`, which has to open its ruleset. Windows has no such limits, so
    nothing changes there.
    """
    if sys.platform != "win32":
        # Not 1: who closes standard input could then open a file in its place.
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
    if sys.platform == "linux":
        return linux_confinement.restrict_files(readable, network=network)
    else:
        return 0


def restrict_calls(calls: Calls, *, keep: bool) -> bool:
    """Make these system calls, or with `keep` all others, fail with EPERM in this process.

    Uses seccomp. Returns False, and changes nothing, if the kernel has none or the processor is
    neither x86-64 nor arm64.
    """
    if sys.platform == "linux":
        return linux_confinement.restrict_calls(calls, keep=keep)
    else:
        return False


def unconfined() -> str:
    """Return what a decoder could still do where neither Landlock nor seccomp is there."""
    if sys.platform == "win32":
        return (
            "On Windows a job ends a decoder with its worker and lets it start no program; nothing "
            "keeps it from files and network."
        )
    elif sys.platform == "darwin":
        return (
            "macOS has neither Landlock nor seccomp, so only resource limits keep a decoder from "
            "files and network; it could start a program."
        )
    else:
        return (
            "This system has neither Landlock nor seccomp, so only resource limits keep a decoder "
            "from files and network."
        )


def system_variables(home: Path) -> dict[str, str]:
    """Return the variables without which programs of this system do not work.

    On Windows sockets, TLS and temporary files need the folder of the system and one for
    temporary files; elsewhere there are none.
    """
    if sys.platform == "win32":
        import ctypes

        name = ctypes.create_unicode_buffer(260)
        ctypes.WinDLL("kernel32").GetSystemWindowsDirectoryW(name, len(name))
        return {
            "SYSTEMROOT": name.value,
            "SYSTEMDRIVE": Path(name.value).drive,
            "USERPROFILE": str(home),
            "TEMP": str(home),
            "TMP": str(home),
        }
    else:
        return {}


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
    } | system_variables(home)
