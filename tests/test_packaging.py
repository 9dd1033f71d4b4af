"""What is shipped: pins, versions, and nothing that belongs to one machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

import registry

ROOT = Path(__file__).parents[1]
LOCKS = ("cpu", "dev", "gpu", "cluster")
LARGEST = 500_000
"""Bytes of a tracked file: the repository carries no models, photos or videos."""

_PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)[^\n]*(?P<rest>(?:\n {4}[^\n]+)*)", re.M
)


def pins(lock: str) -> dict[str, set[str]]:
    """Package -> pinned versions (one for each range of Python versions)."""
    found: dict[str, set[str]] = {}
    for match in _PIN.finditer((ROOT / "requirements" / f"{lock}.txt").read_text()):
        found.setdefault(match["name"], set()).add(match["version"])
    return found


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file that git tracks or would add."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a git checkout: there is none here")
    names = listing.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry_or_a_home_folder(tracked: list[Path]) -> None:
    # In pieces, so that this file may be looked at too.
    hosts = [
        ".".join(parts)
        for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "com"), ("npmjs", "org"))
    ]
    folders = [f"/{top}/{Path.home().name}/" for top in ("home", "Users")]
    folders += ["/" + "root" + "/", f"{ROOT}/"]
    if str(ROOT.parent) not in {"/", "/tmp", "/var/tmp"}:  # names that any file may have
        folders.append(f"{ROOT.parent}/")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked
        for word in hosts + folders
        if word.encode() in path.read_bytes()
    ]
    assert found == []


def test_no_tracked_file_is_large(tracked: list[Path]) -> None:
    assert [str(path) for path in tracked if path.stat().st_size > LARGEST] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    matches = list(_PIN.finditer(text))
    assert len(matches) > 40
    assert [match["name"] for match in matches if "--hash=sha256:" not in match["rest"]] == []
    assert "://" not in text
    assert _PIN.sub("", text).strip() == "", "lines that are no pin"


@pytest.mark.parametrize("lock", LOCKS)
def test_one_opencv_and_one_onnxruntime(lock: str) -> None:
    names = pins(lock)
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}
    runtime = "onnxruntime-gpu" if lock == "gpu" else "onnxruntime"
    assert {name for name in names if name.startswith("onnxruntime")} == {runtime}


@pytest.mark.parametrize("lock", ["dev", "cluster"])
def test_larger_locks_hold_the_cpu_lock_whole(lock: str) -> None:
    larger = pins(lock)
    assert {name: found for name, found in pins("cpu").items() if larger.get(name) != found} == {}


def test_locks_hold_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [re.match(r"[A-Za-z0-9-]+", text) for text in project["dependencies"]]
    names = {match[0].lower() for match in direct if match}
    assert names <= set(pins("cpu"))
    assert names - {"onnxruntime"} <= set(pins("gpu"))


def test_the_environment_has_one_opencv_and_one_onnxruntime() -> None:
    installed = [dist.name.lower().replace("_", "-") for dist in distributions()]
    assert [name for name in installed if name.startswith("opencv-")] == ["opencv-python-headless"]
    assert len([name for name in installed if name.split("-")[0] == "onnxruntime"]) == 1


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert registry.__version__ == project["version"]
    headings = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == project["version"], "the newest heading of CHANGELOG.md"


@pytest.mark.parametrize("package", ["face_registry", "registry", "ingest", "queries"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
