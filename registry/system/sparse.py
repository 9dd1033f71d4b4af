"""Giving the zeros of files back to the disk, where a file system stores them.

The files of Qdrant Edge are allocated in advance and mostly zeros. Linux and macOS store them with
holes, NTFS only if it is told to, file by file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_UNIT = 64 * 1024
"""Bytes: NTFS frees ranges of this alignment ("Sparse Files", Microsoft)."""
_SMALLEST = 16 * _UNIT
"""Bytes of a file that is worth looking at."""

if sys.platform == "win32":
    import ctypes
    import msvcrt

    _SET_SPARSE, _SET_ZERO_DATA = 0x000900C4, 0x000980C8
    """FSCTL_SET_SPARSE, FSCTL_SET_ZERO_DATA (winioctl.h)."""

    class _ZeroData(ctypes.Structure):
        """FILE_ZERO_DATA_INFORMATION: a range from an offset to the offset after it."""

        _fields_ = (("start", ctypes.c_longlong), ("end", ctypes.c_longlong))

    def _control(file: BinaryIO, code: int, argument: ctypes.Structure | None) -> None:
        """Send a control code to the file system. Raises `OSError` if it does not know it."""
        call = ctypes.WinDLL("kernel32", use_last_error=True).DeviceIoControl
        returned = ctypes.c_ulong(0)
        done = call(
            ctypes.c_void_p(msvcrt.get_osfhandle(file.fileno())),
            ctypes.c_ulong(code),
            ctypes.byref(argument) if argument else None,
            ctypes.c_ulong(ctypes.sizeof(argument) if argument else 0),
            None,
            ctypes.c_ulong(0),
            ctypes.byref(returned),
            None,
        )
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())

    def free_zeros(folder: Path) -> None:
        """Give the zeros of all files below a folder back to the disk.

        Nobody may have the files open. A file system that cannot do it (FAT, a share) leaves them
        as they are.
        """
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size >= _SMALLEST:
                with suppress(OSError), path.open("r+b") as file:
                    _control(file, _SET_SPARSE, None)
                    for start, end in zero_ranges(file):
                        _control(file, _SET_ZERO_DATA, _ZeroData(start, end))

else:

    def free_zeros(folder: Path) -> None:
        """Do nothing: on this system the files have holes from the start."""


def zero_ranges(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The ranges of an open file that hold only zeros, whole units from start to end, in order."""
    zeros = bytes(_UNIT)
    begun: int | None = None
    at = 0
    file.seek(0)
    while unit := file.read(_UNIT):
        if unit == zeros:
            begun = at if begun is None else begun
        elif begun is not None:
            yield begun, at
            begun = None
        at += len(unit)
    if begun is not None:
        yield begun, at
