"""Who runs this process, and where: names for decisions, runs and leases."""

from __future__ import annotations

import getpass
import os
import socket

from registry.errors import RegistryLocked


def user_name() -> str:
    """The name of the user who runs this process; empty if the system does not know it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def user_at_host() -> str:
    """The user and the host name, as `user@host`."""
    return f"{user_name()}@{socket.gethostname()}"


def process_at_host() -> str:
    """The process id and the host name, as words for a message."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def refuse_fork(pid: int, what: str) -> None:
    """Raise `RegistryLocked` in a fork of the process `pid`, which opened `what`.

    A fork shares locks with its parent and lacks the threads of engines, so its calls would wait
    for ever.
    """
    if os.getpid() != pid:
        raise RegistryLocked(
            f"{what} was opened by process {pid}, and this process is a fork of it. Open it here "
            "with read_only=True, or use it there."
        )
