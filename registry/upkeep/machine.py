"""What a registry needs of the machine: libraries, room, and a folder that nobody else can read."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from registry.errors import StoreDenied
from registry.settings import Settings
from registry.system.confinement import bare_environment
from registry.upkeep.diagnosis import FIX, Finding, attempt

_LOW_SPACE = 2 * 1024**3
"""Bytes; the largest download allowed would not fit."""
_OTHERS = 0o077
"""What nobody but the owner may have."""


def examine_machine(settings: Settings, *, fix: bool) -> Iterator[Finding]:
    """Libraries first, then the home folder. With `fix`, modes are tightened."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield _one_of("opencv", ("opencv-python-headless", "opencv-python"))
    yield _one_of("onnxruntime", ("onnxruntime", "onnxruntime-gpu"))
    yield _decoder()
    yield attempt("home", lambda: _home(settings.home))
    yield attempt("modes", lambda: _modes(settings.home, fix=fix))


def _one_of(part: str, names: tuple[str, str]) -> Finding:
    """Two distributions that own the same files: exactly one may be installed."""
    found = {
        d.metadata["Name"]: d.version
        for d in metadata.distributions()
        if d.metadata["Name"] in names
    }
    text = " and ".join(f"{name} {version}" for name, version in sorted(found.items()))
    if len(found) == 1:
        return Finding(part, "ok", text)
    if not found:
        return Finding(
            part, "failed", f"neither {names[0]} nor {names[1]} is installed", "run `make install`"
        )
    keep, drop = names if part == "opencv" else (names[1], names[0])
    return Finding(
        part,
        "warning",
        f"{text} are both installed and overwrite each other",
        f"run `pip uninstall -y {drop} && pip install --force-reinstall --no-deps {keep}`",
    )


def confinement_here() -> tuple[int, bool]:
    """Landlock's version and whether there is seccomp, as a process finds that tries them."""
    code = (
        "from registry.system.confinement import DECODING, close_calls, close_files as f; a = f();"
        "print(a, int(close_calls(DECODING, keep=True)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env=bare_environment(Path("/")), check=False,
    ).stdout.split()  # fmt: skip
    return (int(told[0]), bool(int(told[1]))) if len(told) == 2 else (0, False)


def _decoder() -> Finding:
    """Videos are decoded by processes that can do little else; how little depends on the kernel."""
    landlock, seccomp = confinement_here()
    held = ["limits"] + [f"Landlock {landlock}"] * (landlock > 0) + ["seccomp"] * seccomp
    text = f"videos are decoded without files, network or programs ({', '.join(held)})"
    if landlock or seccomp:
        return Finding("decoder", "ok", text)
    return Finding(
        "decoder",
        "warning",
        "this system has neither Landlock nor seccomp: limits alone keep a decoder from files and "
        "network",
        "read tables of strangers in a container or a virtual machine, see SECURITY.md",
    )


def _home(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", "ok", f"{home} (made at the first ingest)")
    free = shutil.disk_usage(home).free
    text = f"{home}, {free / 1e9:.1f} GB free"
    if free < _LOW_SPACE:
        return Finding("home", "warning", text, "make room there before the next ingest")
    return Finding("home", "ok", text)


def _modes(home: Path, *, fix: bool) -> Finding:
    """Faces are biometric data: folders 0700, files 0600."""
    open_ = [path for path in _inside(home) if path.lstat().st_mode & _OTHERS]
    if not open_:
        return Finding("modes", "ok", "folders and files are open to their owner alone")
    text = f"{len(open_)} folders and files are open to others, such as {open_[0]}"
    if not fix:
        return Finding("modes", "warning", text, FIX)
    for path in open_:
        try:
            path.chmod(path.lstat().st_mode & ~_OTHERS & 0o7777)
        except OSError as exc:
            raise StoreDenied(
                f"the mode of {path} cannot be changed ({exc.strerror}); its owner has to"
            ) from exc
    return Finding("modes", "fixed", f"{len(open_)} folders and files were open to others")


def _inside(home: Path) -> Iterator[Path]:
    """The folder and everything in it, links left out."""
    if home.is_dir():
        yield home
    for folder, folders, files in os.walk(home):
        yield from (p for n in (*folders, *files) if not (p := Path(folder, n)).is_symlink())
