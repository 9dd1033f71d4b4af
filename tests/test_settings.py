"""Settings come from our variables and from nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from platformdirs import user_data_path

from registry.errors import UsageError
from registry.settings import Settings, load_log_settings, load_settings, load_target


def test_with_nothing_set_the_home_is_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FACE_REGISTRY_HOME")

    assert load_settings().home == user_data_path("face-registry", appauthor=False)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_variables_of_other_programs_are_not_ours(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = load_settings(home=tmp_path), load_log_settings()
    if name.upper() not in _OURS:
        monkeypatch.setenv(name.upper(), "1")

    assert (load_settings(home=tmp_path), load_log_settings()) == before


_OURS = frozenset(str(f.validation_alias.choices[0]) for f in Settings.model_fields.values())  # type: ignore[union-attr]


def test_what_is_given_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACE_REGISTRY_DEVICE", "cuda")
    monkeypatch.setenv("FACE_REGISTRY_LOG_LEVEL", "error")

    assert load_settings().device == "cuda"
    given = load_settings(home=tmp_path, device="cpu", log_level="debug")
    assert (given.home, given.device, given.log_level) == (tmp_path, "cpu", "debug")


def test_a_target_has_the_settings_it_is_given(tmp_path: Path) -> None:
    source = load_settings(home=tmp_path / "a", minio_endpoint=None)

    target = load_target(source, home=tmp_path / "b", qdrant="http://localhost:6333", minio=None)

    assert (target.home, target.qdrant_url) == (tmp_path / "b", "http://localhost:6333")


@pytest.mark.parametrize(
    ("name", "value"),
    [("QDRANT_SHARDS", "some"), ("MINIO_SECURE", "maybe"), ("QDRANT_PREFIX", "a/b")],
)
def test_a_setting_that_does_not_fit_is_named_with_what_was_found(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(UsageError, match=f"{name} is '{value}': "):
        load_settings()
