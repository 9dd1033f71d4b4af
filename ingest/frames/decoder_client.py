"""Decodes videos in another process, which a malicious file can crash but not leave."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Semaphore, Thread
from time import perf_counter
from types import TracebackType
from typing import BinaryIO, Self

from ingest.frames.decoder_messages import (
    BYTES,
    MAX_FRAMES_AHEAD,
    NOT_VALID,
    REPLY,
    SECRET_BYTES,
    SETUP,
    TAKEN,
    UNREADABLE,
    VIDEO,
    Exit,
    FrameMessage,
    Message,
    ReadRequest,
    Result,
    receive,
    receive_ready,
    write_all,
)
from ingest.frames.frame_memory import FrameMemory
from ingest.frames.interface import Frame, MediaLimits, Sampling, open_file
from ingest.memory import OVER_MEMORY
from registry.domain import Media
from registry.errors import MediaError, NotReadYet
from registry.system.children import CAN_FORK, Child
from registry.system.confinement import bare_environment

_EXIT_TIMEOUT_S = 10.0
"""For a process to end that has sent all that it has to send."""
_GONE = (OSError, ValueError)
"""What writing to a process raises that died, or that was killed, which closes its pipes."""
_PIPED_FRAMES = 2
"""Frames too large for the shared memory that wait to be taken."""
_JOINED_BYTES = 1 << 12
"""Shorter messages are written at once."""
_POLL_S = 0.05
_KILLED = -9
"""The exit code that SIGKILL gives, by which Linux ends processes when memory is short."""


class DecoderClient:
    """Reads videos, one at a time, in a confined process (`ingest.frames.decoder_process`).

    The process is started with the first video, or by `start`, and again if it dies.
    """

    _module: tuple[str, ...] = ("ingest.frames.decoder_process",)
    """What the process runs, and arguments before `once`."""

    def __init__(self, *, forks: bool = CAN_FORK) -> None:
        """Start nothing yet. `forks`: whether one process reads several videos."""
        self._forks = forks
        self._next: DecoderProcess | None = None
        self._current: DecoderProcess | None = None

    def open(self, path: Path, *, sampling: Sampling, limits: MediaLimits) -> RemoteVideoReader:
        """As `VideoReader`."""
        return RemoteVideoReader(self, path, sampling, limits)

    def start(self) -> None:
        """Start a process for the next video unless there is one. Does not wait for it."""
        if self._next is not None and self._next.has_died:
            self._next.kill()
            self._next = None
        if self._next is None:
            self._next = DecoderProcess(self._module, once=not self._forks)

    def take(self) -> DecoderProcess:
        """The process for the next video, once it is ready. Raises `NotReadYet`."""
        try:
            self.start()
        except OSError as exc:
            raise NotReadYet(f"the process that reads videos cannot start: {exc}.") from exc
        process, self._next = self._next, None
        assert process is not None
        self._current = process
        if not process.wait_until_ready():
            self.give_back(process, reusable=False)
            raise NotReadYet("the process that reads videos ended before it was ready.")
        if not self._forks:
            with suppress(OSError):
                self.start()  # it gets ready meanwhile
        return process

    def give_back(self, process: DecoderProcess, *, reusable: bool) -> None:
        """Take back a process whose video has been read."""
        self._current = None
        if self._forks and reusable and self._next is None:
            self._next = process
        else:
            process.kill()

    def close(self) -> None:
        """Kill the processes, whatever they do. May be called twice."""
        processes = self._current, self._next
        self._current = self._next = None
        for process in processes:
            if process is not None:
                process.kill()


_TUNING = {
    "OPENBLAS_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""Variables of the process. Large pages (glibc manual, Memory Allocation Tunables), with
`keep_freed_memory`, halve the page faults of a short video, of which a fork begins with none of its
memory mapped: 6,700 to 3,400 of 2.6 µs each, for 7 frames of 640 x 480 px."""


class DecoderProcess:
    """A process that decodes, and the memory that is shared with it."""

    def __init__(self, module: tuple[str, ...], *, once: bool) -> None:
        """Start it. Raises `OSError`."""
        self._once, self._ready = once, False
        self.memory = FrameMemory.create()
        try:
            self._child = Child(
                ["-m", *module, *(["once"] if once else [])],
                environment={**bare_environment(Path("/")), **_TUNING},
            )
        except BaseException:
            self._release()
            raise
        self._lock, self._secret = Lock(), b""
        memory = self.memory
        setup = {"memory": memory.name if memory else ""}
        with suppress(*_GONE):  # it died; its output will end at once
            self._send(SETUP, 0, json.dumps(setup).encode())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def wait_until_ready(self) -> bool:
        """Wait until it has started. Returns False if it ended instead."""
        if not self._ready:
            self._ready = receive_ready(self._child.output)
        return self._ready

    def start_video(self, size: int, sampling: Sampling, limits: MediaLimits) -> None:
        """Ask for the frames of a file of `size` bytes. Raises `OSError` if the process died."""
        self._secret = secrets.token_bytes(SECRET_BYTES)
        text = json.dumps({"sampling": asdict(sampling), "limits": asdict(limits)}).encode()
        self._send(VIDEO, size, text, self._secret)

    def answer(self, file: BinaryIO, request: ReadRequest) -> None:
        """Send bytes of the file. Raises `OSError` if the process died."""
        try:
            file.seek(request.offset)
            data = file.read(request.size)
        except OSError as exc:
            self._send(UNREADABLE, exc.errno or 0, (exc.strerror or str(exc)).encode())
        else:
            self._send(BYTES, 0, data)

    def take(self, message: FrameMessage) -> Frame:
        """The frame of a message. Its place in the shared memory is free afterwards."""
        frame = message.frame(self.memory)
        if message.pixels is None:
            with suppress(*_GONE):  # the process has ended
                self._send(TAKEN, message.offset)
        return frame

    def receive(self, limits: MediaLimits) -> Message | None:
        """Its next message. Raises `MediaError` for one that is not valid."""
        secret = b"" if self._once else self._secret
        size = self.memory.size if self.memory else 0
        return receive(self._child.output, limits, memory_bytes=size, secret=secret)

    def wait(self) -> int | None:
        """Its exit code, once its output has ended; None if it goes on without."""
        return self._child.wait(_EXIT_TIMEOUT_S)

    @property
    def has_died(self) -> bool:
        """Whether it has exited."""
        return self._child.wait(0) is not None

    def end_video(self) -> bool:
        """Get ready for the next video. Returns False if the process died."""
        if self.memory:
            self.memory.clear()
        with suppress(*_GONE):
            write_all(self._child.input, self._secret)
            return True
        return False

    def kill(self) -> None:
        """Kill it, whatever it does. May be called twice."""
        self._child.kill()
        self._release()

    def _release(self) -> None:
        if self.memory:
            self.memory.close()

    def _send(self, kind: bytes, number: int, body: bytes = b"", after: bytes = b"") -> None:
        with self._lock:
            header = REPLY.pack(kind, number, len(body))
            if len(body) < _JOINED_BYTES:
                write_all(self._child.input, header + body + after)
            else:
                write_all(self._child.input, header, body, after)


class RemoteVideoReader:
    """A `VideoReader` that decodes in the process of a `DecoderClient`.

    A thread answers the decoder from `__enter__` on, so it works ahead of who takes the frames.
    """

    def __init__(
        self, client: DecoderClient, path: Path, sampling: Sampling, limits: MediaLimits
    ) -> None:
        """Open nothing yet."""
        self._client, self._path = client, path
        self._sampling, self._limits = sampling, limits
        self._process: DecoderProcess | None = None
        self._thread: Thread | None = None
        self._messages: Queue[FrameMessage | Result | BaseException] = Queue(MAX_FRAMES_AHEAD)
        self._piped = Semaphore(_PIPED_FRAMES)
        self._is_started = self._is_read = self._has_exited = False
        self._result = Result(Media(), "")
        self.transfer_s = 0.0

    def __enter__(self) -> Self:
        """Open the file. Raises `MediaError` if that fails."""
        file = open_file(self._path)
        try:
            self._process = process = self._client.take()
            with suppress(*_GONE):  # the process died since the last video
                size = os.fstat(file.fileno()).st_size
                process.start_video(size, self._sampling, self._limits)
        except BaseException:
            file.close()
            raise
        self._thread = Thread(target=self._serve, args=(process, file), name="decoder", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give up the rest of the video."""
        process, thread = self._process, self._thread
        self._process = None
        if process is None or thread is None:
            return
        thread.join(_EXIT_TIMEOUT_S if self._is_read else 0)
        reusable = not thread.is_alive() and self._has_exited and process.end_video()
        self._client.give_back(process, reusable=reusable)
        while thread.is_alive():  # until it sees that the process was killed
            with suppress(Empty):
                if isinstance(self._messages.get(timeout=_POLL_S), FrameMessage):
                    self._piped.release()

    def __iter__(self) -> Iterator[Frame]:
        """The sampled frames, once.

        Raises:
            MediaError: as from `VideoReader`, or the process died.
        """
        process = self._process
        if process is None or self._is_started:
            raise RuntimeError("a RemoteVideoReader is iterated once, inside its with block")
        self._is_started = True
        while True:
            message = self._messages.get()
            got = perf_counter()
            if not isinstance(message, FrameMessage):
                break
            frame = process.take(message)
            if message.pixels is not None:
                self._piped.release()
            self.transfer_s += perf_counter() - got
            yield frame
        self._is_read = True
        if isinstance(message, BaseException):
            raise message
        self._result = message

    @property
    def media(self) -> Media:
        """As `VideoReader.media`; empty until all frames are read."""
        return self._result.media

    @property
    def reason(self) -> str:
        """As `VideoReader.reason`; "" until all frames are read."""
        return self._result.reason

    def _serve(self, process: DecoderProcess, file: BinaryIO) -> None:
        """In a thread: answer the decoder until it has exited, and hand on what it sends."""
        end: Result | BaseException
        try:
            with file:
                end = self._hand_on(process, file)
        except BaseException as exc:  # raised where the frames are taken
            end = exc
        self._messages.put(end)

    def _hand_on(self, process: DecoderProcess, file: BinaryIO) -> Result | MediaError:
        """Hand on the frames; return what ended them."""
        result: Result | None = None
        while True:
            message = process.receive(self._limits)
            if message is None or isinstance(message, Exit):
                self._has_exited = message is not None
                code = process.wait() if message is None else message.code
                if result is None or code == OVER_MEMORY:
                    return MediaError(describe_exit(code, self._limits))
                return MediaError(result.error) if result.error else result
            if result is not None:
                raise MediaError(NOT_VALID)
            if isinstance(message, Result):
                result = message
            elif isinstance(message, ReadRequest):
                with suppress(*_GONE):  # the process has died; its output will end
                    process.answer(file, message)
            else:
                if message.pixels is not None:
                    self._piped.acquire()
                self._messages.put(message)


def describe_exit(code: int | None, limits: MediaLimits) -> str:
    """Why a process that was reading a video exited, by its exit code; None if that is unknown."""
    if code == OVER_MEMORY:
        return (
            f"reading the video took more than {limits.max_memory >> 20:,} MiB of memory, "
            "the limit (--max-memory), and was stopped"
        )
    if code is None:
        return "the process that read the video died; run `videos retry` to read it again"
    if code == _KILLED:
        return "the process that read the video was killed; the machine may be short of memory"
    return f"the process that read the video died with exit code {code}; the file may be damaged"
