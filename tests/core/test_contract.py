"""The contract: its bytes, which model it asks for, and how its sampling changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from registry.core.contract import choose_model, from_dict, new, with_sampling
from registry.core.opening import open_registry
from registry.domain import Contract
from registry.errors import ContractError, StoreCorrupt
from registry.models.base import FaceModel
from registry.settings import DEFAULT_MODEL, load_settings
from tests.support.factories import contract

BUILT = replace(contract(), model_source="/models/built")


@pytest.mark.parametrize(
    ("asked", "built_with", "configured", "source"),
    [
        ("asked", BUILT, "configured", "asked"),
        ("asked", None, "configured", "asked"),
        (None, BUILT, "configured", "/models/built"),
        (None, BUILT, None, "/models/built"),
        (None, None, "configured", "configured"),
        (None, None, None, DEFAULT_MODEL),
        ("", None, "", DEFAULT_MODEL),
    ],
)
def test_the_argument_goes_first_then_the_contract_then_the_environment(
    asked: str | None, built_with: Contract | None, configured: str | None, source: str
) -> None:
    assert choose_model(asked, built_with, configured, lambda _: True).source == source


def test_another_model_in_the_environment_of_an_existing_registry_is_a_warning() -> None:
    warning = choose_model(None, BUILT, "buffalo_l", lambda _: True).warning
    assert "FACE_REGISTRY_MODEL is buffalo_l" in warning
    assert "built with /models/built" in warning
    assert "migrate --model" in warning


@pytest.mark.parametrize(
    ("asked", "built_with", "configured"),
    [
        (None, BUILT, BUILT.model_source),
        (None, BUILT, BUILT.model.name),
        (None, BUILT, None),
        (None, None, "buffalo_l"),
        ("asked", BUILT, "buffalo_l"),
    ],
)
def test_there_is_no_warning_where_the_environment_is_followed_or_does_not_matter(
    asked: str | None, built_with: Contract | None, configured: str | None
) -> None:
    assert choose_model(asked, built_with, configured, lambda _: True).warning == ""


def test_the_environment_says_where_the_model_of_a_registry_was_moved_to() -> None:
    """A pack's folder lies elsewhere after a restore on another machine."""
    choice = choose_model(None, BUILT, "/new/place", lambda source: source != "/models/built")
    assert (choice.source, choice.warning) == ("/new/place", "")
    assert choose_model(None, BUILT, None, lambda _: False).source == "/models/built"


def test_a_registry_uses_its_own_model_and_warns_once_of_another_in_the_environment(
    tmp_path: Path, sface: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_REGISTRY_MODEL", "buffalo_l")
    said: list[str] = []
    with open_registry(load_settings(home=tmp_path), say=said.append) as registry:
        registry.establish(replace(contract(), model=sface.info, model_source="sface"))
        assert registry.model().info == sface.info
        assert registry.model() is registry.model("sface")
    assert len(said) == 1
    assert said[0].startswith("warning: FACE_REGISTRY_MODEL is buffalo_l")


def test_a_new_registry_takes_the_model_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACE_REGISTRY_MODEL", "pack")
    with open_registry(load_settings(home=tmp_path / "home")) as registry:
        assert registry.model_source() == str(tmp_path / "pack")
        assert registry.model_source("sface") == "sface"


def test_an_explicit_model_other_than_the_registrys_is_refused(
    tmp_path: Path, sface: FaceModel
) -> None:
    with open_registry(load_settings(home=tmp_path)) as registry:
        assert registry.model().info == sface.info
        registry.establish(replace(contract(), model=replace(sface.info, digest="d" * 64)))
        registry.adopt(registry.blobs)
        with pytest.raises(ContractError, match="built with model sface"):
            registry.model("sface")


def test_a_contract_without_gaps_and_cuts_has_the_fields_of_version_0_1() -> None:
    assert list(contract().as_dict()) == [
        "registry_id", "model", "model_source", "threshold", "every", "primary_metric", "schema",
    ]  # fmt: skip
    assert from_dict(BUILT.as_dict()) == BUILT


def test_gaps_and_cuts_are_kept() -> None:
    made = new(
        contract().model, "sface", threshold=0.85, every=10, primary_metric="Views",
        max_gap_s=2.5, cuts=True,
    )  # fmt: skip
    body = made.as_dict()
    assert (body["max_gap_s"], body["cuts"]) == (2.5, True)
    assert from_dict(body) == made


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_gap_s", 0), ("max_gap_s", -1), ("max_gap_s", "soon"), ("max_gap_s", float("inf")),
     ("max_gap_s", None), ("cuts", 1), ("cuts", "no")],
)  # fmt: skip
def test_a_contract_with_other_values_is_damaged(field: str, value: object) -> None:
    with pytest.raises(StoreCorrupt, match=field):
        from_dict({**contract().as_dict(), field: value})


def test_sampling_changes_only_where_told() -> None:
    old = contract()
    assert with_sampling(old, max_gap_s=None, cuts=None) == (old, "")
    assert with_sampling(old, max_gap_s=0, cuts=False) == (old, "")

    changed, note = with_sampling(old, max_gap_s=1.5, cuts=None)

    assert changed == replace(old, max_gap_s=1.5)
    assert "from (longest gap: none, cuts: off) to (longest gap: 1.5 s, cuts: off)" in note
    both, _ = with_sampling(changed, max_gap_s=None, cuts=True)
    assert both == replace(old, max_gap_s=1.5, cuts=True)
    assert with_sampling(both, max_gap_s=0, cuts=False)[0] == old
