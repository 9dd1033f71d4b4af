"""The corpus and chance, as far as ordinary tests go; `python -m tests.hostile` is the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.corpus import Case, prepare
from tests.hostile.fuzz import TARGETS, fuzz
from tests.hostile.harness import Outcome, Report, listing, strike, verdict, verdict_alone


def _struck(tmp_path: Path, *kinds: str) -> None:
    report = strike(tmp_path, kinds)
    assert report.outcomes
    assert report.bad() == []


def test_no_file_in_a_table_harms_more_than_its_row(tmp_path: Path) -> None:
    _struck(tmp_path, "files")


@pytest.mark.slow
def test_no_server_harms_more_than_its_row(tmp_path: Path) -> None:
    _struck(tmp_path, "servers")


@pytest.mark.slow
def test_no_table_and_no_photo_harms_anything(tmp_path: Path) -> None:
    _struck(tmp_path, "tables", "photos")


@pytest.mark.parametrize("target", TARGETS)
def test_only_our_own_errors_come_out(target: str) -> None:
    fuzz(target, 20)


# --- the harness itself --------------------------------------------------------------------------


def test_what_must_not_be_is_noticed(tmp_path: Path) -> None:
    box, _ = prepare(tmp_path / "sandbox", "http://127.0.0.1:9")
    before = listing(box)
    box.home.mkdir()
    (box.home / "inside").write_text("x")
    assert listing(box) == before
    (box.table / "outside").write_text("x")
    (box.other / "secret.txt").write_text("changed")
    after = listing(box)
    assert {path for path in after if after[path] != before.get(path)} == {
        "table", "table/outside", "other/secret.txt",
    } - ({"table"} if after["table"] == before["table"] else set())  # fmt: skip


def test_a_crash_is_called_one() -> None:
    case = Case("kind", "cell")
    said = {"code": 1, "out": "", "err": "Traceback (most recent call last)\n  File"}
    assert verdict_alone(case, said).verdict == "crashed"
    assert verdict_alone(case, None).verdict == "over time"
    assert verdict_alone(case, {"code": 1, "out": "", "err": "error: no"}).verdict == "refused"
    assert verdict_alone(case, {"code": 1, "out": "", "err": "no"}).verdict == "crashed"
    assert verdict("failed with an unexpected error (KeyError: 1).") == "crashed"
    assert verdict("two\nlines") == "crashed"
    report = Report([Outcome(case, "crashed", "")], ["x"], 1, ["y"])
    assert len(report.bad()) == 4
