"""Sets the project up, tests and checks it: `python tasks.py help` lists the tasks.

For Windows, and for whoever has no make; `make TASK` calls this file. Only the standard library is
used, since it runs before anything is installed. The environment may set VENV and VENV_GPU
(folders), JOBS (processes that run tests), UV (the program) and UPGRADE (options for
`uv pip compile`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
# `or`: make passes on empty variables too.
VENV = ROOT / (os.environ.get("VENV") or ".venv")
# onnxruntime-gpu and onnxruntime share a folder, so each has a virtual environment of its own.
VENV_GPU = ROOT / (os.environ.get("VENV_GPU") or ".venv-gpu")
UV = os.environ.get("UV") or "uv"
JOBS = os.environ.get("JOBS") or "4"
"""More than two processors, because many tests wait."""
_SCRATCH, _SCRATCH_BYTES = Path("/dev/shm"), 6 * 10**9
"""Tests wait for the disk more than for anything else; with this much room, memory replaces it."""
_WRITTEN = (
    *("build", "dist", "face-registry-demo", ".wine"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".coverage"),
)
_PACKAGES = ("face_registry", "registry", "ingest", "queries", "tests", "benchmarks", "tools")

Task = Callable[[list[str]], None]
TASKS: dict[str, tuple[Task, str]] = {}
"""Name of a task to its function, which gets the other arguments, and its summary."""


def _task(summary: str) -> Callable[[Task], Task]:
    def register(function: Task) -> Task:
        TASKS[function.__name__.replace("_", "-")] = function, summary
        return function

    return register


@_task("build sample videos, ingest them, write a report to ./face-registry-demo")
def demo(arguments: list[str]) -> None:
    """Run the demo."""
    _install("cpu")
    _run([_program(VENV, "face-registry"), "demo", *arguments])


@_task("face-registry into .venv, for the CPU")
def install(_: list[str]) -> None:
    """Install what `requirements/cpu.txt` lists."""
    _install("cpu")


@_task("face-registry into .venv-gpu, for NVIDIA GPUs (Linux x86-64)")
def install_gpu(_: list[str]) -> None:
    """Install what `requirements/gpu.txt` lists."""
    _install("gpu", VENV_GPU)


@_task("what the tests need, into .venv")
def install_dev(_: list[str]) -> None:
    """Install what `requirements/dev.txt` lists."""
    _install("dev")


@_task("what the tests in a browser need, into .venv")
def install_browser(_: list[str]) -> None:
    """Install what `requirements/browser.txt` lists."""
    _install("browser")


@_task("the tests, except the slow ones; other arguments go to pytest")
def test(arguments: list[str]) -> None:
    """Run the tests."""
    _several("-m", "not slow", *arguments)


@_task("the tests in a real browser (needs Chromium)")
def test_browser(arguments: list[str]) -> None:
    """Run the tests of pages."""
    _install("browser")
    _pytest("-m", "not slow", "tests/browser", *arguments)


@_task("all tests")
def test_all(arguments: list[str]) -> None:
    """Run the tests, with the slow ones."""
    _several(*arguments)


@_task("the same as test, and which lines they run; fails below the floor")
def coverage(arguments: list[str]) -> None:
    """Run the tests and measure coverage."""
    _several("-m", "not slow", "--cov", *arguments)


@_task("the tests of stores and of the main job, on the servers of QDRANT_URL and MINIO_ENDPOINT")
def test_server(arguments: list[str]) -> None:
    """Run the tests that can use servers."""
    _module("tests.support.on_servers", *arguments)


@_task("the core of the tests on Windows' Python under Wine (Linux)")
def test_windows(arguments: list[str]) -> None:
    """Run tests in Wine, which is set up first if it is not."""
    _module("tests.windows", *arguments)


@_task("kill and disturb a registry 1,000 times; prints a table")
def faults(arguments: list[str]) -> None:
    """Inject faults."""
    _module("tests.faults", "--points", "1000", *arguments, scratch=True)


@_task("ruff: rules and format")
def lint(_: list[str]) -> None:
    """Check rules and format."""
    _module("ruff", "check", ".")
    _module("ruff", "format", "--check", ".")


@_task("mypy, strict, for Linux, macOS and Windows")
def types(_: list[str]) -> None:
    """Check the types, on each system that the code asks for."""
    for platform in ("linux", "darwin", "win32"):
        _module("mypy", "--platform", platform, "--cache-dir", f".mypy_cache/{platform}")


@_task("write the generated part of docs/CLI.md")
def docs(_: list[str]) -> None:
    """Generate the reference of commands."""
    _module("tests.support.cli_reference")


@_task("measure speed and memory in short forms; --all: every benchmark")
def bench(arguments: list[str]) -> None:
    """Run the benchmarks."""
    _module("benchmarks", *arguments)


@_task("compile the lock files in requirements/ anew (needs uv)")
def requirements(_: list[str]) -> None:
    """Compile the lock files.

    Pins stay as they are where they still fit; with UPGRADE=--upgrade the newest are taken.
    --universal: one file serves all Python versions and systems.
    """
    compile_lock = [
        *(UV, "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"),
        *os.environ.get("UPGRADE", "").split(),
    ]
    dev = ("--extra", "dev", "--extra", "pages")
    locks: dict[str, tuple[str, ...]] = {
        "cpu": (),
        "cluster": ("--extra", "cluster"),
        "dev": dev,
        "browser": (*dev, "--group", "browser"),
        "gpu": ("--extra", "gpu"),
    }
    for name, options in locks.items():
        overrides = f"requirements/overrides{'-gpu' if name == 'gpu' else ''}.txt"
        output = ("-o", f"requirements/{name}.txt")
        _run([*compile_lock, "--overrides", overrides, *options, *output])


@_task("remove what these tasks, the tests and the demo wrote")
def clean(_: list[str]) -> None:
    """Remove environments, caches and results."""
    caches = [path for name in _PACKAGES for path in (ROOT / name).rglob("__pycache__")]
    for path in (VENV, VENV_GPU, *(ROOT / name for name in _WRITTEN), *caches):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _install(lock: str, venv: Path = VENV) -> None:
    """Install exactly what a lock file lists, unless that was done since it changed.

    The package itself is installed as a link to these sources, so it is never out of date.
    """
    # Each lock holds all of those before it, at the same versions.
    levels = ["cpu", "dev", "browser"] if lock != "gpu" else ["gpu"]
    wanted = ROOT / "requirements" / f"{lock}.txt", ROOT / "pyproject.toml"
    newest = max(path.stat().st_mtime for path in wanted)
    stamp = venv / _stamp(lock)
    if stamp.is_file() and stamp.stat().st_mtime >= newest:
        return
    python = _program(venv, "python")
    if not Path(python).is_file():
        _check_python()
        _run([sys.executable, "-m", "venv", str(venv)])
    # --no-deps because the lock is complete. Compiling all bytecode ahead takes 30 s and saves
    # none: few of the modules are ever imported.
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-compile", "--no-deps"]
    _run([*pip, "--require-hashes", "-r", str(wanted[0])])
    _run([*pip, "--editable", str(ROOT)])
    for level in levels[: levels.index(lock) + 1]:
        (venv / _stamp(level)).touch()


def _compile_tests() -> None:
    """Compile the tests and what they import, unless they were imported before.

    The processes that run tests import everything when they start, all at the same time: each of
    them would compile it. Two that list half of the tests each take 20 s less on two processors.
    """
    if (ROOT / "tests" / "__pycache__").is_dir() or sys.flags.dont_write_bytecode:
        return
    _install("dev")
    listed = [_program(VENV, "python"), "-X", "utf8", "-m", "pytest", "--collect-only", "-qq"]
    places = sorted(map(str, (ROOT / "tests").glob("[!_]*")))
    halves = [
        subprocess.Popen([*listed, *places[start::2]], cwd=ROOT, stdout=subprocess.DEVNULL)
        for start in (0, 1)
    ]
    try:
        for half in halves:
            half.wait()
    except KeyboardInterrupt:
        sys.exit(130)


def _stamp(lock: str) -> str:
    return ".installed" if lock == "cpu" else f".installed-{lock}"


def _check_python() -> None:
    """End with a message on a Python that is too old (this file starts on 3.9 and newer)."""
    if sys.version_info < (3, 11):  # noqa: UP036
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"face-registry needs Python 3.11 or newer, and this is {found}. Install one, and run "
            "this file with it (Windows: py -3.12 tasks.py TASK)."
        )


def _program(venv: Path, name: str) -> str:
    """The path of a program of a virtual environment."""
    windows = os.name == "nt"
    return str(venv / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name))


def _module(name: str, *arguments: str, scratch: bool = False) -> None:
    """Run a module of the tests' environment."""
    _install("dev")
    # UTF-8: what the tests themselves read and write; the commands that they start are without.
    _run([_program(VENV, "python"), "-X", "utf8", "-m", name, *arguments], scratch=scratch)


def _pytest(*arguments: str) -> None:
    _module("pytest", *arguments, scratch=True)


def _several(*arguments: str) -> None:
    """Run tests in several processes, in the order of `tests/conftest.py`."""
    if not any(argument.startswith("tests") for argument in arguments):
        _compile_tests()
    _pytest("-n", JOBS, "--dist", "loadfile", "--no-loadscope-reorder", *arguments)


def _run(command: Sequence[str], *, scratch: bool = False) -> None:
    """Run a command, and end with its exit code if it fails."""
    environment = dict(os.environ)
    if scratch and _SCRATCH.is_dir() and shutil.disk_usage(_SCRATCH).free > _SCRATCH_BYTES:
        environment["TMPDIR"] = str(_SCRATCH)
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not installed.")
    except KeyboardInterrupt:
        sys.exit(130)
    if code:
        sys.exit(code if code > 0 else 128 - code)


def _help() -> None:
    print("python tasks.py TASK [argument ...]\n")
    for name, (_, summary) in TASKS.items():
        print(f"  {name:<16}{summary}")


def main() -> None:
    """Run the task that the command line names."""
    name, *arguments = sys.argv[1:] or ["help"]
    if name in {"help", "-h", "--help"}:
        _help()
    elif name in TASKS:
        TASKS[name][0](arguments)
    else:
        sys.exit(f"There is no task {name!r}. `python tasks.py help` lists them.")


if __name__ == "__main__":
    main()
