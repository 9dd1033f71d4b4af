"""A process that decodes videos for a worker and can do nothing else.

    python -m ingest.frames.decoder SOCKET

It waits for questions on a socket, each with an open video file and a pipe. For each it forks, so
that no video meets what another left behind, and the fork gives up files, network and programs
before it reads the first byte (`registry.system.confinement`). Frames go through the pipe as
`ingest.frames.messages` has them; when the fork has ended, its exit code goes back on the socket.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from threading import Thread
from typing import Any

import av
import cv2
from PIL import Image as Pillow

from ingest.frames.base import MediaLimits
from ingest.frames.messages import LONGEST, write_end, write_frame
from ingest.memory import MemoryGuard
from registry.errors import MediaError
from registry.system.confinement import DECODING, restrict_calls, restrict_files, restrict_resources


def main() -> None:
    """Answer questions until whoever asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    import_late_ones()
    gc.freeze()  # a fork shares what its collector does not touch
    asking = socket.socket(fileno=int(sys.argv[1]))
    module, _, name = sys.argv[2].partition(":")
    reader = getattr(importlib.import_module(module), name)
    while True:
        try:
            text, handles, _, _ = socket.recv_fds(asking, LONGEST, 2)
            if not text:
                return
            video, out = handles
            child = os.fork()
            if child == 0:
                _read(reader, json.loads(text), video, out, asking)
            os.close(video)
            os.close(out)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            asking.sendall(json.dumps(code).encode() + b"\n")
        except OSError:
            return


def import_late_ones() -> None:
    """Import what PyAV and Pillow otherwise import when a file first needs it, too late here."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__"):
            importlib.import_module(module.name)
    Pillow.preinit()
    importlib.import_module("PIL.WebPImagePlugin")


def _read(reader: Any, asked: dict[str, Any], video: int, out: int, asking: socket.socket) -> None:
    """In the fork: read one video, and end."""
    try:
        limits = MediaLimits(**asked["limits"])
        guard = MemoryGuard()
        restrict_files()
        restrict_resources()
        Thread(target=_end_with, args=(asking,), daemon=True).start()
        with guard.watching(limits.max_memory):
            restrict_calls(DECODING, keep=True)
            with os.fdopen(video, "rb") as file:
                _answer(reader, file, asked["every"], limits, out)
        os._exit(0)
    finally:
        os._exit(1)


def _answer(reader: Any, file: Any, every: int, limits: MediaLimits, out: int) -> None:
    try:
        with reader(file, every=every, limits=limits) as frames:
            for frame in frames:
                write_frame(out, frame)
            write_end(out, media=frames.media, reason=frames.reason)
    except MediaError as exc:
        write_end(out, error=str(exc))


def _end_with(asking: socket.socket) -> None:
    """Whoever asked says nothing more before it has the answer: what comes is its end."""
    asking.recv(1, socket.MSG_PEEK)
    os._exit(1)


if __name__ == "__main__":
    main()
