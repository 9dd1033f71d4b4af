"""Memory that a worker shares with the process that decodes for it: places for frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Self

import numpy as np
from numpy.typing import NDArray

from registry.domain import Image
from registry.system.shared_memory import reserve

_LARGEST, _SMALLEST = 16 << 20, 2 << 20
"""Bytes. 16 MiB hold eight frames of 1,024 × 640 px or two of 1,920 × 1,080. Less than the smallest
holds no frame of 1,024 × 640 px."""


class FrameMemory:
    """A piece of shared memory."""

    def __init__(self, shared: SharedMemory) -> None:
        self._shared = shared
        self.size = shared.size
        """In bytes; systems round it up to whole pages."""
        self._bytes: NDArray[np.uint8] = np.ndarray((self.size,), np.uint8, buffer=shared.buf)

    @classmethod
    def create(cls) -> Self | None:
        """New shared memory, filled with zeros; None if the system has none to give."""
        size = _LARGEST
        while size >= _SMALLEST:
            with suppress(OSError), _untracked():
                shared = SharedMemory(create=True, size=size)
                if reserve(shared):
                    return cls(shared)
                shared.close()
                shared.unlink()
            size //= 2
        return None

    @classmethod
    def attach(cls, name: str) -> Self:
        """The shared memory that another process created. Raises `OSError`."""
        with _untracked():
            return cls(SharedMemory(name))

    @property
    def name(self) -> str:
        """By which `attach` finds it until `unlink`."""
        return self._shared.name

    def write(self, offset: int, image: Image) -> None:
        """Write pixels to a place."""
        self._bytes[offset : offset + image.nbytes] = image.reshape(-1)

    def copy(self, offset: int, height: int, width: int) -> Image:
        """A copy of the BGR pixels (height, width, 3) at a place."""
        size = height * width * 3
        return self._bytes[offset : offset + size].reshape(height, width, 3).copy()

    def clear(self) -> None:
        """Overwrite all of it, so that the next video finds nothing of this one."""
        self._bytes[:] = 0

    def unlink(self) -> None:
        """Remove the name: processes that have attached it keep it, and no other can."""
        with suppress(OSError), _untracked():
            self._shared.unlink()

    def close(self) -> None:
        """Give it up."""
        self._bytes = np.empty(0, np.uint8)
        self.unlink()
        self._shared.close()


@contextmanager
def _untracked() -> Iterator[None]:
    """Keep Python's resource tracker from knowing of shared memory that is used in the block.

    A decoder would start a tracker of its own, which removes the memory in the end. The tracker of
    a worker prints a warning for each worker that ends without having read a video.
    """
    register, unregister = resource_tracker.register, resource_tracker.unregister
    resource_tracker.register = resource_tracker.unregister = lambda *_: None
    try:
        yield
    finally:
        resource_tracker.register, resource_tracker.unregister = register, unregister
