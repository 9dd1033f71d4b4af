"""A command on a real terminal: what it shows, what a person types, and how it ends."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import psutil
import pytest

from registry.cli import main

_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_LONGEST_S = 60.0
_PROMPT = b"[y/n]"
_COMMAND = "import sys; from registry.cli import main; main(sys.argv[1:])"
_WITH_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {_COMMAND}"
"""The terminal becomes that of the session, so that Ctrl-C reaches all processes of the command."""


@dataclass(frozen=True, slots=True)
class Session:
    """A command that has ended."""

    exit_code: int
    text: str
    """What the terminal shows in the end, with what was typed, without colours."""


def run_on_terminal(
    home: Path, *arguments: str, answer: str | None = None, columns: int = 100
) -> Session:
    """Run a command on a terminal, in this process, and answer its question.

    Args:
        home: of the registry.
        arguments: the command.
        answer: typed, with Enter, when the command asks; None if it does not ask.
        columns: width of the terminal.
    """
    assert sys.platform != "win32", "Windows has no such terminals"
    ours, theirs = _open_terminal(columns)
    shown: list[bytes] = []

    def look_and_answer() -> None:
        answers = [] if answer is None else [f"{answer}\n".encode()]
        while chunk := _read(ours):
            shown.append(chunk)
            if answers and _PROMPT in b"".join(shown):
                os.write(ours, answers.pop())

    person = Thread(target=look_and_answer)
    person.start()
    try:
        with pytest.MonkeyPatch.context() as patch, ExitStack() as files:
            patch.setenv("TERM", "xterm")
            patch.setenv("NO_COLOR", "1")
            for name in ("COLUMNS", "LINES"):
                patch.delenv(name, raising=False)
            for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
                file = open(theirs, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                patch.setattr(sys, name, files.enter_context(file))
            with pytest.raises(SystemExit) as ended:
                main(["--home", str(home), *arguments])
    finally:
        os.close(theirs)
        person.join()
        os.close(ours)
    code = ended.value.code
    text = _CODES.sub("", b"".join(shown).decode()).replace("\r", "")
    return Session(code if isinstance(code, int) else int(bool(code)), text)


def interrupted_on_terminal(home: Path, *arguments: str, moment: str) -> Session:
    """Run a command on a terminal of its own and press Ctrl-C at a moment.

    Args:
        home: of the registry.
        arguments: the command.
        moment: `begun` (the home is there), `a server` (from which workers are forked),
            `a worker`, `a crop` or `a record` (one is written); `+0.3`: so many seconds later.
    """
    event, _, delay = moment.partition("+")
    ours, theirs = _open_terminal(100)
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _WITH_TERMINAL, "--home", str(home), *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True,
        cwd=Path(__file__).parents[2], start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown, pressed, due = b"", False, float("inf")
    deadline = time.monotonic() + 2 * _LONGEST_S
    try:
        while time.monotonic() < deadline:
            if due == float("inf") and _has_happened(event, home, process.pid):
                due = time.monotonic() + float(delay or 0)
            if not pressed and time.monotonic() >= due:
                os.write(ours, b"\x03")
                pressed = True
            if select.select([ours], [], [], 0.02)[0]:
                if not (chunk := _read(ours)):
                    break
                shown += chunk
        return Session(process.wait(timeout=60), _CODES.sub("", shown.decode()).replace("\r", ""))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _has_happened(event: str, home: Path, pid: int) -> bool:
    if event == "begun":
        return (home / "objects").exists()
    if event in ("a server", "a worker"):
        servers = [one for one in children(pid) if is_server(one)]
        return any(event == "a server" or children(server.pid) for server in servers)
    pattern = {"a crop": "objects/crops/*/*", "a record": "objects/records/*"}[event]
    return next(home.glob(pattern), None) is not None


def is_server(process: psutil.Process) -> bool:
    """Whether workers are forks of this process."""
    try:
        return "forkserver" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _open_terminal(columns: int) -> tuple[int, int]:
    """Both ends of a terminal of this width; where the system has none, the test is skipped."""
    if sys.platform == "win32":
        pytest.skip("Windows has no terminals that a program can open")
    else:
        import fcntl
        import pty
        import struct
        import termios

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        return ours, theirs


def _read(descriptor: int) -> bytes:
    """What the terminal shows next; nothing when the command has ended."""
    if not select.select([descriptor], [], [], _LONGEST_S)[0]:
        raise TimeoutError("the command neither shows anything nor ends")
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so when the other side is closed
        return b""
