"""Models by name: what there is, what is here, and what is said about the rest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.errors import ModelError
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.models.entries import CATALOGUE, find
from tests.support.processes import is_root

PACKS = ("buffalo_l", "buffalo_s", "buffalo_sc")


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What InsightFace downloaded for whoever runs the tests does not count."""
    home = tmp_path / "nobody"
    monkeypatch.setenv("HOME", str(home))
    return home


def test_sface_is_the_default_and_comes_first() -> None:
    assert tuple(CATALOGUE) == ("sface", "auraface", *PACKS)


@pytest.mark.parametrize("name", PACKS)
def test_packs_are_for_research_only(name: str) -> None:
    entry = find(name)
    assert entry.dimension == 512
    assert "non-commercial research only" in entry.licence


def test_every_model_has_weights_of_its_own_and_a_sourced_threshold() -> None:
    for entry in CATALOGUE.values():
        assert 0.3 < entry.verification_threshold < 0.5
        assert entry.threshold_source
        assert [len(digest) for digest in entry.files.values()] == [64, 64]
    assert find("buffalo_s").digest == find("buffalo_sc").digest
    assert len({entry.digest for entry in CATALOGUE.values()}) == 4


def test_the_listing_says_what_is_here(tmp_path: Path) -> None:
    first, *packs = catalogue.listing(tmp_path)
    assert (first.name, first.dimension, first.present) == ("sface", 128, True)
    assert all((Path(first.where) / file).is_file() for file in find("sface").files)
    assert [(pack.name, pack.present, pack.where) for pack in packs] == [
        (name, False, "") for name in ("auraface", *PACKS)
    ]


@pytest.mark.parametrize("ours", [True, False], ids=["our own folder", "InsightFace's"])
def test_the_listing_finds_packs_in_both_places(
    tmp_path: Path, nobodys_home: Path, ours: bool
) -> None:
    cache = tmp_path / "cache"
    folder = (cache if ours else nobodys_home / ".insightface" / "models") / "buffalo_s"
    folder.mkdir(parents=True)
    for file in find("buffalo_s").files:
        (folder / file).touch()
    listed = {line.name: line for line in catalogue.listing(cache)}
    assert listed["buffalo_s"].where == str(folder)
    assert not listed["buffalo_sc"].present


def test_an_unknown_model_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no model 'arcface': there are sface, .*buffalo_sc.*path"
    ):
        catalogue.load("arcface", cache=tmp_path)


def test_a_pack_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        catalogue.load("buffalo_l", cache=tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "buffalo_l") in message
    assert "`face-registry models pull buffalo_l`" in message
    assert "non-commercial research only" in message


def test_a_named_pack_with_other_weights_is_refused(tmp_path: Path, pack_folder: Path) -> None:
    folder = tmp_path / "buffalo_sc"
    folder.mkdir()
    shutil.copy(pack_folder / "det_500m.onnx", folder)
    shutil.copy(pack_folder / "w600k_mbf_int8.onnx", folder / "w600k_mbf.onnx")
    with pytest.raises(ModelError, match=r"are not those of buffalo_sc .* pull buffalo_sc"):
        catalogue.load("buffalo_sc", cache=tmp_path)
    assert catalogue.load(str(folder), device="cpu", cache=tmp_path).info.name == "buffalo_sc"


def test_a_folder_is_a_model(pack: FaceModel) -> None:
    assert pack.info.name == "buffalo_sc_int8"
    assert pack.info.dimension == 512


def test_a_name_goes_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sface").mkdir()
    monkeypatch.chdir(tmp_path)
    assert catalogue.load("sface", device="cpu", cache=tmp_path).info.dimension == 128
    with pytest.raises(ModelError, match="no detector"):
        catalogue.load("./sface", device="cpu", cache=tmp_path)


@pytest.mark.skipif(not is_root(), reason="only root can become a user without a home")
def test_who_has_no_home_folder_can_list_models_all_the_same() -> None:
    code = (
        "import os; from pathlib import Path; from registry.models import catalogue, entries\n"
        "os.environ.pop('HOME', None); os.setuid(54321)\n"
        "print(entries.places('buffalo_l', Path('/nowhere'))[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "/nowhere/buffalo_l\n", done.stderr
