"""What a check of `face-registry doctor` reports, and the checks of the machine.

The machine has to have the libraries, enough disk space, and a folder that nobody else can read.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from registry.errors import RegistryError, StoreDenied
from registry.settings import Settings
from registry.system.confinement import bare_environment

Verdict = Literal["ok", "warning", "failed", "fixed"]
FIX = "`face-registry doctor --fix`"
FIX_DEEP = "`face-registry doctor --deep --fix`"
"""For damage that only a check of all digests finds."""
_LISTED = 3
"""How many of many are listed in a sentence."""
_LOW_SPACE = 2 * 1024**3
"""Bytes of free space: the largest download allowed (2 GiB) would not fit."""
_GROUP_AND_OTHERS = 0o077
"""Permission bits of everyone but the owner."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, in full sentences."""

    part: str
    verdict: Verdict
    detail: str
    """What was found."""
    advice: str = ""
    """What to do; empty if there is nothing to do."""


def run_check(part: str, check: Callable[[], Finding]) -> Finding:
    """Return what a check finds; a `RegistryError` becomes a finding with the verdict `failed`."""
    try:
        return check()
    except RegistryError as exc:
        return Finding(part, "failed", str(exc))


def list_first(items: Iterable[object]) -> str:
    """List the first three items, and say how many more there are."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def check_machine(settings: Settings, *, fix: bool) -> Iterator[Finding]:
    """Check the libraries, then the home folder. With `fix`, tighten modes of files and folders."""
    version = f"Python {platform.python_version()} on {platform.platform(terse=True)}"
    yield Finding("python", "ok", f"{version}.")
    yield _check_distribution("opencv", ("opencv-python-headless", "opencv-python"))
    yield _check_distribution("onnxruntime", ("onnxruntime", "onnxruntime-gpu"))
    yield _check_decoder()
    yield run_check("home", lambda: _check_home(settings.home))
    yield run_check("modes", lambda: _check_modes(settings.home, fix=fix))


def _check_distribution(part: str, names: tuple[str, str]) -> Finding:
    """Check that one of two distributions is installed, and not both: they own the same files."""
    versions = {
        d.metadata["Name"]: d.version
        for d in metadata.distributions()
        if d.metadata["Name"] in names
    }
    text = " and ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    if len(versions) == 1:
        return Finding(part, "ok", f"{text} is installed.")
    if not versions:
        neither = f"Neither {names[0]} nor {names[1]} is installed."
        return Finding(part, "failed", neither, "Run `make install`.")
    keep, drop = names if part == "opencv" else (names[1], names[0])
    return Finding(
        part,
        "warning",
        f"{text} are both installed and overwrite each other's files.",
        f"Run `pip uninstall -y {drop} && pip install --force-reinstall --no-deps {keep}`.",
    )


def detect_confinement() -> tuple[int, bool]:
    """The version of Landlock (0: none) and whether seccomp works, tried out in a process."""
    code = (
        "from registry.system.confinement import DECODING, restrict_calls, restrict_files;"
        "version = restrict_files();"
        "print(version, int(restrict_calls(DECODING, keep=True)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, env=bare_environment(Path("/")), check=False,
    ).stdout.split()  # fmt: skip
    return (int(output[0]), bool(int(output[1]))) if len(output) == 2 else (0, False)


def _check_decoder() -> Finding:
    """Say how far the kernel confines the processes that decode videos."""
    landlock, seccomp = detect_confinement()
    layers = ["limits"] + [f"Landlock {landlock}"] * (landlock > 0) + ["seccomp"] * seccomp
    if landlock or seccomp:
        text = f"without access to files, network or programs ({', '.join(layers)})"
        return Finding("decoder", "ok", f"Videos are decoded {text}.")
    return Finding(
        "decoder",
        "warning",
        "This system has neither Landlock nor seccomp, so only resource limits keep a decoder from "
        "files and network.",
        "Process tables from strangers in a container or a virtual machine; see SECURITY.md.",
    )


def _check_home(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", "ok", f"{home} does not exist yet; the first ingest creates it.")
    free = shutil.disk_usage(home).free
    text = f"{home} has {free / 1e9:.1f} GB of free space."
    if free < _LOW_SPACE:
        return Finding("home", "warning", text, "Free some space before the next ingest.")
    return Finding("home", "ok", text)


def _check_modes(home: Path, *, fix: bool) -> Finding:
    """Check that folders have mode 0700 and files 0600: faces are biometric data."""
    accessible = [path for path in _walk(home) if path.lstat().st_mode & _GROUP_AND_OTHERS]
    if not accessible:
        return Finding("modes", "ok", "Files and folders are accessible to their owner alone.")
    number = f"{len(accessible)} of the files and folders"
    if not fix:
        text = f"Other users can access {number}, such as {accessible[0]}."
        return Finding("modes", "warning", text, f"Run {FIX}.")
    for path in accessible:
        try:
            path.chmod(path.lstat().st_mode & ~_GROUP_AND_OTHERS & 0o7777)
        except OSError as exc:
            raise StoreDenied(
                f"The mode of {path} cannot be changed ({exc.strerror}). Its owner has to change "
                "it."
            ) from exc
    return Finding("modes", "fixed", f"Other users could access {number}; now they cannot.")


def _walk(home: Path) -> Iterator[Path]:
    """Yield the folder and everything in it, except symbolic links."""
    if home.is_dir():
        yield home
    for folder, folders, files in os.walk(home):
        yield from (p for n in (*folders, *files) if not (p := Path(folder, n)).is_symlink())
