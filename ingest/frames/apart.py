"""Videos read in a process apart, which a bad one can neither leave nor take along."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ingest.frames.base import Frame, MediaLimits, open_file
from ingest.frames.messages import LONGEST, read
from ingest.memory import OVER_MEMORY
from registry.domain import Media
from registry.errors import MediaError
from registry.system.confinement import bare_environment

_PATIENCE_S = 10.0
"""For a decoder that nobody listens to any more, and for one that starts."""
_PIPE_BYTES = 1 << 20
"""The most that Linux lets everyone have: a frame of 640 × 360 pixels fits."""


class Decoder:
    """Reads videos, one at a time, in a process that `registry.system.confinement` confines.

    It starts with the first video, or `start`, and is replaced if it dies.
    """

    def __init__(self, reader: str = "ingest.frames.reader:VideoReader") -> None:
        """`reader` is `module:class` of what reads a video there."""
        self._reader = reader
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def read(self, path: Path, *, every: int, limits: MediaLimits) -> ApartReader:
        """As `VideoReader`."""
        return ApartReader(self, path, every, limits)

    def start(self) -> socket.socket:
        """Where to ask. Returns before the process is ready."""
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "ingest.frames.decoder",
                     str(theirs.fileno()), self._reader],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    cwd="/", env=bare_environment(Path("/")), pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )  # fmt: skip
        return self._socket

    def ask(self, file: BinaryIO, every: int, limits: MediaLimits) -> BinaryIO:
        """The pipe through which the frames of an open file come."""
        text = json.dumps({"every": every, "limits": asdict(limits)}).encode()
        ours, theirs = os.pipe()
        try:
            with suppress(OSError):
                fcntl.fcntl(theirs, getattr(fcntl, "F_SETPIPE_SZ", -1), _PIPE_BYTES)
            socket.send_fds(self.start(), [text], [file.fileno(), theirs])
        except OSError:
            self.close()  # it died since the last video; whoever reads finds the pipe's end
        finally:
            os.close(theirs)
        return os.fdopen(ours, "rb", buffering=0)

    def ended(self) -> int | None:
        """How the process that read the last file ended; None if that cannot be known."""
        if self._socket is None:
            return None
        try:
            self._socket.settimeout(_PATIENCE_S)
            code = json.loads(self._socket.recv(LONGEST))
            return code if isinstance(code, int) else None
        except (OSError, ValueError):
            self.close()
            return None

    def close(self) -> None:
        """End the process, whatever it does; closing twice is fine."""
        asking, process = self._socket, self._process
        self._socket = self._process = None
        if asking is not None:
            asking.close()
        if process is not None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class ApartReader:
    """What `VideoReader` is, elsewhere."""

    def __init__(self, decoder: Decoder, path: Path, every: int, limits: MediaLimits) -> None:
        self._decoder, self._path, self._every, self._limits = decoder, path, every, limits
        self._pipe: BinaryIO | None = None
        self._known: tuple[Media, str] | None = None

    def __enter__(self) -> Self:
        """Open the file. Raises `MediaError` if that cannot be done."""
        with open_file(self._path) as file:
            self._pipe = self._decoder.ask(file, self._every, self._limits)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of what is left of the video."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._decoder.ended()

    def __iter__(self) -> Iterator[Frame]:
        """As `VideoReader`; raises `MediaError` if the process dies, too."""
        if self._pipe is None:
            raise RuntimeError("an ApartReader is iterated once, inside its with block")
        while isinstance(found := read(self._pipe, self._limits), Frame):
            yield found
        if found is None:
            self._pipe.close()
            self._pipe = None
            raise MediaError(death(self._decoder.ended(), self._limits))
        self._known = found

    @property
    def media(self) -> Media:
        """As `VideoReader.media`, once all frames are taken."""
        return self._known[0] if self._known else Media()

    @property
    def reason(self) -> str:
        """As `VideoReader.reason`, once all frames are taken."""
        return self._known[1] if self._known else ""


def death(code: int | None, limits: MediaLimits) -> str:
    """What the exit code of a process that read a video means."""
    if code == OVER_MEMORY:
        return (
            f"reading it took more than {limits.max_memory >> 20:,} MiB of memory, the "
            "limit (--max-memory), and was stopped"
        )
    if code is None:
        return "the process that decoded it died; read the video again (`videos retry`)"
    if code == -signal.SIGKILL:
        return "the process that decoded it was killed; the machine may be short of memory"
    return f"the process that decoded it died (exit code {code}); the file may be damaged"
