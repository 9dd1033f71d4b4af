"""Answers from a report page: one decision each, and what no longer applies is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from registry.cli import cli
from registry.core.decisions import DecisionKind
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.people import corrections
from registry.people.answers import FORMAT, apply_answers, load_answers, plan_answers
from registry.people.corrections import FaceSelection
from registry.settings import load_settings
from tests.support.factories import contract, person, video
from tests.support.registries import put

A, B, C, D = range(4)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Four people; the first is in two videos."""
    with open_registry(load_settings(home=tmp_path / "home")) as opened:
        opened.establish(contract())
        put(
            opened,
            video("a", [person(A), person(B)]),
            video("b", [person(C), person(D)]),
            video("c", [person(A, 0.1)]),
        )
        yield opened


def identities(registry: Registry) -> list[str]:
    """The ids of the four people."""
    faces = {
        face.video_url.exposed()[-5:-4] + str(face.frame): face for face in registry.index.faces()
    }
    return [faces[key].identity_id for key in ("a0", "a10", "b0", "b10")]


def saved(of: Registry, path: Path, *answers: tuple[str, str, str], **changed: Any) -> Path:
    """A file of answers for this registry as it is now."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "registry": of.contract.registry_id,
        "model": of.contract.model.digest,
        "decisions": len(of.decisions.entries()),
        "made": "2026-11-27",
        "answers": [
            {"first": first, "second": second, "answer": answer}
            for first, second, answer in answers
        ],
    }
    path.write_text(json.dumps(body | changed))
    return path


def run(registry: Registry, path: Path, *options: str) -> Result:
    """The command on the registry, which is closed before."""
    registry.close()
    home = str(path.parent / "home")
    return CliRunner().invoke(cli, ["--home", home, "identities", "answer", str(path), *options])


def test_each_answer_is_one_decision(registry: Registry, tmp_path: Path) -> None:
    a, b, c, d = identities(registry)
    path = saved(registry, tmp_path / "f.json", (a, b, "same"), (c, d, "different"))
    planned = plan_answers(registry, load_answers(path))
    assert [one.reason for one in planned] == ["", ""]
    assert registry.decisions.entries() == []
    made = apply_answers(registry, planned)
    assert [one.kind for one in made] == [DecisionKind.MERGE, DecisionKind.SEPARATE]
    assert registry.view.root(b) == a and registry.view.separated(c, d) == 2
    corrections.undo(registry, 1)
    assert registry.view.root(b) == b and registry.view.separated(c, d) == 2


def test_answers_of_one_file_build_on_each_other(registry: Registry, tmp_path: Path) -> None:
    a, b, c, d = identities(registry)
    path = saved(
        registry, tmp_path / "f.json",
        (a, b, "same"), (b, c, "same"), (a, c, "same"), (c, d, "different"), (a, d, "same"),
    )  # fmt: skip
    planned = plan_answers(registry, load_answers(path))
    assert [bool(one.reason) for one in planned] == [False, False, True, False, True]
    assert planned[4].reason == "become two people by an earlier answer of the file"
    apply_answers(registry, planned)
    assert {registry.view.root(one) for one in (a, b, c)} == {a}
    assert registry.view.separated(a, d) is not None


def test_what_was_decided_since_is_left_out(registry: Registry, tmp_path: Path) -> None:
    a, b, c, d = identities(registry)
    path = saved(
        registry, tmp_path / "f.json",
        (a, b, "same"), (b, a, "same"), (c, d, "same"),
    )  # fmt: skip
    with pytest.raises(UsageError, match="has two answers"):
        load_answers(path)
    path = saved(registry, tmp_path / "f.json", (a, b, "different"), (c, d, "same"))
    corrections.merge(registry, (a, b))
    corrections.separate(registry, c, d)
    first, second = plan_answers(registry, load_answers(path))
    assert "were merged since" in first.reason
    assert "decision 2 says that they are two people" in second.reason
    assert apply_answers(registry, [first, second]) == []


def test_who_was_merged_since_is_meant_by_both_ids(registry: Registry, tmp_path: Path) -> None:
    a, b, c, _ = identities(registry)
    path = saved(registry, tmp_path / "f.json", (b, c, "different"))
    corrections.merge(registry, (a, b))
    [one] = plan_answers(registry, load_answers(path))
    assert (one.reason, one.first) == ("", a)
    apply_answers(registry, [one])
    assert registry.view.separated(a, c) is not None


def test_who_was_split_or_forgotten_since_is_left_out(registry: Registry, tmp_path: Path) -> None:
    a, b, c, d = identities(registry)
    path = saved(registry, tmp_path / "f.json", (a, b, "same"), (c, d, "same"))
    corrections.split(registry, a, FaceSelection(videos=("https://example.com/c.mp4",)))
    registry.forget(d)
    first, second = plan_answers(registry, load_answers(path))
    assert first.reason == f"decision 1 changed {a[:8]} since"
    assert second.reason == f"{d[:8]} is no longer on record"


def test_an_undone_merge_is_a_change(registry: Registry, tmp_path: Path) -> None:
    a, b, c, _ = identities(registry)
    corrections.merge(registry, (a, b))
    path = saved(registry, tmp_path / "f.json", (a, c, "same"))
    corrections.undo(registry)
    [one] = plan_answers(registry, load_answers(path))
    assert one.reason == f"decision 2 changed {a[:8]} since"


def test_a_new_name_is_no_change(registry: Registry, tmp_path: Path) -> None:
    a, _, c, _ = identities(registry)
    path = saved(registry, tmp_path / "f.json", (a, c, "same"))
    registry.name(a, "Anna")
    corrections.undo(registry)
    assert plan_answers(registry, load_answers(path))[0].reason == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"registry": "other"}, "for the registry other"),
        ({"model": "0" * 64}, "another model"),
        ({"decisions": 5}, "restored from an earlier backup"),
    ],
)
def test_answers_for_something_else_are_refused(
    registry: Registry, tmp_path: Path, changed: Mapping[str, Any], message: str
) -> None:
    a, b, *_ = identities(registry)
    path = saved(registry, tmp_path / "f.json", (a, b, "same"), **changed)
    with pytest.raises(UsageError, match=message):
        plan_answers(registry, load_answers(path))


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{", '{"format": "face-registry answers 2"}', "\x00\xff",
        '{"format": "face-registry answers 1", "registry": "a", "model": "b", "decisions": 0, '
        '"answers": [{"first": "x", "second": "y", "answer": "same"}]}',
        '{"format": "face-registry answers 1", "registry": "a", "model": "b", "decisions": 0, '
        '"answers": []}',
    ],
)  # fmt: skip
def test_what_is_not_a_file_of_answers_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not a file of answers"):
        load_answers(path)


def test_a_pair_of_one_identity_is_refused(registry: Registry, tmp_path: Path) -> None:
    a, *_ = identities(registry)
    with pytest.raises(UsageError, match=r"names .+ twice"):
        load_answers(saved(registry, tmp_path / "f.json", (a, a, "same")))


def test_a_file_that_is_missing_or_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"f\.json cannot be read"):
        load_answers(tmp_path / "f.json")
    (tmp_path / "f.json").write_bytes(b" " * 5_000_001)
    with pytest.raises(UsageError, match="larger than"):
        load_answers(tmp_path / "f.json")


def test_the_command_asks_and_shows_a_plan(registry: Registry, tmp_path: Path) -> None:
    a, b, c, d = identities(registry)
    registry.name(a, "Anna")
    registry.name(b, "Ben")
    path = saved(registry, tmp_path / "f.json", (a, b, "same"), (c, d, "different"))
    plan = run(registry, path, "--plan")
    assert plan.exit_code == 0
    assert f"{a[:8]} and {b[:8]}: one person" in plan.stdout
    assert "different names" in plan.stderr and "2 decisions would be made" in plan.stderr
    refused = run(registry, path)
    assert isinstance(refused.exception, UsageError)
    assert f"{c[:8]} and {d[:8]}: two people" in refused.stderr
    assert "Repeat with --yes" in str(refused.exception)
    done = run(registry, path, "--yes")
    assert done.exit_code == 0 and "2 decisions made, 0 left out" in done.stderr
    again = run(registry, path, "--yes", "--json")
    document = json.loads(again.stdout)["answers"]
    assert [one["decision"] for one in document] == [None, None]
    assert document[0]["left_out"] == "are one person already"
