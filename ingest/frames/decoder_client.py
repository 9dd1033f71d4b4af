"""Decodes videos in another process, which a malicious file can crash but not leave."""

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

from ingest.frames.decoder_messages import MAX_JSON_BYTES, receive
from ingest.frames.interface import Frame, MediaLimits, Sampling, open_file
from ingest.memory import OVER_MEMORY
from registry.domain import Media
from registry.errors import MediaError
from registry.system.confinement import bare_environment

_EXIT_TIMEOUT_S = 10.0
"""For a process to end that nobody reads from any more. It may still be starting."""
_PIPE_BYTES = 1 << 20
"""The most that Linux grants every user; a frame of 640 × 360 pixels fits."""


class DecoderClient:
    """Reads videos, one at a time, in a confined process (`ingest.frames.decoder_process`).

    The process is started with the first video, or by `start`, and again if it dies.
    """

    _module: tuple[str, ...] = ("ingest.frames.decoder_process",)
    """What the process runs, and arguments before the socket."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def open(self, path: Path, *, sampling: Sampling, limits: MediaLimits) -> RemoteVideoReader:
        """As `VideoReader`."""
        return RemoteVideoReader(self, path, sampling, limits)

    def start(self) -> socket.socket:
        """Start the process unless it runs; return the socket for requests. Does not wait."""
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *self._module, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    cwd="/", env=bare_environment(Path("/")), pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )  # fmt: skip
        return self._socket

    def request_frames(self, file: BinaryIO, sampling: Sampling, limits: MediaLimits) -> BinaryIO:
        """Ask for the frames of an open file; return the pipe that they come through."""
        text = json.dumps({"sampling": asdict(sampling), "limits": asdict(limits)}).encode()
        ours, theirs = os.pipe()
        try:
            with suppress(OSError):
                fcntl.fcntl(theirs, getattr(fcntl, "F_SETPIPE_SZ", -1), _PIPE_BYTES)
            socket.send_fds(self.start(), [text], [file.fileno(), theirs])
        except OSError:
            self.close()  # the process died since the last video; the pipe will end at once
        finally:
            os.close(theirs)
        return os.fdopen(ours, "rb", buffering=0)

    def wait_for_exit_code(self) -> int | None:
        """The exit code of the fork that read the last file; None if it cannot be known."""
        if self._socket is None:
            return None
        try:
            self._socket.settimeout(_EXIT_TIMEOUT_S)
            code = json.loads(self._socket.recv(MAX_JSON_BYTES))
            return code if isinstance(code, int) else None
        except (OSError, ValueError):
            self.close()
            return None

    def close(self) -> None:
        """Kill the process, whatever it does. May be called twice."""
        requests, process = self._socket, self._process
        self._socket = self._process = None
        if requests is not None:
            requests.close()
        if process is not None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class RemoteVideoReader:
    """A `VideoReader` that decodes in the process of a `DecoderClient`."""

    def __init__(
        self, client: DecoderClient, path: Path, sampling: Sampling, limits: MediaLimits
    ) -> None:
        """Open nothing yet."""
        self._client, self._path = client, path
        self._sampling, self._limits = sampling, limits
        self._pipe: BinaryIO | None = None
        self._result = Media(), ""

    def __enter__(self) -> Self:
        """Open the file. Raises `MediaError` if that fails."""
        with open_file(self._path) as file:
            self._pipe = self._client.request_frames(file, self._sampling, self._limits)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give up the rest of the video."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._client.wait_for_exit_code()

    def __iter__(self) -> Iterator[Frame]:
        """The sampled frames, once.

        Raises:
            MediaError: as from `VideoReader`, or the process died.
        """
        if self._pipe is None:
            raise RuntimeError("a RemoteVideoReader is iterated once, inside its with block")
        while isinstance(message := receive(self._pipe, self._limits), Frame):
            yield message
        if message is None:
            self._pipe.close()
            self._pipe = None
            raise MediaError(describe_exit(self._client.wait_for_exit_code(), self._limits))
        self._result = message

    @property
    def media(self) -> Media:
        """As `VideoReader.media`; empty until all frames are read."""
        return self._result[0]

    @property
    def reason(self) -> str:
        """As `VideoReader.reason`; "" until all frames are read."""
        return self._result[1]


def describe_exit(code: int | None, limits: MediaLimits) -> str:
    """Why a process that was reading a video exited, by its exit code; None if that is unknown."""
    if code == OVER_MEMORY:
        return (
            f"reading the video took more than {limits.max_memory >> 20:,} MiB of memory, "
            "the limit (--max-memory), and was stopped"
        )
    if code is None:
        return "the process that read the video died; run `videos retry` to read it again"
    if code == -signal.SIGKILL:
        return "the process that read the video was killed; the machine may be short of memory"
    return f"the process that read the video died with exit code {code}; the file may be damaged"
