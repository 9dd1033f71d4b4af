"""A process that decodes videos and can do nothing else; `ingest.frames.decoder_client` starts it.

    python -m ingest.frames.decoder_process [once]

The worker that started it sends the parameters of a video through standard input, then the bytes of
its file as they are asked for. Frames go to the worker through shared memory, messages through
standard output (`ingest.frames.decoder_messages`). For each video the process forks, so that no
video sees what another left behind, and reports the exit code of the fork. With `once`, and where a
process cannot fork, it reads one video and exits. Before the first byte of the file is read, files,
network and other programs are given up (`registry.system.confinement`).
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from typing import BinaryIO

import av
import cv2
from PIL import Image as Pillow

from ingest.frames.decoder_connection import ServedFile, WorkerConnection
from ingest.frames.interface import FrameReader, MediaLimits, Sampling
from ingest.frames.reader import VideoReader
from ingest.memory import MemoryGuard
from registry.errors import MediaError
from registry.system.children import CAN_FORK, exit_with_parent, run_and_exit, run_in_fork
from registry.system.confinement import DECODING, restrict_calls, restrict_files, restrict_resources
from registry.system.console import ignore_interrupts
from registry.system.process import keep_freed_memory

OpenReader = Callable[..., FrameReader]
"""As `VideoReader`: takes the open file, `sampling` and `limits`."""


_COLLECTED = 8
"""Frames between two collections of garbage, each of which takes 1 ms. A frame of PyAV whose side
data was looked at refers to itself: without this, libav's pool grew to 300 pictures, which is
100 MB at 640 x 360 px."""


def serve(open_reader: OpenReader, *, once: bool) -> None:
    """Read videos, one after another, until the worker closes its end; with `once`, the first."""
    ignore_interrupts()
    keep_freed_memory()
    requests, worker = _connect()
    cv2.setNumThreads(1)
    import_lazy_modules()
    try:
        worker.start()
        gc.freeze()  # memory that the collector does not touch stays shared with the forks
        while True:
            parameters, size = worker.receive_video()
            limits = MediaLimits(**parameters["limits"])
            sampling = Sampling(**parameters["sampling"])
            secret = b""

            def decode(*parents: int) -> None:
                file = io.BufferedReader(ServedFile(worker, size))  # noqa: B023  called at once
                _decode(open_reader, worker, file, sampling, limits, (requests, *parents))  # noqa: B023

            def receive_secret() -> None:
                nonlocal secret
                secret = worker.receive_secret()

            if once:
                receive_secret()
                run_and_exit(decode)
            # The fork starts before the secret is read, so it does not know it.
            worker.send_exit(run_in_fork(decode, meanwhile=receive_secret), secret)
            worker.skip(secret)
    except (EOFError, OSError):
        return  # the worker has ended


def _connect() -> tuple[int, WorkerConnection]:
    """The worker, over descriptors that nothing else in this process writes to."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return requests, WorkerConnection(io.FileIO(requests, "rb"), io.FileIO(answers, "wb"))


def import_lazy_modules() -> None:
    """Import what PyAV and Pillow import only when a file needs it: a fork cannot open modules."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__"):
            importlib.import_module(module.name)
    Pillow.preinit()
    importlib.import_module("PIL.WebPImagePlugin")


def _decode(
    open_reader: OpenReader,
    worker: WorkerConnection,
    file: BinaryIO,
    sampling: Sampling,
    limits: MediaLimits,
    parents: Iterable[int],
) -> None:
    """Give up all rights, and send the frames of the video.

    Ends when the other end of one of the pipes `parents` is closed.
    """
    guard = MemoryGuard()
    restrict_files()
    for pipe in parents:
        exit_with_parent(pipe)  # starts a thread, which inherits Landlock
    restrict_resources()
    with guard.watching(limits.max_memory):
        restrict_calls(DECODING, keep=True)
        try:
            with open_reader(file, sampling=sampling, limits=limits) as reader:
                for number, frame in enumerate(reader):
                    worker.send_frame(frame)
                    if number % _COLLECTED == 0:
                        gc.collect()
                worker.send_result(media=reader.media, reason=reader.reason)
        except MediaError as exc:
            worker.send_result(error=str(exc))


if __name__ == "__main__":
    serve(VideoReader, once=not CAN_FORK or sys.argv[1:] == ["once"])
