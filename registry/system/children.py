"""Child processes that end with their parent, and forks of a prepared process.

A child talks to its parent through its standard input and output, on every system. On POSIX it has
a session of its own, and `exit_with_parent` ends it when the pipe from its parent closes. On
Windows it belongs to a Job Object, which the system closes with the parent.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import BinaryIO, NoReturn

CAN_FORK = sys.platform != "win32"
"""Whether `run_in_fork` works."""


class Child:
    """A child process with pipes to its standard input and output.

    Its standard error is discarded.
    """

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Start a Python process. Raises `OSError` if the system cannot.

        Args:
            arguments: of Python: `-m`, a module and its arguments.
            environment: all of its variables.
        """
        self._process = subprocess.Popen(
            [_python(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=Path(sys.executable).anchor,
            env=dict(environment),
            start_new_session=CAN_FORK,
            creationflags=_CREATION_FLAGS,
        )
        self._job = _confine_in_job(self._process)
        assert self._process.stdin
        assert self._process.stdout
        self.input: BinaryIO = self._process.stdin  # type: ignore[assignment]  # IO[bytes]
        self.output: BinaryIO = self._process.stdout  # type: ignore[assignment]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, negative for a signal; None if it is still running after the timeout."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it and its own children, whatever they do. May be called twice."""
        if self._process.returncode is None:
            if sys.platform != "win32":
                with suppress(OSError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        if self._job is not None:
            self._job.close()
        self._process.wait()
        for pipe in (self.input, self.output):
            with suppress(OSError):
                pipe.close()


def exit_with_parent(pipe: int) -> None:
    """End this process when the other end of a pipe, which the parent holds, is closed.

    A thread waits for that. It reads nothing, so the pipe stays usable. Does nothing on Windows,
    where the Job Object of the parent ends this process.

    Call it before `restrict_resources`, since it opens a descriptor. poll(2) would need none, but
    refuses to wait under such limits.
    """
    if sys.platform == "linux":
        hang_up = select.epoll()
        hang_up.register(pipe, 0)  # no event but EPOLLHUP and EPOLLERR, which are always reported

        def wait() -> None:
            hang_up.poll()
            os._exit(1)

        Thread(target=wait, name="parent", daemon=True).start()
    elif sys.platform == "darwin":
        queue = select.kqueue()
        flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
        queue.control([select.kevent(pipe, select.KQ_FILTER_READ, flags)], 0)

        def wait() -> None:
            # Input is an event too, once for each write.
            while not any(event.flags & select.KQ_EV_EOF for event in queue.control(None, 1)):
                pass
            os._exit(1)

        Thread(target=wait, name="parent", daemon=True).start()


def run_and_exit(function: Callable[[], None]) -> NoReturn:
    """Call a function and end this process at once: with the exit code 1 if it raises, else 0."""
    code = 1
    try:
        function()
        code = 0
    finally:
        os._exit(code)


def run_in_fork(function: Callable[[int], None], meanwhile: Callable[[], None]) -> int:
    """Call a function in a fork of this process, and return the exit code of the fork.

    Args:
        function: gets a pipe whose other end this process holds, for `exit_with_parent`. The fork
            ends with it; its exceptions give the exit code 1.
        meanwhile: is called here, before `function` begins there. What it learns, the fork does not
            know.

    Raises:
        NotImplementedError: the system cannot fork: `CAN_FORK`.
    """
    if sys.platform != "win32":
        ready, start = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(start)
            if not os.read(ready, 1):
                os._exit(1)
            run_and_exit(lambda: function(ready))
        os.close(ready)
        try:
            meanwhile()
            os.write(start, b"\0")
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        finally:
            os.close(start)
    raise NotImplementedError("this system cannot fork")


if sys.platform == "win32":
    from ctypes import wintypes

    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    _EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    _ACTIVE_PROCESS, _KILL_ON_JOB_CLOSE = 0x8, 0x2000
    """JOB_OBJECT_LIMIT_ACTIVE_PROCESS and _KILL_ON_JOB_CLOSE (winnt.h)."""

    class _BasicLimits(ctypes.Structure):
        """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

        _fields_ = (
            ("process_time", wintypes.LARGE_INTEGER),
            ("job_time", wintypes.LARGE_INTEGER),
            ("flags", wintypes.DWORD),
            ("minimum_working_set", ctypes.c_size_t),
            ("maximum_working_set", ctypes.c_size_t),
            ("active_processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority_class", wintypes.DWORD),
            ("scheduling_class", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("basic", _BasicLimits),
            ("io_counters", ctypes.c_ulonglong * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        )

    class _Job:
        """A Job Object of one process, which ends when the job is closed."""

        def __init__(self, process: int) -> None:
            self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            self._kernel.CreateJobObjectW.restype = wintypes.HANDLE
            handle = self._kernel.CreateJobObjectW(None, None)
            if not handle:
                raise ctypes.WinError(ctypes.get_last_error())
            self._handle: wintypes.HANDLE | None = wintypes.HANDLE(handle)
            limits = _ExtendedLimits()
            limits.basic.flags = _KILL_ON_JOB_CLOSE | _ACTIVE_PROCESS
            limits.basic.active_processes = 1
            if not (
                self._kernel.SetInformationJobObject(
                    self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
                )
                and self._kernel.AssignProcessToJobObject(self._handle, wintypes.HANDLE(process))
            ):
                error = ctypes.WinError(ctypes.get_last_error())
                self.close()
                raise error

        def close(self) -> None:
            """End the process."""
            if self._handle is not None:
                self._kernel.CloseHandle(self._handle)
                self._handle = None

    def _confine_in_job(process: subprocess.Popen[bytes]) -> _Job | None:
        try:
            return _Job(int(vars(process)["_handle"]))
        except OSError:
            process.kill()
            raise

    def _python() -> str:
        # The python.exe of a virtual environment starts the real one as a second process.
        return str(getattr(sys, "_base_executable", sys.executable))

else:
    _CREATION_FLAGS = 0

    class _Job:
        """Systems other than Windows have no Job Objects."""

        def close(self) -> None:
            """Do nothing."""

    def _confine_in_job(process: subprocess.Popen[bytes]) -> _Job | None:
        return None

    def _python() -> str:
        return sys.executable
