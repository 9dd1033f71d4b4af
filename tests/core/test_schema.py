"""From one schema to the next, forward only, and again after a crash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from registry.blobs.base import BlobStore
from registry.blobs.folder import FolderStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.records import SCHEMA
from registry.core.registry import Registry
from registry.core.schema import STEPS, Step, latest, upgrade
from registry.domain import Contract
from registry.errors import ContractError
from registry.settings import load_settings
from registry.store.edge import EdgeStore
from tests.support import factories


def contract(schema: int = 1) -> Contract:
    return replace(factories.contract(), schema=schema)


def _add(blobs: BlobStore) -> None:
    blobs.put("added/1", b"by the step from 1")


def _use(blobs: BlobStore) -> None:
    blobs.put("added/2", blobs.get("added/1"))


def _registry(home: Path, *steps: Step) -> Registry:
    blobs, store = FolderStore(home / "objects"), EdgeStore(home / "index")
    return Registry(load_settings(home=home), blobs, store, steps=steps)


def _schema(blobs: BlobStore) -> int:
    return int(json.loads(blobs.get(keys.CONTRACT))["schema"])


def test_this_version_has_a_step_for_each_schema_before_its_own() -> None:
    assert latest(STEPS) == len(STEPS) + 1


def test_opening_brings_an_older_registry_up_step_by_step(tmp_path: Path) -> None:
    with _registry(tmp_path) as old:
        old.establish(contract())
    with _registry(tmp_path, Step(1, _add), Step(2, _use)) as opened:
        assert opened.blobs.get("added/2") == b"by the step from 1"
        assert opened.contract.schema == 3
    with _registry(tmp_path, Step(1, _fail), Step(2, _fail)) as again:
        assert again.contract.schema == 3


def _fail(blobs: BlobStore) -> None:
    raise OSError("cut off")


def test_a_step_that_was_cut_off_runs_again_and_those_before_it_do_not(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    contracts.save(blobs, contract())
    with pytest.raises(OSError, match="cut off"):
        upgrade(blobs, [Step(1, _add), Step(2, _fail)])
    assert _schema(blobs) == 2
    assert upgrade(blobs, [Step(1, _fail), Step(2, _use)]) == 1
    assert _schema(blobs) == 3


def test_a_newer_registry_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with _registry(tmp_path) as newer:
        newer.establish(contract(SCHEMA))
        upgrade(newer.blobs.unguarded, [Step(SCHEMA, _add)])
    with pytest.raises(ContractError, match="Upgrade face-registry"):
        _registry(tmp_path)


def test_one_that_no_step_starts_at_is_refused(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    contracts.save(blobs, contract())
    with pytest.raises(ContractError, match="earlier version first"):
        upgrade(blobs, [Step(2, _use)])


def test_steps_that_do_not_follow_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="from schema 2 to 3"):
        latest([Step(1, _add), Step(3, _add)])
