"""`make test-windows`: the core of the tests on Windows' Python, under Wine.

Other arguments go to pytest; a path among them replaces the list of tests. With `--if-ready`
nothing is set up: if that was not done before, a line says that the tests were skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from tests.windows.wine import FOLDER, ROOT, Wine, missing_programs
from tests.windows.wine_setup import is_ready, set_up

_CORE = (
    "tests/windows/test_commands.py",
    "tests/system",
    "tests/urls",
    "tests/blobs/test_contract.py",
    "tests/store/test_contract.py",
)
_OF_LINUX = "tests/system/test_confinement.py"
_WITHOUT_SERVERS = "not minio and not bucket and not server and not memory"
_LIMIT_S = 1800.0
_PROJECT = "project"
"""The folder on drive C: of a copy of the sources: on Z:, which is the root of Linux, `/dev` and
`/proc` are seen."""


def main() -> None:
    """Set up what is missing, copy the sources, and run the tests."""
    arguments = sys.argv[1:]
    wine = Wine(FOLDER)
    if "--if-ready" in arguments:
        arguments.remove("--if-ready")
        why = ""
        if missing_programs(["wine"]):
            why = "Wine is not installed"
        elif not is_ready(wine):
            why = "they are not set up, or from an earlier lock file; `make test-windows` does it"
        if why:
            print(f"The tests under Wine were skipped: {why}.")
            return
    if not is_ready(wine):
        print(f"Setting Windows' Python up in {wine.folder}")
        set_up(wine)
    project = wine.drive / _PROJECT
    shutil.rmtree(project, ignore_errors=True)
    for name in _files():
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    _link(wine, project)
    wine.start_services()
    began = time.monotonic()
    tests = arguments
    if not any((ROOT / argument.partition("::")[0]).exists() for argument in arguments):
        tests = [*_CORE, "--ignore", _OF_LINUX, "-k", _WITHOUT_SERVERS, *arguments]
    options = ["-p", "no:cacheprovider", "--basetemp", f"C:\\{_PROJECT}-tests"]
    try:
        code = wine.run(["-X", "utf8", "-m", "pytest", *options, *tests], project, _LIMIT_S)
    except subprocess.TimeoutExpired:
        sys.exit(f"The tests under Wine took longer than {_LIMIT_S:.0f} s.")
    finally:
        wine.stop()
    print(f"The tests under Wine took {time.monotonic() - began:.0f} s.")
    sys.exit(code)


def _link(wine: Wine, project: Path) -> None:
    """Install the copy as `pip install --editable` does: a link to it, and its name and version.

    pip itself cannot do it, since the artifact of Python has no launcher for environments.
    """
    packages = wine.python / "lib" / "site-packages"
    (packages / "face_registry.pth").write_text(f"C:\\{project.name}\n", encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    information = packages / f"face_registry-{version}.dist-info"
    information.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: face-registry\nVersion: {version}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")


def _files() -> list[str]:
    """Every file that git tracks or would add."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    names = listing.stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


if __name__ == "__main__":
    main()
