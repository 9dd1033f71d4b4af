"""Stopping by Ctrl-C and the like, and who among the processes on a console obeys it."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_Handler = Callable[[int, FrameType | None], object]

if sys.platform == "win32":
    _ENDING = (signal.SIGTERM, signal.SIGBREAK)
    """SIGBREAK is Ctrl-Break, and the window, the session or the machine being closed."""
else:
    _ENDING = (signal.SIGTERM,)


def interrupt_when_ended() -> None:
    """Let a request to end raise `KeyboardInterrupt`, as Ctrl-C does, if it has no handler yet.

    Call it in the main thread.
    """
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def write_utf8_into_pipes() -> None:
    """Write standard output and errors in UTF-8 where they go into a pipe or a file.

    Windows takes its old code pages there, in which many names cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8", errors=stream.errors)


@contextmanager
def handling_stops(handler: _Handler) -> Iterator[None]:
    """Call `handler` for Ctrl-C and requests to end, until the block ends; in the main thread."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, *_ENDING)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def keeping_handlers() -> Iterator[None]:
    """Put the handlers of requests to end back that a library replaces in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C in this process: the one that started it handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def own_group() -> dict[str, Any]:
    """Return arguments for `subprocess.Popen` that keep Ctrl-C of the console from the child."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        return {"start_new_session": True}


@contextmanager
def children_ignore_interrupts() -> Iterator[None]:
    """Let processes that are started in the block ignore Ctrl-C from their first moment.

    Ctrl-C reaches every process of a terminal, also one that is still importing. On Windows, this
    process ignores it for the block too. On other systems, this thread and the children hold it
    back (a signal mask is inherited), until the children call `ignore_interrupts`.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.SetConsoleCtrlHandler(None, True)
        try:
            yield
        finally:
            kernel.SetConsoleCtrlHandler(None, False)
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
