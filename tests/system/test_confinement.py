"""A process that gave up files, network and programs gets none of them back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.settings import load_settings
from registry.system.confinement import bare_environment, import_folders
from registry.upkeep.checks import check_machine, detect_confinement

_TRIES = """
import encodings.idna, json, os, socket, subprocess, sys
from pathlib import Path
from registry.system import confinement as c

port, folder = int(sys.argv[1]), sys.argv[2]
open_before = open(folder + "/open.txt", "rb")
{given_up}

def tries(what):
    try:
        what()
    except OSError as exc:
        return type(exc).__name__ + " " + str(exc.errno)
    return "done"

def fork():
    if os.fork() == 0:
        os._exit(0)

print(json.dumps({{
    "reads passwd": tries(lambda: open("/etc/passwd").read()),
    "reads outside": tries(lambda: open(folder + "/closed/secret.txt").read()),
    "reads inside": tries(lambda: open(folder + "/inside/given.txt").read()),
    "writes": tries(lambda: open(folder + "/inside/new.txt", "w").write("x")),
    "lists": tries(lambda: os.listdir("/")),
    "connects": tries(lambda: socket.create_connection(("127.0.0.1", port), 2)),
    "runs": tries(lambda: subprocess.run([sys.executable, "-c", ""])),
    "kills": tries(lambda: os.kill(os.getppid(), 0)),
    "forks": tries(fork),
    "reads what was open": tries(open_before.read),
    "reads in place of what was open": tries(lambda: (os.close(0), open("/etc/passwd").read())),
}}), flush=True)
os._exit(0)
"""
_LANDLOCK, _SECCOMP = detect_confinement()
landlock = pytest.mark.skipif(not _LANDLOCK, reason="this kernel has no Landlock")
seccomp = pytest.mark.skipif(not _SECCOMP, reason="this kernel has no seccomp")


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _tried(given_up: str, port: int, folder: Path) -> dict[str, str]:
    for name in ("open.txt", "closed/secret.txt", "inside/given.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("text")
    done = subprocess.run(
        [sys.executable, "-c", _TRIES.format(given_up=given_up), str(port), str(folder)],
        capture_output=True, text=True, env=bare_environment(folder), check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


_OPEN = {
    *("reads passwd", "reads outside", "reads inside", "writes", "lists", "connects"),
    "reads in place of what was open",
}
_ALL = {*_OPEN, "runs", "kills", "forks"}
_TCP = {"connects"} if _LANDLOCK < 4 else set()
_CALLS = "c.restrict_calls(c.DECODING, keep=True)"


def test_without_confinement_all_of_it_can_be_done(listening: int, tmp_path: Path) -> None:
    assert set(_tried("", listening, tmp_path).values()) == {"done"}


@pytest.mark.parametrize(
    ("layer", "refused"),
    [
        pytest.param("c.restrict_resources()", {*_OPEN, "runs"}, id="limits"),
        pytest.param("c.restrict_files()", _OPEN - _TCP, marks=landlock, id="landlock"),
        pytest.param(_CALLS, _ALL, marks=seccomp, id="seccomp"),
        pytest.param(
            f"c.restrict_files(); c.restrict_resources(); {_CALLS}",
            _ALL,
            marks=seccomp,
            id="together",
        ),
    ],
)
def test_each_layer_holds_by_itself(
    layer: str, refused: set[str], listening: int, tmp_path: Path
) -> None:
    tried = _tried(layer, listening, tmp_path)
    assert {what for what, came in tried.items() if came != "done"} >= refused
    assert tried["reads what was open"] == "done"
    assert not (tmp_path / "inside/new.txt").exists()


@landlock
def test_only_what_is_named_is_read(listening: int, tmp_path: Path) -> None:
    given = (
        f"c.restrict_files([*c.import_folders(), Path({str(tmp_path / 'inside')!r})], network=True)"
    )
    tried = _tried(given, listening, tmp_path)
    assert {tried[what] for what in ("reads inside", "connects")} == {"done"}
    assert {tried[what] for what in ("reads passwd", "reads outside", "writes")} == {
        "PermissionError 13"
    }


@seccomp
def test_calls_by_name_are_refused_and_others_are_not(listening: int, tmp_path: Path) -> None:
    tried = _tried("c.restrict_calls(c.REACHING_OUT, keep=False)", listening, tmp_path)
    assert tried["runs"] == tried["kills"] == "PermissionError 1"
    assert tried["reads passwd"] == tried["connects"] == "done"


def test_modules_can_be_imported_from_where_they_are_said_to_be() -> None:
    places = import_folders()
    for module in ("json", "numpy", "registry"):
        path = Path(str(__import__(module).__file__))
        assert any(path.is_relative_to(place) for place in places)


def test_doctor_says_what_the_kernel_gives(tmp_path: Path) -> None:
    findings = {f.part: f for f in check_machine(load_settings(home=tmp_path), fix=False)}
    found = findings["decoder"]
    assert found.verdict == ("ok" if _LANDLOCK or _SECCOMP else "warning")
    assert ("seccomp)" in found.detail) == _SECCOMP
    assert (f"Landlock {_LANDLOCK}" in found.detail) == (_LANDLOCK > 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process with its Job Object")
def test_a_process_that_gave_up_its_rights_ends_with_its_parent() -> None:
    """Also if the thread that waits for this begins after the limits hold, or input waits."""
    code = (
        "import sys, threading, time; from registry.system import children, confinement as c;"
        "start = threading.Thread.start; late = [];"
        "threading.Thread.start = lambda thread: late.append(thread);"
        "c.restrict_files(); children.exit_with_parent(0);"
        f"c.restrict_resources(); start(late[0]); {_CALLS};"
        "print('ready', flush=True); time.sleep(0.5); print('still', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        child.stdin.write(b"not read")
        child.stdin.flush()
        assert child.stdout.readline() == b"still\n"
        child.stdin.close()
        assert child.wait(20) == 1
