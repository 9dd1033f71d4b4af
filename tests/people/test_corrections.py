"""What people say of identities sticks, and undoing it restores what was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.averages import averages
from registry.core.registry import Registry
from registry.errors import UnknownError, UsageError
from registry.people import joining
from registry.people.corrections import FaceSelection, hide, merge, separate, split, undo
from registry.people.joining import suggest
from registry.people.plausible import plausible_changes
from tests.support.factories import person, unit, video
from tests.support.registries import dump, new_registry, put, who

# Person 0 stands under three identities that the rule keeps apart and consolidation joins.
A = video("a", [person(0), person(0, 0.1), person(1)])
B = video("b", [person(0, 1.0), person(2)])
C = video("c", [person(0, -1.0), person(1, 0.1), person(3)])
D = video("d", [person(2, 0.1), person(3, 0.9)])
VIDEOS = (A, B, C, D)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry", *VIDEOS) as opened:
        yield opened


def test_a_merge_makes_one_of_two_and_undo_two_of_one(registry: Registry) -> None:
    before = dump(registry)
    first, second = who(registry, A), who(registry, B)
    decision = merge(registry, [first[:8], second])
    assert who(registry, B) == first
    assert registry.identity(first).videos == 2
    target, _ = undo(registry)
    assert target == decision
    assert dump(registry) == before


def test_a_third_joins_by_any_of_its_names(registry: Registry) -> None:
    registry.name(who(registry, C), "Ann")
    decision = merge(registry, [who(registry, A), who(registry, B), "Ann"])
    assert len(decision.others) == 2
    assert registry.identity("Ann").identity_id == who(registry, A) == who(registry, C)


def test_a_name_taken_back_after_a_merge_stays_away(registry: Registry) -> None:
    registry.name(who(registry, B), "Bea")
    merge(registry, [who(registry, A), who(registry, B)])
    registry.name("Bea", "")
    assert registry.identity(who(registry, A)).name == ""
    undo(registry, 2)
    assert registry.identity("Bea").identity_id == who(registry, B)


def test_an_identity_given_twice_is_refused(registry: Registry) -> None:
    identity = who(registry, A)
    with pytest.raises(UsageError, match=rf"'{identity[:8]}' are one identity, {identity}"):
        merge(registry, [identity, identity[:8]])
    with pytest.raises(UsageError, match="are one identity"):
        separate(registry, identity, identity)
    assert registry.decisions.entries() == []


def test_a_separated_pair_is_never_merged_and_the_decision_is_named(registry: Registry) -> None:
    first, second, third = who(registry, A), who(registry, B), who(registry, C)
    registry.name(first, "Ann")
    separate(registry, first, second)
    with pytest.raises(UsageError, match=r"Decision 2 says that .*\(Ann\).*undo 2"):
        merge(registry, [second, first])
    merge(registry, [third, second])
    with pytest.raises(UsageError, match="Decision 2"):
        merge(registry, [first, third])
    with pytest.raises(UsageError, match=r"Decision 2 says already that .* are two people"):
        separate(registry, first, third)
    undo(registry, 2)
    merge(registry, [first, third])
    assert who(registry, B) == first


@pytest.mark.parametrize(
    "part",
    [
        lambda: FaceSelection(videos=(C.url.exposed(),)),
        lambda: FaceSelection(videos=(C.video_id[:8],)),
        lambda: FaceSelection(tracks=(f"{C.video_id[:8]}:0",)),
        lambda: FaceSelection(faces=(C.faces[1].face_id,)),
        lambda: FaceSelection(faces=(C.faces[1].face_id[:13],)),
        lambda: FaceSelection(videos=(C.video_id,), faces=(C.faces[1].face_id,)),
    ],
    ids=["video url", "video id", "track", "face", "face beginning", "video and face"],
)
def test_a_split_by_video_track_or_face(registry: Registry, part: Any) -> None:
    before = dump(registry)
    identity = who(registry, C, 1)
    assert who(registry, A, 2) == identity
    decision = split(registry, identity, part())
    assert who(registry, C, 1) == decision.new_identity
    assert who(registry, A, 2) == identity
    undo(registry)
    assert dump(registry) == before


def test_a_split_needs_some_faces_and_not_all(registry: Registry) -> None:
    identity = who(registry, A)
    for part, message in (
        (FaceSelection(), "Give --video"),
        (FaceSelection(videos=(A.url.exposed(),)), "all 2 faces"),
        (FaceSelection(tracks=("a:b",)), "VIDEO:N"),
        (FaceSelection(tracks=("0",)), "VIDEO:N"),
    ):
        with pytest.raises(UsageError, match=message):
            split(registry, identity, part)
    for part, message in (
        (FaceSelection(videos=(B.url.exposed(),)), "no face in video"),
        (FaceSelection(tracks=(f"{A.video_id}:7",)), "no face in track"),
        (FaceSelection(faces=(B.faces[0].face_id,)), "no face whose id"),
        (FaceSelection(faces=("abc",)), "no face whose id"),
        (FaceSelection(videos=("https://example.com/none.mp4",)), "no video"),
    ):
        with pytest.raises(UnknownError, match=message):
            split(registry, identity, part)
    assert registry.decisions.entries() == []


def test_nothing_to_undo_and_unknown_numbers(registry: Registry) -> None:
    with pytest.raises(UsageError, match="There is nothing to undo"):
        undo(registry)
    merge(registry, [who(registry, A), who(registry, B)])
    with pytest.raises(UnknownError, match="no decision 9"):
        undo(registry, 9)
    undo(registry, 1)
    with pytest.raises(UsageError, match="undone already, by decision 2"):
        undo(registry, 1)
    with pytest.raises(UsageError, match="There is nothing to undo"):
        undo(registry)
    undo(registry, 2)
    assert who(registry, A) == who(registry, B)


def test_undoing_a_split_against_a_separation_names_the_separation(registry: Registry) -> None:
    identity = who(registry, C, 1)
    new = split(registry, identity, FaceSelection(videos=(C.url.exposed(),))).new_identity
    separate(registry, identity, new)
    with pytest.raises(UsageError, match="Decision 2 separates"):
        undo(registry, 1)
    undo(registry, 2)
    undo(registry, 1)
    assert who(registry, C, 1) == identity


def test_split_faces_stay_split_when_their_video_is_read_again(registry: Registry) -> None:
    identity = who(registry, C, 1)
    new = split(registry, identity, FaceSelection(videos=(C.url.exposed(),))).new_identity
    before = dump(registry)
    put(registry, C, A)
    assert dump(registry) == before
    assert who(registry, C, 1) == new


def test_later_faces_follow_the_split_off_identity_and_go_back_with_it(registry: Registry) -> None:
    identity = who(registry, C, 1)
    new = split(registry, identity, FaceSelection(videos=(C.url.exposed(),))).new_identity
    [later] = put(registry, video("later", [person(1, 0.1)]))
    assert who(registry, later) == new
    undo(registry)
    assert who(registry, later) == identity


def test_heirs_of_a_merged_identity_part_with_it(registry: Registry) -> None:
    first, second = who(registry, A), who(registry, B)
    merge(registry, [first, second])
    [later] = put(registry, video("later", [person(0, 1.0)]))
    assert who(registry, later) == first
    undo(registry)
    assert who(registry, later) == second


def test_heirs_of_a_split_from_a_merge_go_where_its_faces_came_from(registry: Registry) -> None:
    first, second = who(registry, A), who(registry, B)
    merge(registry, [first, second])
    new = split(registry, first, FaceSelection(videos=(B.url.exposed(),))).new_identity
    [later] = put(registry, video("later", [person(0, 1.0)]))
    assert who(registry, later) == new
    undo(registry, 2)
    assert who(registry, later) == first
    undo(registry, 1)
    assert (who(registry, B), who(registry, later)) == (second, second)


def test_names_survive_a_bridge_between_two_identities(registry: Registry) -> None:
    """A later video has a face that resembles both: the first, read again, keeps its own."""
    one, other = video("one", [unit(0, 0, 0, 0, 1.0)]), video("other", [unit(0, 0, 0, 0, 1.0, 0.8)])
    bridge = video("bridge", [unit(0, 0, 0, 0, 1.0, 0.37)])
    put(registry, one, other)
    registry.name(who(registry, one), "Ann")
    registry.name(who(registry, other), "Bea")
    put(registry, bridge)
    before = dump(registry)
    put(registry, other, one, bridge)
    assert dump(registry) == before


def test_an_ingest_after_separate_never_rejoins(registry: Registry) -> None:
    first, second = who(registry, A), who(registry, B)
    assert any({first, second} <= set(group) for group in joining.duplicate_groups(registry))
    separate(registry, first, second)
    between = [person(0, 0.5), person(0, 0.4), person(0, 0.6)]
    put(registry, video("between", between), A, B)
    joining.consolidate(registry)
    assert who(registry, A) != who(registry, B)
    assert registry.view.root(first) != registry.view.root(second)


def test_reindex_after_decisions_gives_the_same_index(registry: Registry) -> None:
    merge(registry, [who(registry, A), who(registry, B)])
    split(registry, who(registry, C, 1), FaceSelection(videos=(C.url.exposed(),)))
    registry.name(who(registry, A), "Ann")
    separate(registry, who(registry, A), who(registry, C))
    joining.consolidate(registry)
    put(registry, video("later", [person(0, 1.0), person(1, 0.1)]))
    undo(registry, 1)
    before = dump(registry)
    registry.reindex()
    assert dump(registry) == before


def test_a_hidden_identity_is_in_no_list_and_no_suggestion_until_undo(registry: Registry) -> None:
    before, first, second = dump(registry), who(registry, A), who(registry, B)
    registry.name(first, "Ann")
    assert any(first in {s.stays.identity_id, s.joins.identity_id} for s in suggest(registry))
    decision = hide(registry, ["Ann", second])
    assert (decision.identity_id, decision.others) == (first, (second,))
    listed = {one.identity_id for one in registry.index.identities(provisional=False)}
    assert not {first, second} & listed
    assert not {first, second} & set(averages(registry)["identity"])
    suggested = [{s.stays.identity_id, s.joins.identity_id} for s in suggest(registry)]
    assert not any({first, second} & pair for pair in suggested)
    plausible = plausible_changes(registry)
    assert list(plausible.joins) == suggest(registry)
    assert not any({first, second} & set(pair) for pair in plausible.apart)
    with pytest.raises(UsageError, match=rf"{first}.* is hidden already"):
        hide(registry, [first])
    after = dump(registry)
    registry.reindex()
    assert dump(registry) == after
    undo(registry, 2)
    undo(registry, 1)
    assert dump(registry) == before


def test_who_is_merged_into_somebody_else_is_no_longer_hidden(registry: Registry) -> None:
    first, second = who(registry, A), who(registry, B)
    registry.name(first, "Ann")
    hide(registry, [second])
    merge(registry, [first, second])
    assert not registry.identity(first).provisional


# --- any sequence, undone in any order ----------------------------------------------------------

_step = st.tuples(
    st.sampled_from(["merge", "split", "separate", "hide", "name", "consolidate"]),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from(["", "Ann", "Bea"]),
)


def _take(registry: Registry, kind: str, i: int, j: int, name: str) -> None:
    """Carry a step out on whichever identities the numbers fall on, where it makes sense."""
    identities = [identity.identity_id for identity in registry.index.identities()]
    one, other = identities[i % len(identities)], identities[j % len(identities)]
    try:
        if kind == "merge":
            merge(registry, [one, other])
        elif kind == "separate":
            separate(registry, one, other)
        elif kind == "hide":
            hide(registry, [one])
        elif kind == "split":
            faces = sorted(face.face_id for face in registry.index.faces_of(one))
            split(registry, one, FaceSelection(faces=tuple(faces[: 1 + j % len(faces)])))
        elif kind == "name":
            registry.name(one, name)
        else:
            joining.consolidate(registry)
    except UsageError:
        pass  # one and the other are the same, or two people, or all faces would leave


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with new_registry(tmp_path_factory.mktemp("lasting") / "registry", *VIDEOS) as opened:
        yield opened


def _anew(opened: Registry) -> Registry:
    """The registry as before any decision, on the same parts."""
    for info in list(opened.blobs.list("decisions/")):
        opened.blobs.unguarded.delete(info.key)
    fresh = Registry(opened.settings, opened.blobs.unguarded, opened.store)
    fresh.reindex()
    return fresh


_Steps = list[tuple[str, int, int, str]]
_any_sequence = given(
    steps=st.lists(_step, min_size=1, max_size=6), random=st.randoms(use_true_random=False)
)


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3)])
def test_a_face_that_was_split_off_twice_returns_to_the_identity_that_it_had_first(
    lasting: Registry, order: tuple[int, ...]
) -> None:
    """No decision that is left names that identity, which had been consolidated with another."""
    registry = _anew(lasting)
    before = dump(registry)
    for step in (("consolidate", 0, 0, ""), ("split", 1, 2, ""), ("split", 4, 0, "")):
        _take(registry, *step)
    assert len(registry.decisions.entries()) == len(order)
    for number in order:
        undo(registry, number)
    assert dump(registry) == before


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@_any_sequence
def test_undoing_any_sequence_in_any_order_restores_the_index(
    lasting: Registry, steps: _Steps, random: Any
) -> None:
    _decide_and_undo(lasting, steps, random)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@_any_sequence
def test_undoing_many_sequences_restores_the_index(
    lasting: Registry, steps: _Steps, random: Any
) -> None:
    _decide_and_undo(lasting, steps, random)


def _decide_and_undo(lasting: Registry, steps: _Steps, random: Any) -> None:
    registry = _anew(lasting)
    before = dump(registry)
    for step in steps:
        _take(registry, *step)
    decided = [decision.number for decision in registry.decisions.entries()]
    if decided:
        middle = dump(registry)
        registry.reindex()
        assert dump(registry) == middle
    random.shuffle(decided)
    while decided:
        left = []
        for number in decided:
            try:
                undo(registry, number)
            except UsageError:
                left.append(number)  # it holds up a separation, which has to go first
        assert len(left) < len(decided)
        decided = left
    assert dump(registry) == before
    registry.reindex()
    assert dump(registry) == before
