"""A process that decodes videos and can do nothing else; `ingest.frames.decoder_client` starts it.

    python -m ingest.frames.decoder_process SOCKET

SOCKET is the number of an open socket. The client sends requests over it, each with an open video
file and a pipe. For each request the process forks, so that no video sees what another left behind.
The fork gives up files, network and other programs before it reads the first byte
(`registry.system.confinement`), and writes frames to the pipe (`ingest.frames.decoder_messages`).
When it has exited, its exit code goes back over the socket.
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
from collections.abc import Callable
from threading import Thread
from typing import Any, BinaryIO

import av
import cv2
from PIL import Image as Pillow

from ingest.frames.decoder_messages import MAX_JSON_BYTES, send_frame, send_result
from ingest.frames.interface import FrameReader, MediaLimits, Sampling
from ingest.frames.reader import VideoReader
from ingest.memory import MemoryGuard
from registry.errors import MediaError
from registry.system.confinement import DECODING, restrict_calls, restrict_files, restrict_resources

OpenReader = Callable[..., FrameReader]
"""As `VideoReader`: takes the open file, `sampling` and `limits`."""


def serve(requests: socket.socket, open_reader: OpenReader) -> None:
    """Answer requests, one after another, until the client closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    import_lazy_modules()
    gc.freeze()  # memory that the collector does not touch stays shared with the forks
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(requests, MAX_JSON_BYTES, 2)
            if not text:
                return
            video, pipe = descriptors
            child = os.fork()
            if child == 0:
                _decode_and_exit(open_reader, json.loads(text), video, pipe, requests)
            os.close(video)
            os.close(pipe)
            exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            requests.sendall(json.dumps(exit_code).encode() + b"\n")
        except OSError:
            return


def import_lazy_modules() -> None:
    """Import what PyAV and Pillow import only when a file needs it: a fork cannot open modules."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__"):
            importlib.import_module(module.name)
    Pillow.preinit()
    importlib.import_module("PIL.WebPImagePlugin")


def _decode_and_exit(
    open_reader: OpenReader,
    request: dict[str, Any],
    video: int,
    pipe: int,
    requests: socket.socket,
) -> None:
    """In the fork: decode one video, and exit."""
    try:
        limits, sampling = MediaLimits(**request["limits"]), Sampling(**request["sampling"])
        guard = MemoryGuard()
        restrict_files()
        restrict_resources()
        Thread(target=_exit_with_client, args=(requests,), daemon=True).start()
        with guard.watching(limits.max_memory):
            restrict_calls(DECODING, keep=True)
            with os.fdopen(video, "rb") as file:
                _send_frames(open_reader, file, sampling, limits, pipe)
        os._exit(0)
    finally:
        os._exit(1)


def _send_frames(
    open_reader: OpenReader, file: BinaryIO, sampling: Sampling, limits: MediaLimits, pipe: int
) -> None:
    try:
        with open_reader(file, sampling=sampling, limits=limits) as reader:
            for frame in reader:
                send_frame(pipe, frame)
            send_result(pipe, media=reader.media, reason=reader.reason)
    except MediaError as exc:
        send_result(pipe, error=str(exc))


def _exit_with_client(requests: socket.socket) -> None:
    """Exit when the client closes its end; it sends nothing before it has the exit code."""
    requests.recv(1, socket.MSG_PEEK)
    os._exit(1)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), VideoReader)
