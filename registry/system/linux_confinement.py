"""Landlock (files, TCP) and seccomp (system calls), by the system calls themselves."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

assert sys.platform == "linux"

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


def restrict_files(readable: Iterable[Path], *, network: bool) -> int:
    """See `confinement.restrict_files`."""
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


def restrict_calls(calls: Mapping[str, tuple[int, int | None]], *, keep: bool) -> bool:
    """See `confinement.restrict_calls`."""
    machine = platform.machine()
    if machine not in {"x86_64", "aarch64"} or sys.maxsize < 2**32:
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
