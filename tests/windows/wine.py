"""Windows' Python under Wine: where it is, and how it is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("WINE_FOLDER") or ROOT / ".wine")
"""Where the set-up goes: WINE_FOLDER, or `.wine` in the project."""
_MICROSOFTS = (
    *("ucrtbase", "msvcp140", "msvcp140_1", "msvcp140_2"),
    *("vcruntime140", "vcruntime140_1", "vcomp140", "concrt140"),
)
"""DLLs of the C and C++ runtime that are taken instead of Wine's, whose own lack functions."""
_UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
"""Variables of Linux that mislead programs in Wine: with a core type, OpenBLAS ends the process."""


@dataclass(frozen=True)
class Wine:
    """A Wine prefix with Python in `C:\\python`."""

    folder: Path

    @property
    def drive(self) -> Path:
        """Drive C:."""
        return self.folder / "prefix" / "drive_c"

    @property
    def python(self) -> Path:
        """The folder of Python on drive C:."""
        return self.drive / "python"

    @property
    def stamp(self) -> Path:
        """A file with the digest of what was set up."""
        return self.folder / "ready"

    def runtime(self) -> list[str]:
        """The names of Microsoft's runtime DLLs."""
        return [f"{name}.dll" for name in _MICROSOFTS]

    def environment(self) -> dict[str, str]:
        """The variables of a process in Wine."""
        kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        own = f"{','.join(_MICROSOFTS)}=n,b;winedbg.exe=d;mscoree,mshtml="
        return {
            **kept, "WINEPREFIX": str(self.folder / "prefix"), "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": own, "PYTHONUTF8": "0",
        }  # fmt: skip

    def start_services(self) -> None:
        """Start what the first process of a session starts, and keeps for as long as it has output.

        Otherwise it would inherit the output of a test, which then never ends.
        """
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                   "stderr": subprocess.DEVNULL, "env": self.environment()}  # fmt: skip
        subprocess.run(["wineserver", "-p600"], check=False, **nothing)  # type: ignore[call-overload]
        subprocess.run(["wine", "cmd", "/c", "ver"], check=False, start_new_session=True, **nothing)  # type: ignore[call-overload]

    def stop(self) -> None:
        """End every process of this prefix."""
        subprocess.run(["wineserver", "-k"], env=self.environment(), check=False)

    def run(self, arguments: Sequence[str], cwd: Path, timeout_s: float) -> int:
        """Run Python, print its output, and return its exit code.

        Raises `subprocess.TimeoutExpired`.
        """
        # Python in Wine needs a pipe for its output: a file gives "WinError 6".
        with subprocess.Popen(
            ["wine", "C:\\python\\python.exe", *arguments],
            cwd=cwd, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process, subprocess.Popen(["cat"], stdin=process.stdout):  # fmt: skip
            assert process.stdout is not None
            process.stdout.close()
            try:
                return process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.stop()
                raise


def missing_programs(names: Sequence[str]) -> list[str]:
    """Those of the programs that are not installed."""
    return [name for name in names if shutil.which(name) is None]
