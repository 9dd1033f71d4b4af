"""What decisions fold to: merges, splits, separations, names, and the undoing of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.blobs.folder import FolderStore
from registry.core.decisions import (
    Decision,
    DecisionKind,
    DecisionLog,
    View,
    fold,
    in_effect,
    regrouped_videos,
    relabelled,
    stamped,
)
from registry.domain import Face
from registry.errors import StoreCorrupt
from tests.support.factories import face, person, video


def _log(*entries: dict[str, Any]) -> list[Decision]:
    return [Decision(number, **entry) for number, entry in enumerate(entries, start=1)]


def _name(who: str, name: str) -> dict[str, Any]:
    return {"kind": DecisionKind.NAME, "identity_id": who, "name": name}


def _merge(stays: str, *joins: str) -> dict[str, Any]:
    return {"kind": DecisionKind.MERGE, "identity_id": stays, "others": joins}


def _separate(one: str, other: str) -> dict[str, Any]:
    return {"kind": DecisionKind.SEPARATE, "identity_id": one, "others": (other,)}


def _undo(number: int) -> dict[str, Any]:
    return {"kind": DecisionKind.UNDO, "undoes": number}


def _face(frame: int, identity: str) -> Face:
    from dataclasses import replace

    return replace(face("video", frame, person(0)), identity_id=identity)


def test_faces_of_a_video_get_other_identities_and_those_without_one_are_left_out() -> None:
    made = video("a", [person(0), person(1), person(2)])
    given_ids = {made.faces[0].face_id: "Ann", made.faces[2].face_id: "Bea"}
    changed = relabelled(made, lambda face: given_ids.get(face.face_id))
    assert [face.identity_id for face in changed.faces] == ["Ann", "Bea"]
    assert [face.face_id for face in changed.faces] == list(given_ids)
    assert changed.url == made.url
    view = View(parents={"Bea": "Ann"})
    assert {f.identity_id for f in relabelled(changed, view.identity_of).faces} == {"Ann"}


def test_the_last_name_counts_and_an_empty_one_takes_it_back() -> None:
    assert fold(_log(_name("a", "Ann"), _name("a", "Anna"))).name_of("a") == "Anna"
    assert fold(_log(_name("a", "Ann"), _name("a", ""))).name_of("a") == ""


def test_merges_chain_and_undo_parts_them_again() -> None:
    view = fold(_log(_merge("a", "b"), _merge("b", "c")))
    assert {view.root(i) for i in "abc"} == {"a"}
    view = fold(_log(_merge("a", "b"), _merge("b", "c"), _undo(1)))
    assert (view.root("a"), view.root("c")) == ("a", "b")


def test_merging_what_is_one_already_changes_nothing() -> None:
    assert fold(_log(_merge("a", "b"), _merge("b", "a"))).root("b") == "a"


def test_an_unnamed_identity_takes_the_name_of_one_that_joins_it() -> None:
    assert fold(_log(_name("b", "Bea"), _merge("a", "b"))).name_of("a") == "Bea"
    view = fold(_log(_name("a", "Ann"), _name("b", "Bea"), _merge("a", "b")))
    assert view.name_of("a") == "Ann"


def test_a_split_moves_faces_and_their_heirs() -> None:
    leaving, staying = _face(0, "a"), _face(10, "a")
    split = {"kind": DecisionKind.SPLIT, "identity_id": "a", "faces": (leaving.face_id,)}
    log = _log(split)
    view = fold(log)
    new = log[0].new_identity
    assert view.identity_of(leaving) == new
    assert view.identity_of(staying) == "a"
    heir = _face(20, new)
    undone = fold(_log(split, _undo(1)))
    assert {undone.identity_of(f) for f in (leaving, staying, heir)} == {"a"}


def test_undoing_a_merge_after_a_split_keeps_the_split() -> None:
    ours, theirs = _face(0, "a"), _face(10, "b")
    split = {"kind": DecisionKind.SPLIT, "identity_id": "a", "faces": (theirs.face_id,)}
    view = fold(_log(_merge("a", "b"), split, _undo(1)))
    assert view.identity_of(ours) == "a"
    assert view.identity_of(theirs) not in ("a", "b")
    assert view.identity_of(_face(20, "b")) == "b"


def test_separations_follow_merges() -> None:
    view = fold(_log(_separate("a", "b"), _merge("c", "a")))
    assert view.separated("c", "b") == 1
    assert view.separated("a", "c") is None


def test_a_separation_against_a_merge_is_a_conflict() -> None:
    assert "Decision 1 separates" in fold(_log(_separate("a", "b"), _merge("a", "b"))).conflicts[0]
    assert fold(_log(_separate("a", "b"), _undo(1), _merge("a", "b"))).conflicts == ()


def test_undoing_an_undo_makes_a_decision_count_again() -> None:
    log = _log(_merge("a", "b"), _undo(1), _undo(2))
    assert [d.number for d in in_effect(log)] == [1]
    assert fold(log).root("b") == "a"


def test_a_consolidation_merges_groups_and_is_undone_as_one() -> None:
    groups = {"kind": DecisionKind.CONSOLIDATE, "groups": (("a", "b"), ("c", "d", "e"))}
    assert [fold(_log(groups)).root(i) for i in "abcde"] == ["a", "a", "c", "c", "c"]
    assert fold(_log(groups, _undo(1))) == View()


def _join(*videos: str) -> dict[str, Any]:
    return {"kind": DecisionKind.JOIN_VIDEOS, "videos": videos}


def _separate_videos(one: str, other: str) -> dict[str, Any]:
    return {"kind": DecisionKind.SEPARATE_VIDEOS, "videos": (one, other)}


def test_joined_videos_count_as_the_first_and_chain() -> None:
    view = fold(_log(_join("a", "b"), _join("c", "b", "d")))
    assert view.same_as == {"a": "c", "b": "c", "d": "c"}
    assert fold(_log(_join("a", "b"), _join("c", "b", "d"), _undo(1))).same_as == {
        "b": "c",
        "d": "c",
    }
    assert view.parents == {}


def test_separated_videos_stay_apart_from_what_they_are_joined_to() -> None:
    view = fold(_log(_separate_videos("a", "b"), _join("c", "a")))
    assert view.separated_videos("b", "c") == 1
    assert view.separated_videos("a", "c") is None
    conflict = fold(_log(_separate_videos("a", "b"), _join("a", "b"))).conflicts
    assert conflict == ("Decision 1 separates a and b, and other decisions join them.",)


def test_the_videos_of_groups_that_differ() -> None:
    before, after = fold(_log(_join("a", "b"), _join("d", "e"))), fold(_log(_join("a", "b", "c")))
    assert regrouped_videos(before, after) == {"a", "b", "c", "d", "e"}
    assert regrouped_videos(before, before) == set()
    assert regrouped_videos(fold(_log(_join("a", "b"))), fold(_log(_join("b", "a")))) == {"a", "b"}


_who = st.sampled_from("abcdef")
_entry = st.one_of(
    st.builds(_name, _who, st.sampled_from(["", "Ann", "Bea"])),
    st.builds(_merge, _who, _who),
    st.builds(_separate, _who, _who),
    st.builds(_join, _who, _who),
    st.builds(_separate_videos, _who, _who),
)


@given(st.lists(_entry, max_size=8), st.lists(_entry, max_size=6), st.randoms())
def test_undoing_any_sequence_in_any_order_restores_the_view(
    before: list[dict[str, Any]], after: list[dict[str, Any]], random: Any
) -> None:
    expected = fold(_log(*before))
    numbers = list(range(len(before) + 1, len(before) + len(after) + 1))
    random.shuffle(numbers)
    assert fold(_log(*before, *after, *map(_undo, numbers))) == expected


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    log = DecisionLog(FolderStore(tmp_path))
    for i in range(12):
        log.append(
            stamped(Decision(0, DecisionKind.NAME, f"id-{i}", name=f"name {i}"), log.entries())
        )
    found = log.entries()
    assert [d.number for d in found] == list(range(1, 13))
    assert (found[3].name, bool(found[0].at)) == ("name 3", True)


def test_every_field_survives_the_log(tmp_path: Path) -> None:
    log = DecisionLog(FolderStore(tmp_path))
    made = Decision(1, DecisionKind.MERGE, "a", ("b",), ("f",), (("a", "b"),), "n", 7, "me", "now")
    log.append(made)
    assert log.entries() == [made]


def test_a_damaged_decision_is_named(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    blobs.put("decisions/0000000001.json", b"{}")
    with pytest.raises(StoreCorrupt, match="0000000001"):
        DecisionLog(blobs).entries()


def _three(tmp_path: Path) -> tuple[FolderStore, DecisionLog]:
    blobs = FolderStore(tmp_path)
    log = DecisionLog(blobs)
    for i in range(3):
        log.append(
            stamped(Decision(0, DecisionKind.NAME, f"id-{i}", name=f"name {i}"), log.entries())
        )
    return blobs, log


def test_a_decision_that_is_missing_or_in_the_place_of_another_is_named(tmp_path: Path) -> None:
    blobs, log = _three(tmp_path)
    second = blobs.get("decisions/0000000002.json")
    blobs.put("decisions/0000000002.json", blobs.get("decisions/0000000001.json"))
    with pytest.raises(StoreCorrupt, match=r"0000000002\.json is damaged \(it is number 1\)"):
        log.entries()
    blobs.delete("decisions/0000000002.json")
    with pytest.raises(StoreCorrupt, match=r"0000000002\.json is missing\. Restore"):
        log.entries()
    blobs.put("decisions/0000000002.json", second)
    blobs.put("decisions/notes.json", b"no decision")
    assert [decision.number for decision in log.entries()] == [1, 2, 3]


def test_a_decision_that_an_erasure_is_writing_anew_is_read_from_aside(tmp_path: Path) -> None:
    blobs, log = _three(tmp_path)
    blobs.put("rewrites/decisions/0000000002.json", blobs.get("decisions/0000000002.json"))
    blobs.delete("decisions/0000000002.json")
    assert [decision.number for decision in log.entries()] == [1, 2, 3]
