"""Reserves shared memory, so that writing to it cannot fail."""

from __future__ import annotations

import os
import sys
from multiprocessing.shared_memory import SharedMemory


def reserve(shared: SharedMemory) -> bool:
    """Reserve the memory of `shared`. Returns False if there is not enough.

    On Linux, shared memory is a file in a file system that may be full, and writing to a page that
    does not fit kills the process (SIGBUS). Other systems reserve it when it is created.
    """
    if sys.platform == "linux":
        try:
            descriptor = os.open(f"/dev/shm/{shared.name}", os.O_RDWR)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, shared.size)
        except OSError:
            return False
        finally:
            os.close(descriptor)
    return True
