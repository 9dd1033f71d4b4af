"""The commands about who is who, as a shell calls them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from registry.cli import cli
from registry.core import operating_point as operating
from registry.core.opening import open_registry
from registry.core.operating_point import CalibratedThreshold, Calibration
from registry.domain import Quality
from registry.errors import RegistryError, UsageError
from tests.support.factories import person, unit, video
from tests.support.registries import new_registry, who

A, B = video("a", [person(0), person(1)]), video("b", [person(0, 0.9)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def people(home: Path) -> tuple[str, str, str]:
    """One person under two identities, and another."""
    with new_registry(home, A, B) as registry:
        return who(registry, A), who(registry, B), who(registry, A, 1)


def _call(home: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit | RegistryError):
        raise result.exception
    return result


def _done(home: Path, *arguments: str) -> Result:
    result = _call(home, *arguments)
    assert result.exit_code == 0, result.output
    return result


def _json(home: Path, *arguments: str) -> Any:
    return json.loads(_done(home, *arguments, "--json").stdout)


def _identities(home: Path) -> set[str]:
    return {i["identity"] for i in _json(home, "identities", "list")["identities"]}


def test_merge_and_undo(home: Path, people: tuple[str, str, str]) -> None:
    one, other, third = people
    done = _done(home, "identities", "merge", one[:8], other)
    assert f"{one} has 2 videos and 2 faces now." in done.stdout
    assert "identities undo 1" in done.stderr
    assert _identities(home) == {one, third}
    assert "Decision 1 (merge) no longer counts." in _done(home, "identities", "undo").stdout
    assert _identities(home) == set(people)


def test_split_by_track(home: Path, people: tuple[str, str, str]) -> None:
    one, other, _ = people
    _done(home, "identities", "merge", one, other)
    split = _done(home, "identities", "split", one, "--track", f"{B.video_id}:0")
    assert split.stdout.startswith("1 face is identity ")
    assert len(_identities(home)) == 3
    refused = _call(home, "identities", "split", one)
    assert isinstance(refused.exception, RegistryError)
    assert "--video, --track or --face" in str(refused.exception)


def test_separate_is_named_by_what_it_forbids(home: Path, people: tuple[str, str, str]) -> None:
    one, other, _ = people
    _done(home, "identities", "separate", one, other)
    refused = _call(home, "identities", "merge", one, other)
    assert "identities undo 1" in str(refused.exception)
    assert _json(home, "identities", "suggest") == {"suggestions": []}


def test_suggest_then_consolidate(home: Path, people: tuple[str, str, str]) -> None:
    one, other, third = people
    [found] = _json(home, "identities", "suggest")["suggestions"]
    assert {found["stays"]["identity"], found["joins"]["identity"]} == {one, other}
    text = _done(home, "identities", "suggest").stdout
    assert found["stays"]["identity"][:8] in text
    assert found["joins"]["crop"] in text
    report = _done(home, "report")
    assert "1 of 3 identities is likely a duplicate" in report.stderr
    assert "face-registry identities consolidate" in report.stderr
    assert _json(home, "report")["likely_duplicates"] == 1
    done = _json(home, "identities", "consolidate")
    assert (done["decision"], done["joined"], done["identities"]) == (1, 1, 2)
    assert third in _identities(home)
    assert _json(home, "report")["likely_duplicates"] == 0
    assert "likely duplicates" not in _done(home, "report").stderr
    again = _done(home, "identities", "consolidate")
    assert "0 identities joined others. There are 2 identities now." in again.stdout


def test_a_threshold_that_is_given_goes_first(home: Path, people: tuple[str, str, str]) -> None:
    assert _json(home, "identities", "suggest", "--threshold", "0.8") == {"suggestions": []}
    assert _json(home, "identities", "consolidate", "--threshold", "0.8")["joined"] == 0
    assert _json(home, "identities", "consolidate", "--threshold", "0.7")["joined"] == 1


def test_a_calibration_of_another_model_is_named(home: Path, people: tuple[str, str, str]) -> None:
    line = CalibratedThreshold(
        0.99, 0.9, 1.0, 1e-4, 1e-4, 1e-6, 1e-3, "moved", 0.4, 40, 20, 20, 18.0
    )
    with open_registry(home=home) as registry:
        operating.save_calibration(
            registry, Calibration("other", "e" * 64, line, line, ((0.2, 0.5), (0.5, 1e-4)))
        )
    for command in ("suggest", "consolidate"):
        assert "another model (other" in _done(home, "identities", command).stderr
    assert "another model (other" in _json(home, "status")["thresholds"]["source"]
    _done(home, "calibrate", "--reset")
    assert _json(home, "status")["thresholds"]["source"].startswith("shipped")


def test_the_log_of_decisions(home: Path, people: tuple[str, str, str]) -> None:
    _done(home, "identities", "name", people[0], "Ann")
    _done(home, "identities", "undo", "1")
    first, second = _json(home, "identities", "list", "--decisions")["decisions"]
    assert (first["kind"], first["name"], first["counts"]) == ("name", "Ann", False)
    assert (second["kind"], second["undoes"], second["counts"]) == ("undo", 1, True)
    assert "undone by 2" in _done(home, "identities", "list", "--decisions").stdout
    assert "no decision 7" in str(_call(home, "identities", "undo", "7").exception)


def test_report_as_of(home: Path, people: tuple[str, str, str], tmp_path: Path) -> None:
    before = _json(home, "report")["rows"]
    _done(home, "identities", "consolidate")
    earlier = _json(home, "report", "--as-of", "0")
    assert (earlier["rows"], earlier["as_of"]) == (before, 0)
    refused = _call(home, "report", "--as-of", "0", "--zip", str(tmp_path / "faces.zip"))
    assert "--zip" in str(refused.exception)
    assert not (tmp_path / "faces.zip").exists()


def test_an_id_that_joined_another_says_which(home: Path, people: tuple[str, str, str]) -> None:
    one, other, third = people
    _done(home, "identities", "merge", one, other)
    _done(home, "identities", "merge", third, one)
    for key in (other, other[:8], one[:8]):
        gone = _call(home, "identities", "show", key)
        assert gone.exit_code == 1
        assert f"Identity {key!r} was merged into {third}" in str(gone.exception)
    assert "There is no identity '00000000'" in str(
        _call(home, "identities", "show", "00000000").exception
    )
    _done(home, "identities", "undo", "2")
    assert f"merged into {one}." in str(_call(home, "identities", "show", other).exception)
    _done(home, "identities", "undo", "1")
    _done(home, "identities", "show", other)


def test_a_name_is_one_line_of_text(home: Path, people: tuple[str, str, str]) -> None:
    one = people[0]
    decomposed = "Zoe\N{COMBINING DIAERESIS}"
    named = _done(home, "identities", "name", one, f"  {decomposed}\n  李 ")
    assert "is now named 'Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} 李'." in named.stdout
    assert "identities undo 1" in named.stderr
    assert _json(home, "identities", "show", f"{decomposed} 李")["identity"] == one
    unprintable = "cannot be printed"
    for bad, why in (("a\x1b[31m", unprintable), ("\udcff", unprintable), (" ", "only contains")):
        refused = _call(home, "identities", "name", one, bad)
        assert isinstance(refused.exception, UsageError)
        assert why in str(refused.exception)
    assert "200 are allowed" in str(_call(home, "identities", "name", one, "a" * 201).exception)
    assert "has no name now" in _done(home, "identities", "name", one, "").stdout
    assert "no identity ''" in str(_call(home, "identities", "show", "").exception)


def test_two_of_one_name_are_told_of(home: Path, people: tuple[str, str, str]) -> None:
    one, other, _ = people
    assert "called so" not in _done(home, "identities", "name", one, "Sam").stderr
    assert (
        f"Other identities with this name: {one[:8]}."
        in _done(home, "identities", "name", other, "Sam").stderr
    )
    both = str(_call(home, "identities", "show", "Sam").exception)
    assert one in both
    assert other in both
    _done(home, "identities", "merge", one, other)
    assert _json(home, "identities", "show", "Sam")["identity"] == one


def test_no_threshold_that_is_no_number(home: Path, people: tuple[str, str, str]) -> None:
    for command in (("identities", "suggest"), ("identities", "consolidate")):
        assert _call(home, *command, "--threshold", "nan").exit_code == 2
    assert _call(home, "ingest", "none.csv", "--threshold", "nan").exit_code == 2
    assert _call(home, "lookup", "none.jpg", "--threshold", "nan").exit_code == 2


def test_times_of_decisions_are_whole(home: Path, people: tuple[str, str, str]) -> None:
    _done(home, "identities", "name", people[0], "A long name " * 12)
    [decision] = _json(home, "identities", "list", "--decisions")["decisions"]
    assert decision["at"] in _done(home, "identities", "list", "--decisions").stdout


def test_suggest_counts_as_consolidate_and_reports_do(home: Path) -> None:
    """A poor face that goes to somebody is no duplicate: lists do not show it."""
    poor = video("c", [unit(1, 0, 0, 0, 0, 0.6, 0, 0.4)])  # below the rule to both
    faces = tuple(replace(face, quality=Quality(0.5, ("blurred",))) for face in poor.faces)
    new_registry(home, A, B, replace(poor, faces=faces)).close()
    told = _done(home, "identities", "suggest", "--threshold", "0.5")
    done = _done(home, "identities", "consolidate", "--threshold", "0.5")
    assert "would join 1, and 1 of a few poor faces, which lists leave out." in told.stderr
    assert "1 identity joined others. There are 2 identities now." in done.stdout
