"""Decisions that warn, names that go along with faces, and what people type for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry import ids
from registry.cli import cli
from registry.core.decisions import Decision, DecisionKind
from registry.core.registry import Registry
from registry.domain import Box, Video
from registry.errors import UnknownError, UsageError
from registry.people.corrections import FaceSelection, merge, merge_warnings, split, undo
from tests.support.factories import face, person, video
from tests.support.registries import dump, new_registry, who
from tests.support.terminal_session import run_on_terminal


def side_by_side(name: str, *people: int) -> Video:
    empty = video(name, [])
    faces = [face(empty.video_id, 0, person(p), position=i) for i, p in enumerate(people)]
    placed = [
        replace(f, box=Box(100.0 * i, 0.0, 100.0 * i + 50, 60.0)) for i, f in enumerate(faces)
    ]
    return replace(empty, faces=tuple(placed))


A = video("a", [person(0), person(0, 0.1)])
B = video("b", [person(1), person(1, 0.1)])
C = video("c", [person(2)])
TOGETHER = side_by_side("together", 3, 4)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry", A, B, C, TOGETHER) as opened:
        yield opened


def test_people_are_found_by_names_without_case_and_accents_and_by_ids_without_case(
    registry: Registry,
) -> None:
    ann, ben = who(registry, A), who(registry, B)
    registry.name(ann, "Änn Émile")
    registry.name(ben, "ANN EMILE")
    assert registry.identity("ANN EMILE").identity_id == ben  # exactly his name
    with pytest.raises(UnknownError) as refused:
        registry.identity("ann emile")
    assert f"{ann} (Änn Émile)" in str(refused.value)
    assert f"{ben} (ANN EMILE)" in str(refused.value)
    registry.name(ben, "")
    for text in ("ann emile", "ÄNN  ÉMILE", ann.upper(), ann[:8].upper(), f"{ann[:12]}".upper()):
        assert registry.identity(text).identity_id == ann


def test_a_text_that_is_a_name_and_an_id_is_ambiguous(registry: Registry) -> None:
    ann, ben = who(registry, A), who(registry, B)
    for name in (ben[:8], ben):  # an earlier version took such a name
        registry.decide(Decision(0, DecisionKind.NAME, ann, name=name))
        with pytest.raises(UnknownError) as refused:
            registry.identity(name)
        assert f"2 identities: {min(ann, ben)}" in str(refused.value)
        assert f"{ann} ({name})" in str(refused.value)
    assert registry.identity(ann).identity_id == ann


@pytest.mark.parametrize("name", ["1a2b", "12345678", "1A2B3C4D-", "deadbeef", ids.video_id("x")])
def test_a_name_that_looks_like_an_id_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError, match="looks like an id"):
        registry.name(who(registry, A), name)
    assert registry.decisions.entries() == []


@pytest.mark.parametrize("name", ["Abba", "Dad", "R2D2", "123", "Person 12345678"])
def test_a_name_that_only_resembles_an_id_is_a_name(registry: Registry, name: str) -> None:
    registry.name(who(registry, A), name)
    assert registry.identity(name.upper()).identity_id == who(registry, A)


def test_a_merge_of_people_side_by_side_or_with_two_names_warns(registry: Registry) -> None:
    ann, ben, third = who(registry, A), who(registry, B), who(registry, C)
    left, right = who(registry, TOGETHER, 0), who(registry, TOGETHER, 1)
    assert merge_warnings(registry, [ann, ben, third]) == []
    [warning] = merge_warnings(registry, [ann, left, right])
    assert "probably two people. They are side by side in" in warning
    assert "together.mp4 at 0.0 s" in warning
    registry.name(ann, "Ann")
    assert merge_warnings(registry, [ben, ann]) == []
    registry.name(ben, "Ben")
    [warning] = merge_warnings(registry, [ben, third, ann])
    assert "have different names. The name Ben stays, and Ann is no longer used." in warning
    merge(registry, [ben, third, ann])
    assert registry.identity(ann[:8] if ann == ben else ben).name == "Ben"


def test_a_name_goes_along_with_the_faces_that_it_was_given_to(registry: Registry) -> None:
    ann, ben, third = who(registry, A), who(registry, B), who(registry, C)
    registry.name(ann, "Ann")
    registry.name(ben, "Ben")
    merge(registry, [ann, ben, third])
    before = dump(registry)
    decision = split(registry, "Ann", FaceSelection(videos=(A.video_id,)))
    assert decision.name == "Ann"
    assert registry.identity("Ann").identity_id == decision.new_identity == who(registry, A)
    assert registry.identity("Ben").identity_id == who(registry, B) == who(registry, C)
    registry.reindex()
    assert registry.identity("Ben").identity_id == who(registry, B)
    undo(registry)
    assert dump(registry) == before


def test_a_name_stays_where_some_of_its_faces_stay(registry: Registry) -> None:
    ann, ben = who(registry, A), who(registry, B)
    merge(registry, [ann, ben])
    registry.name(ann, "Ann")  # to both
    decision = split(registry, "Ann", FaceSelection(videos=(A.video_id,)))
    assert decision.name == ""
    assert registry.identity("Ann").identity_id == who(registry, B)
    undo(registry)
    first = FaceSelection(faces=(f"{A.video_id[:8].upper()}:0:0",))
    assert split(registry, "Ann", first).name == ""
    assert registry.identity("Ann").identity_id == who(registry, A, 1) != who(registry, A, 0)


def test_a_name_that_went_along_is_forgotten_with_its_person(registry: Registry) -> None:
    registry.name(who(registry, A), "Ann")
    merge(registry, [who(registry, A), who(registry, B)])
    split(registry, "Ann", FaceSelection(videos=(A.video_id,)))
    registry.forget("Ann")
    assert {decision.name for decision in registry.decisions.entries()} == {""}
    assert registry.identity(who(registry, B)).name == ""


def call(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "identities", *arguments])


def test_merge_asks_and_split_takes_what_show_prints(registry: Registry, tmp_path: Path) -> None:
    left, right = who(registry, TOGETHER, 0), who(registry, TOGETHER, 1)
    registry.close()
    home = tmp_path / "registry"
    unanswered = call(home, "merge", left, right)
    assert isinstance(unanswered.exception, UsageError)
    assert "Repeat with --yes" in str(unanswered.exception)
    assert "warning:" in unanswered.stderr
    declined = run_on_terminal(home, "identities", "merge", left, right, answer="n")
    assert (declined.exit_code, "Nothing was changed." in declined.text) == (1, True)
    agreed = run_on_terminal(home, "identities", "merge", left, right, answer="y")
    assert (agreed.exit_code, "2 faces now" in agreed.text) == (0, True)
    assert call(home, "undo").exit_code == 0
    assert "2 faces now" in call(home, "merge", left[:8].upper(), right, "--yes").stdout
    shown = call(home, "show", left, "--faces").stdout
    tracks = re.findall(r"^    track (\S+)  0\.0-0\.0 s, 1 face: (\S+)$", shown, re.M)
    faces = re.findall(r"^      face (\S+)  0\.0 s, quality", shown, re.M)
    assert tracks == [
        (f"{TOGETHER.video_id[:8]}:{n}", f"{TOGETHER.video_id[:8]}:{n}:0") for n in (0, 1)
    ]
    assert faces == [face for _, face in tracks]
    assert "1 face is identity" in call(home, "split", left, "--face", faces[1]).stdout
    assert call(home, "undo").exit_code == 0
    assert "1 face is identity" in call(home, "split", left, "--track", tracks[1][0]).stdout
    refused = call(home, "split", left, "--face", f"{TOGETHER.video_id}:0:x")
    assert "VIDEO:N:FRAME" in str(refused.exception)
