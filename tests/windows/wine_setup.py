"""Puts Windows' Python, with everything the tests need, under Wine.

Debian 12 packages: wine wine64 gcc-mingw-w64-x86-64-posix maven; and uv. Python and Microsoft's C
runtime come as artifacts of Maven, which publishes them as builds for Java programs; Python's
packages are the wheels for Windows that `requirements/dev.txt` pins. 1.8 GB.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.windows.wine import FOLDER, ROOT, Wine, missing_programs

_PYTHON = "cpython:3.12.1-1.5.10"
_RUNTIME = "javacpp:1.5.12"
_UV = os.environ.get("UV") or "uv"
_COMPILER = "x86_64-w64-mingw32-gcc"
_OBJDUMP = "x86_64-w64-mingw32-objdump"
PROGRAMS = ("wine", "wineserver", "mvn", _UV, _COMPILER, _OBJDUMP)
_LOCK = ROOT / "requirements" / "dev.txt"
_HERE = Path(__file__).parent
_SOURCES = (*sorted(_HERE.glob("*.c")), Path(__file__), _LOCK)

_SITECUSTOMIZE = """\
import ctypes
import _winapi

ctypes.WinDLL(r"C:\\python\\file_information.dll")
if hasattr(_winapi, "CopyFile2"):
    del _winapi.CopyFile2  # Wine 8 ends the process; shutil has another way
"""


def is_ready(wine: Wine) -> bool:
    """Whether this set-up was made from the present lock file and sources."""
    return wine.stamp.is_file() and wine.stamp.read_text(encoding="utf-8") == _digest()


def set_up(wine: Wine) -> None:
    """Make the prefix anew. Raises `SystemExit` if a program is missing or fails."""
    if missing := missing_programs(PROGRAMS):
        raise SystemExit(f"The tests under Wine need {', '.join(missing)}: not installed.")
    shutil.rmtree(wine.folder, ignore_errors=True)
    wine.folder.mkdir(parents=True)
    for command in (["wineboot", "-i"], ["winecfg", "-v", "win10"]):  # it says Windows 7 at first
        _run(["wine", *command], env=wine.environment())
    _python(wine)
    _runtime(wine)
    _libraries(wine)
    _run([
        *(_UV, "pip", "install", "--quiet", "--target", str(wine.python / "lib" / "site-packages")),
        *("--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.12"),
        *("--only-binary", ":all:", "--no-deps", "--require-hashes", "-r", str(_LOCK)),
    ])  # fmt: skip
    site = wine.python / "lib" / "site-packages" / "sitecustomize.py"
    site.write_text(_SITECUSTOMIZE, encoding="utf-8")
    wine.stamp.write_text(_digest(), encoding="utf-8")


def _digest() -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()


def _python(wine: Wine) -> None:
    inside = "org/bytedeco/cpython/windows-x86_64/"
    with zipfile.ZipFile(_artifact(wine, _PYTHON)) as jar:
        names = [name for name in jar.namelist() if name.startswith(inside)]
        jar.extractall(wine.folder / "jar", names)
    shutil.move(wine.folder / "jar" / inside, wine.python)
    # platform.platform() asks it, and Wine ends the process.
    (wine.python / "lib" / "_wmi.pyd").rename(wine.folder / "_wmi.pyd")


def _runtime(wine: Wine) -> None:
    """Microsoft's runtime: Wine's own lacks functions for complex numbers, which numpy imports."""
    with zipfile.ZipFile(_artifact(wine, _RUNTIME)) as jar:
        for name in wine.runtime():
            data = jar.read(f"org/bytedeco/javacpp/windows-x86_64/{name}")
            (wine.python / name).write_bytes(data)


def _libraries(wine: Wine) -> None:
    """Build the DLLs that the Python of the artifact, or Wine, lacks."""
    libraries = {
        "bcryptprimitives.dll": ("process_random.c", "-ladvapi32"),
        "file_information.dll": ("file_information.c", "-static-libgcc"),
    }
    for library, arguments in libraries.items():
        source, option = arguments
        output = str(wine.python / library)
        _run([_COMPILER, "-shared", "-O2", "-o", output, str(_HERE / source), option])
    # python3.dll is the stable interface of Python: every name of it is one of python312.dll.
    table = subprocess.run(
        [_OBJDUMP, "-p", str(wine.python / "python312.dll")],
        capture_output=True, text=True, check=True,
    ).stdout.partition("[Ordinal/Name Pointer]")[2]  # fmt: skip
    names = re.findall(r"^\t\[ *\d+\].* (\w+)$", table, re.M)
    exports = wine.folder / "python3.def"
    lines = [f"  {name}=python312.{name}\n" for name in names]
    exports.write_text(f"LIBRARY python3.dll\nEXPORTS\n{''.join(lines)}", encoding="ascii")
    empty = wine.folder / "empty.c"
    empty.write_text("int __stdcall DllMain(void *a, unsigned b, void *c) { return 1; }\n")
    output = str(wine.python / "python3.dll")
    build = [_COMPILER, "-shared", "-nostdlib", "-e", "DllMain", "-o", output]
    _run([*build, str(empty), str(exports)])


def _artifact(wine: Wine, name: str) -> Path:
    """Fetch the build for Windows of an artifact with Maven, from where Maven is set to look."""
    artifact = f"org.bytedeco:{name}:jar:windows-x86_64"
    folder = wine.folder / "artifacts"
    options = [f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
    _run(["mvn", "--quiet", "--batch-mode", "dependency:copy", *options])
    project, version = name.split(":")
    return folder / f"{project}-{version}-windows-x86_64.jar"


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    # A pipe for the output, which processes that Wine leaves behind may keep.
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}.")


if __name__ == "__main__":
    set_up(Wine(FOLDER))
