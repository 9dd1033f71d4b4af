"""What differs between systems is asked for in `registry/system/` and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.structure import modules

ROOM = "registry.system."

MODULES = {"ctypes", "fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg"}
"""Modules of one kind of system, or that call it directly."""
ATTRIBUTES = {
    "os": {
        *("fork", "forkpty", "getuid", "geteuid", "kill", "killpg", "nice", "name", "pread"),
        *("sched_getaffinity", "sched_setaffinity", "setsid", "statvfs", "fstatvfs", "waitpid"),
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "O_BINARY"),
        *("SEEK_DATA", "SEEK_HOLE", "startfile", "uname"),
    },
    "sys": {"platform", "getwindowsversion"},
    "platform": {"machine", "system", "uname", "win32_ver", "mac_ver"},
    "signal": {
        *("CTRL_BREAK_EVENT", "CTRL_C_EVENT", "SIGALRM", "SIGBREAK", "SIGHUP", "SIGKILL"),
        *("SIGSTOP", "SIGTERM", "SIGUSR1", "pthread_sigmask", "signal"),
    },
    "socket": {"AF_UNIX", "recv_fds", "send_fds"},
}
"""Names that a system lacks, or that mean different things."""
KEYWORDS = {
    *("creationflags", "dir_fd", "dst_dir_fd", "pass_fds", "preexec_fn", "process_group"),
    *("src_dir_fd", "start_new_session", "startupinfo"),
}


def of_one_system(source: str) -> Iterator[str]:
    """What a module uses that belongs in the room."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name in MODULES)
            case ast.ImportFrom(module=module, names=names) if module:
                if module in MODULES:
                    yield module
                known = ATTRIBUTES.get(module, set())
                yield from (f"{module}.{name.name}" for name in names if name.name in known)
            case ast.Attribute(value=ast.Name(id=owner), attr=attr):
                if attr in ATTRIBUTES.get(owner, ()):
                    yield f"{owner}.{attr}"
            case ast.Attribute(attr="st_blocks" | "fcntl"):
                yield node.attr
            case ast.keyword(arg=str(name)) if name in KEYWORDS:
                yield name


def test_only_one_room_asks_for_the_system() -> None:
    found = {
        name: used
        for name, path in modules().items()
        if not name.startswith(ROOM)
        and (used := sorted(set(of_one_system(path.read_text(encoding="utf-8")))))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("import fcntl", "fcntl"),
        ("def late():\n    import resource", "resource"),
        ("from ctypes import CDLL", "ctypes"),
        ("import sys\nif sys.platform == 'linux': pass", "sys.platform"),
        ("from sys import platform", "sys.platform"),
        ("os.kill(1, signal.SIGKILL)", "os.kill"),
        ("os.open('a', os.O_RDONLY, dir_fd=3)", "dir_fd"),
        ("subprocess.Popen([], start_new_session=True)", "start_new_session"),
        ("path.stat().st_blocks", "st_blocks"),
    ],
)
def test_a_use_is_found(source: str, used: str) -> None:
    assert used in set(of_one_system(source))


def test_what_all_systems_have_is_not_counted() -> None:
    assert list(of_one_system("import os, signal\nos.getpid()\nos.replace('a', 'b')")) == []
