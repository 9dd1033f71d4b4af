"""What a check of `face-registry doctor` reports, and the checks of the machine.

The machine has to have the libraries, enough disk space, and a folder that nobody else can read.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from registry.errors import RegistryError, StoreDenied
from registry.settings import Settings
from registry.system.confinement import bare_environment, unconfined
from registry.system.paths import free_bytes, longest_path
from registry.system.privacy import close_to_others, open_to_others, others_have_access

Verdict = Literal["ok", "warning", "failed", "fixed"]
FIX = "`face-registry doctor --fix`"
FIX_DEEP = "`face-registry doctor --deep --fix`"
"""For damage that only a check of all digests finds."""
_LISTED = 3
"""How many of many are listed in a sentence."""
_LOW_SPACE = 2 * 1024**3
"""Bytes of free space: the largest download allowed (2 GiB) would not fit."""
_LONGEST_BELOW = 139
"""Characters of the longest path below the home, with its separator: a file of a payload index of
Qdrant Edge 0.9.0 (seen)."""


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
    yield run_check("home", lambda: check_home_folder(settings.home, longest_path()))
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
        unconfined(),
        "Process tables from strangers in a container or a virtual machine; see SECURITY.md.",
    )


def check_home_folder(home: Path, longest: int | None) -> Finding:
    """Check free space, and that paths have at most `longest` characters; None: any number."""
    if longest is not None and len(str(home.absolute())) + _LONGEST_BELOW > longest:
        return Finding(
            "home",
            "warning",
            f"The path {home} has {len(str(home.absolute()))} characters, and names of files below "
            f"it up to {_LONGEST_BELOW}; this system allows {longest} in all.",
            "Enable long paths in Windows, or use a folder with a shorter path (--home).",
        )
    if not home.exists():
        return Finding("home", "ok", f"{home} does not exist yet; the first ingest creates it.")
    free = free_bytes(home)
    text = f"{home} has {free / 1e9:.1f} GB of free space."
    if free < _LOW_SPACE:
        return Finding("home", "warning", text, "Free some space before the next ingest.")
    return Finding("home", "ok", text)


def _check_modes(home: Path, *, fix: bool) -> Finding:
    """Check that the owner alone can use folders and files: faces are biometric data."""
    accessible = list(open_to_others(home))
    if not accessible:
        return Finding("modes", "ok", "Files and folders are accessible to their owner alone.")
    number = f"{len(accessible)} of the files and folders"
    if not fix:
        text = f"Other users can access {number}, such as {accessible[0]}."
        return Finding("modes", "warning", text, f"Run {FIX}.")
    for path in accessible:
        try:
            if others_have_access(path):  # on Windows, closing a folder closes what is in it
                close_to_others(path)
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError as exc:
            raise StoreDenied(
                f"The mode of {path} cannot be changed ({exc.strerror}). Its owner has to change "
                "it."
            ) from exc
    if still := next(open_to_others(home), None):
        text = f"Other users can still access {still}: its file system keeps no access rights."
        return Finding("modes", "failed", text, "Use a folder on another disk (--home).")
    return Finding("modes", "fixed", f"Other users could access {number}; now they cannot.")
