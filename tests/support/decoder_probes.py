"""A decoding process whose reader misbehaves, for `tests.ingest.test_decoder_process`.

python -m tests.support.decoder_probes NAME [once]
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ingest.frames import Frame, VideoReader
from ingest.frames.decoder_messages import EXIT, FRAME, HEADER, READ, SECRET_BYTES, write_all
from ingest.frames.decoder_process import serve
from registry.domain import Media


class Intruding(VideoReader):
    """Reads its video, and tries what it must not be able to do."""

    @property
    def reason(self) -> str:
        """The outcome of each attempt."""

        def tries(what: Callable[[], object]) -> str:
            try:
                what()
            except OSError:
                return "refused"
            return "done"

        return ", ".join(
            tries(what)
            for what in (
                Path("/etc/passwd").read_text,
                lambda: Path("/tmp/face-registry-probe").write_text("x"),
                lambda: list(Path("/").iterdir()),
                lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
                lambda: socket.socket(getattr(socket, "AF_UNIX", -1), socket.SOCK_STREAM),
                lambda: subprocess.run([sys.executable, "-c", ""], check=False),
                lambda: os.kill(os.getppid(), 0),
            )
        ) + ("; the environment: done" if "FACE_REGISTRY_TEST_SECRET" in os.environ else "")


class _OneFrame:
    media, reason = Media(), ""

    def __init__(self, file: Any, **given: Any) -> None:
        self.file = file

    def __enter__(self) -> _OneFrame:
        return self

    def __exit__(self, *given: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(0, 0.0, 0.1, np.zeros((4, 4, 3), np.uint8))


class Threads(_OneFrame):
    """Tells whether a thread of it was started while files could be opened."""

    opened: ClassVar[list[str]] = []

    def __init__(self, file: Any, **given: Any) -> None:
        super().__init__(file)
        self.reason = f"threads: {', '.join(self.opened)}"

    @classmethod
    def watch(cls) -> None:
        """Try to open a file whenever a thread starts another one."""
        start = threading.Thread.start

        def look_and_start(thread: threading.Thread) -> None:
            try:
                Path("/etc/passwd").open("rb").close()
            except OSError:
                cls.opened.append("refused")
            else:
                cls.opened.append("done")
            start(thread)

        threading.Thread.start = look_and_start  # type: ignore[assignment, method-assign]


class Crashing(_OneFrame):
    """Crashes as a decoder with a memory error does."""

    def __iter__(self) -> Iterator[Frame]:
        """One frame, then a segmentation fault."""
        yield from super().__iter__()
        ctypes.string_at(0)


class Hanging(_OneFrame):
    """Never ends."""

    def __iter__(self) -> Iterator[Frame]:
        """No frame."""
        while True:
            time.sleep(1)


class Unread(_OneFrame):
    """Asks for bytes of its file and exits without reading them."""

    def __iter__(self) -> Iterator[Frame]:
        """One frame, as of a whole video."""
        yield from super().__iter__()
        self.say(HEADER.pack(READ, 0, 0, 0, 5, 0, 0))

    def say(self, message: bytes) -> None:
        """Send a message to the worker."""
        write_all(self.file.raw.worker._answers, message)


class Lying(Unread):
    """Announces that it has exited, and frames of the next video."""

    def __iter__(self) -> Iterator[Frame]:
        """No frame of its own."""
        self.say(HEADER.pack(READ, 0, 0, 0, 5, 0, 0))
        self.say(HEADER.pack(EXIT, 0, 0, 0, 0, 0, 0) + bytes(SECRET_BYTES))
        for _ in range(3):
            self.say(HEADER.pack(FRAME, 0, 0.0, 0.1, 1, 1, -1) + bytes(3))
        yield from ()


if __name__ == "__main__":
    if sys.argv[1] == "Threads":
        Threads.watch()
    serve(globals()[sys.argv[1]], once=sys.argv[2:] == ["once"])
