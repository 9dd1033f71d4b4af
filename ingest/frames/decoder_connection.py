"""The decoder's side of its messages with a worker, and the file that the worker reads for it."""

from __future__ import annotations

import errno
import io
import json
import os
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ingest.frames.decoder_messages import (
    BYTES,
    EXIT,
    FRAME,
    HEADER,
    MAX_FRAMES_AHEAD,
    MAX_READ_BYTES,
    READ,
    READY,
    REPLY,
    RESULT,
    SECRET_BYTES,
    SETUP,
    TAKEN,
    UNREADABLE,
    VIDEO,
    read_exactly,
    write_all,
)
from ingest.frames.frame_memory import FrameMemory
from ingest.frames.interface import Frame
from registry.domain import Media

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCKS = 8
"""Blocks of a file, of `MAX_READ_BYTES`, that are kept. Files are read twice, and files whose sound
is far from its pictures in several places at once."""


class WorkerConnection:
    """The worker that this process decodes for."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Unbuffered pipes from and to the worker."""
        self._requests, self._answers = requests, answers
        self._memory: FrameMemory | None = None
        self._slot_bytes = 0
        self._slots: list[int] | None = None
        """Offsets of the free places for frames; None before the first frame."""

    def start(self) -> None:
        """Map the shared memory, remove its name, and tell the worker that this process is ready.

        The name is removed here, so that it goes even if the worker has ended meanwhile.
        """
        setup = self._receive(SETUP)[1]
        if setup["memory"]:
            self._memory = FrameMemory.attach(setup["memory"])
            self._memory.unlink()
        write_all(self._answers, HEADER.pack(READY, 0, 0, 0, 0, 0, 0))

    def receive_video(self) -> tuple[dict[str, Any], int]:
        """The parameters of the next video, and the size of its file in bytes.

        Raises `EOFError` if there is no other.
        """
        size, parameters = self._receive(VIDEO)
        return parameters, size

    def receive_secret(self) -> bytes:
        """What follows the parameters of a video."""
        return bytes(read_exactly(self._requests, SECRET_BYTES))

    def skip(self, secret: bytes) -> None:
        """Skip what a video left unread: all up to its secret, which only the worker can send."""
        tail = b""
        while tail != secret:
            tail = (tail + bytes(read_exactly(self._requests, 1)))[-SECRET_BYTES:]

    def read_file(self, offset: int, size: int) -> bytearray:
        """Bytes of the file; fewer than `size` at its end. Raises `OSError`."""
        write_all(self._answers, HEADER.pack(READ, offset, 0, 0, size, 0, 0))
        while True:
            kind, number, length = self._receive_any()
            if kind == BYTES:
                return read_exactly(self._requests, length)
            if kind == UNREADABLE:
                raise OSError(number, read_exactly(self._requests, length).decode())

    def send_frame(self, frame: Frame) -> None:
        """Send one frame; waits while the worker has not taken those before it."""
        image = np.ascontiguousarray(frame.image)
        height, width = image.shape[:2]
        offset = self._free_slot(image.nbytes)
        if offset >= 0 and self._memory is not None:
            self._memory.write(offset, image)
        header = FRAME, frame.index, frame.time_s, frame.span_s, height, width, offset
        write_all(self._answers, HEADER.pack(*header))
        if offset < 0:
            write_all(self._answers, image.data.cast("B"))

    def send_result(
        self, *, media: Media | None = None, reason: str = "", error: str | None = None
    ) -> None:
        """Send what is known once all frames are sent, or the error that ended them."""
        result = {"media": media and asdict(media), "reason": reason, "error": error}
        text = json.dumps(result).encode()
        write_all(self._answers, HEADER.pack(RESULT, 0, 0, 0, len(text), 0, 0), text)

    def send_exit(self, code: int, secret: bytes) -> None:
        """Tell that the fork that decoded the video has exited."""
        write_all(self._answers, HEADER.pack(EXIT, code, 0, 0, 0, 0, 0), secret)

    def _free_slot(self, size: int) -> int:
        """Where in the shared memory the next frame goes, of `size` bytes; -1: nowhere."""
        if self._slots is None:
            count = min(MAX_FRAMES_AHEAD, (self._memory.size if self._memory else 0) // size)
            self._slot_bytes = size if count else 0
            self._slots = [i * size for i in reversed(range(count))]
        if size > self._slot_bytes:
            return -1
        while not self._slots:
            self._receive_any()
        return self._slots.pop()

    def _receive(self, expected: bytes) -> tuple[int, dict[str, Any]]:
        """The number and the document of a message of this type."""
        kind, number, length = self._receive_any()
        if kind != expected:
            raise ValueError(f"a message {kind!r} where {expected!r} was expected")
        return number, json.loads(read_exactly(self._requests, length))

    def _receive_any(self) -> tuple[bytes, int, int]:
        """The header of the next message. Places of frames that were taken are free again."""
        kind, number, length = REPLY.unpack(read_exactly(self._requests, REPLY.size))
        if kind == TAKEN and self._slots is not None:
            self._slots.append(number)
        return kind, number, length


class ServedFile(io.RawIOBase):
    """The file of a video, whose bytes the worker sends."""

    def __init__(self, worker: WorkerConnection, size: int) -> None:
        """`size`: of the file, in bytes."""
        self.worker = worker
        self._size, self._position = size, 0
        self._block = lru_cache(_BLOCKS)(
            lambda number: worker.read_file(number * MAX_READ_BYTES, MAX_READ_BYTES)
        )

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer up to the end of a block. Returns how many bytes; 0 at the end."""
        if self._position >= self._size:
            return 0
        number, start = divmod(self._position, MAX_READ_BYTES)
        target = memoryview(buffer).cast("B")
        data = memoryview(self._block(number))[start : start + len(target)]
        target[: len(data)] = data
        self._position += len(data)
        return len(data)
