"""Who is who after a change of the model: what people said holds, the rest follows the rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import ids
from registry.changing.reassignment import named_identities, reassign
from registry.core.decisions import Decision, DecisionKind, View, fold
from registry.domain import Face, Vectors, Video
from tests.support.factories import person, video

THRESHOLD = 0.85


def _videos(*embeddings: Sequence[tuple[str, Vectors]]) -> list[Video]:
    """Videos of faces, each an old identity (a letter) and a new embedding."""
    found = []
    for number, rows in enumerate(embeddings):
        one = video(f"v{number}", [embedding for _, embedding in rows])
        named = zip(one.faces, rows, strict=True)
        found.append(
            replace(
                one,
                run=f"run-{number}",
                faces=tuple(replace(f, identity_id=ids.identity_id(w)) for f, (w, _) in named),
            )
        )
    return found


def _groups(videos: Sequence[Video], after: dict[str, str]) -> list[str]:
    """The identity of each face, letters for ids in order of their first face."""
    letters: dict[str, str] = {}
    faces = [f for one in videos for f in one.faces]
    return [letters.setdefault(after[f.face_id], chr(97 + len(letters))) for f in faces]


ANN, BEA, CLEO = (ids.identity_id(who) for who in "abc")


def test_the_rule_groups_anew_what_nobody_spoke_of() -> None:
    """One identity is split and two are joined; each id stays with most of its faces."""
    videos = _videos(
        [("a", person(0)), ("a", person(1)), ("a", person(1))], [("b", person(2)), ("c", person(2))]
    )
    after = reassign(videos, [], THRESHOLD)
    assert _groups(videos, after) == ["a", "b", "b", "c", "c"]
    given_ids = [after[f.face_id] for one in videos for f in one.faces]
    assert given_ids[1] == ANN
    assert given_ids[3] == BEA
    assert len({*given_ids}) == 3


def test_a_named_identity_keeps_its_faces_and_gains_those_alike() -> None:
    videos = _videos([("b", person(1))], [("a", person(0)), ("a", person(1)), ("c", person(2))])
    after = reassign(videos, [Decision(1, DecisionKind.NAME, ANN, name="Ann")], THRESHOLD)
    assert [after[f.face_id] for one in videos for f in one.faces] == [ANN, ANN, ANN, CLEO]


def test_a_decision_that_was_undone_keeps_nothing_together() -> None:
    videos = _videos([("a", person(0)), ("a", person(1))])
    log = [
        Decision(1, DecisionKind.NAME, ANN, name="Ann"),
        Decision(2, DecisionKind.UNDO, undoes=1),
    ]
    assert _groups(videos, reassign(videos, log, THRESHOLD)) == ["a", "b"]


def test_two_who_were_separated_stay_two_however_alike_they_become() -> None:
    videos = _videos([("a", person(0))], [("b", person(0)), ("c", person(0))])
    after = reassign(videos, [Decision(1, DecisionKind.SEPARATE, ANN, (BEA,))], THRESHOLD)
    assert _groups(videos, after)[:2] == ["a", "b"]


def test_a_registry_without_faces_has_nothing_to_assign() -> None:
    assert reassign([], [], THRESHOLD) == {}
    assert reassign([video("empty", [])], [], THRESHOLD) == {}


_LETTERS = "abcde"
_IDS = [ids.identity_id(letter) for letter in _LETTERS]


@st.composite
def _registries(draw: st.DrawFn) -> tuple[list[Video], list[Decision]]:
    rows = st.lists(
        st.tuples(st.sampled_from(_LETTERS), st.builds(person, st.integers(0, 3), st.floats(0, 2))),
        max_size=4,
    )
    videos = _videos(*draw(st.lists(rows, min_size=1, max_size=4)))
    known = [f for one in videos for f in one.faces]
    log: list[Decision] = []
    for number in range(1, draw(st.integers(0, 6)) + 1):
        decision = draw(_decisions(number, known))
        if not fold([*log, decision]).conflicts:
            log.append(decision)
        else:
            log.append(Decision(number, DecisionKind.VOID))
    return videos, log


@st.composite
def _decisions(draw: st.DrawFn, number: int, known: Sequence[Face]) -> Decision:
    kind = draw(st.sampled_from(list(DecisionKind)))
    one, other, third = draw(st.permutations(_IDS))[:3]
    faces = tuple(f.face_id for f in known if f.identity_id == one)
    if kind is DecisionKind.SPLIT and faces:
        leaving = draw(st.lists(st.sampled_from(faces), min_size=1, unique=True))
        return Decision(number, kind, one, (), tuple(leaving))
    if kind is DecisionKind.UNDO and number > 1:
        return Decision(number, kind, undoes=draw(st.integers(1, number - 1)))
    if kind is DecisionKind.CONSOLIDATE:
        return Decision(number, kind, groups=((one, other, third),))
    if kind in (DecisionKind.MERGE, DecisionKind.SEPARATE):
        return Decision(number, kind, one, (other,))
    return Decision(number, DecisionKind.NAME, one, name=draw(st.sampled_from(["", "Ann", "Bea"])))


def _after(videos: Sequence[Video], given_ids: dict[str, str]) -> list[Face]:
    return [
        replace(f, identity_id=given_ids[f.face_id]) for one in videos for f in one.faces
    ]  # fmt: skip


def _spoken(view: View, log: Sequence[Decision], one: Face) -> bool:
    """Whether a decision that stands names the identity of a face, or one that it was merged of."""
    return view.identity_of(one) in {view.root(i) for i in named_identities(log)}


@settings(max_examples=80)
@given(_registries())
def test_what_people_said_holds_whatever_the_new_model_says(
    registry: tuple[list[Video], list[Decision]],
) -> None:
    videos, log = registry
    view = fold(log)
    before = [f for one in videos for f in one.faces]
    after = _after(videos, reassign(videos, log, THRESHOLD))
    for old, new in zip(before, after, strict=True):
        if _spoken(view, log, old):
            assert view.origin_of(old) == view.origin_of(new), "so each entry can be undone"
        if view.name_of(view.identity_of(old)):
            assert view.identity_of(new) == view.identity_of(old)
    apart = [
        (i, j)
        for i, one in enumerate(before)
        for j, other in enumerate(before)
        if view.separated(view.origin_of(one), view.origin_of(other)) is not None
    ]
    assert all(view.identity_of(after[i]) != view.identity_of(after[j]) for i, j in apart)


@settings(max_examples=40)
@given(_registries())
def test_an_identity_that_nobody_spoke_of_is_reached_by_the_rule(
    registry: tuple[list[Video], list[Decision]],
) -> None:
    """No two faces are one identity anew but by a chain of similarities at or above the threshold;
    and the same input gives the same answer, in whatever order the records come."""
    videos, log = registry
    view = fold(log)
    given_ids = reassign(videos, log, THRESHOLD)
    assert given_ids == reassign(videos[::-1], log, THRESHOLD)
    groups: dict[str, list[Face]] = defaultdict(list)
    for old, new in zip(
        (f for one in videos for f in one.faces), _after(videos, given_ids), strict=True
    ):
        if not _spoken(view, log, old):
            groups[new.identity_id].append(old)
    free = {view.identity_of(f) for one in videos for f in one.faces if _spoken(view, log, f)}
    for identity, group in groups.items():
        if identity not in free and view.root(identity) not in free:
            vectors = np.stack([f.embedding for f in group])
            linked = vectors @ vectors.T >= THRESHOLD - 1e-6
            reached = {0}
            while wider := {int(j) for i in reached for j in np.flatnonzero(linked[i])} - reached:
                reached |= wider
            assert reached == set(range(len(group)))
