"""Qdrant Edge does not read its empty files ahead in tests.

When Edge loads a shard, it asks the kernel to read its files into memory (madvise with
MADV_POPULATE_READ). They are allocated in advance: about 100 MB of holes for a registry, however
few faces it has. On a disk, reading a hole costs little; in /dev/shm, each page read becomes a page
of zeros, which took half of the processor time of a test with a small registry. The advice only
concerns speed, so a filter for system calls (seccomp) answers it with success and does nothing, in
this process and in those that it starts.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys

_MADV_POPULATE_READ = 22
_CALLS = {"x86_64": (0xC000003E, 28, 317), "aarch64": (0xC00000B7, 233, 277)}
"""AUDIT_ARCH_… of linux/audit.h, and the numbers of madvise and seccomp."""
_ALLOW, _ANSWER_0 = 0x7FFF0000, 0x00050000
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with the errno 0."""


def ignore_read_ahead() -> bool:
    """Ignore this advice from now on, in this process and its children.

    Returns False, and changes nothing, on a system or processor without such filters.
    """
    if platform.system() != "Linux" or sys.maxsize < 2**32 or platform.machine() not in _CALLS:
        return False
    architecture, madvise, seccomp = _CALLS[platform.machine()]
    load, equal, end = 0x20, 0x15, 0x06
    # Of struct seccomp_data: the architecture at 4, the call at 0, its third argument at 32.
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in (
            (load, 0, 0, 4),
            (equal, 0, 5, architecture),
            (load, 0, 0, 0),
            (equal, 0, 3, madvise),
            (load, 0, 0, 32),
            (equal, 0, 1, _MADV_POPULATE_READ),
            (end, 0, 0, _ANSWER_0),
            (end, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which only root may filter
    given = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return bool(libc.syscall(seccomp, 1, 0, given) == 0)  # SECCOMP_SET_MODE_FILTER
