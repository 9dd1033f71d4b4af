"""The commands that list and show the receipts of erasures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry.cli import cli
from registry.core.opening import open_registry
from registry.errors import StoreCorrupt, UnknownError
from tests.support.factories import person, video
from tests.support.registries import new_registry, who

PARK, BEACH = video("park", [person(0)]), video("beach", [person(1)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with new_registry(tmp_path / "home", PARK, BEACH):
        return tmp_path / "home"


def call(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "receipts", *arguments])


def test_receipts_are_listed_and_shown(home: Path, tmp_path: Path) -> None:
    assert call(home, "list").stdout == "Nothing was erased here.\n"
    assert json.loads(call(home, "list", "--json").stdout) == {"receipts": []}
    saved = CliRunner().invoke(cli, ["--home", str(home), "backup", str(tmp_path / "saved.zip")])
    assert saved.exit_code == 0
    with open_registry(home=home) as registry:
        removed = registry.remove_videos([BEACH.video_id])
        forgotten = registry.forget(who(registry, PARK), block=True)
    listed = call(home, "list")
    lines = sorted(line.split("  ")[0] for line in listed.stdout.splitlines()[1:])
    assert lines == sorted(one["receipt"][:8] for one in (removed, forgotten))
    assert "1 video, 1 face, 1 crop, 1 identity" in listed.stdout
    documents = json.loads(call(home, "list", "--json").stdout)["receipts"]
    assert sorted(documents, key=str) == sorted([removed, forgotten], key=str)
    shown = call(home, "show", forgotten["receipt"][:8])
    assert f"Erasure of a person, {forgotten['at']}" in shown.stdout
    assert f"Block {forgotten['block']['id']} keeps a template" in shown.stdout
    assert f"  backup   {tmp_path / 'saved.zip'}  (" in shown.stdout
    assert "backups made before" in shown.stderr
    assert json.loads(call(home, "show", removed["receipt"], "--json").stdout) == removed


def test_a_receipt_that_is_not_there_or_damaged_is_said(home: Path) -> None:
    missing = call(home, "show", "abcd1234")
    assert isinstance(missing.exception, UnknownError)
    assert "`face-registry receipts list` lists all" in str(missing.exception)
    with open_registry(home=home) as registry:
        receipt = registry.remove_videos([BEACH.video_id])["receipt"]
        with registry.writing():
            registry.blobs.put(f"receipts/{receipt}.json", b"[]")
    for command in (["list"], ["show", receipt]):
        assert isinstance(call(home, *command).exception, StoreCorrupt)
