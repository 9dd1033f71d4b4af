"""A log of decisions without a person: no id or name stays, every number does."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from registry.core.decision_redaction import redact, refers_to
from registry.core.decisions import Decision, DecisionKind, encode_decision, fold


def _name(number: int, who: str, name: str) -> Decision:
    return Decision(number, DecisionKind.NAME, who, name=name, by="me", at="now")


def _merge(number: int, stays: str, *joins: str) -> Decision:
    return Decision(number, DecisionKind.MERGE, stays, joins, by="me", at="now")


def _split(number: int, who: str, *faces: str) -> Decision:
    return Decision(number, DecisionKind.SPLIT, who, faces=faces, by="me", at="now")


def test_a_name_is_void_and_its_number_stays() -> None:
    assert redact(_name(3, "a", "Ann"), {"a"}, set()) == Decision(3, DecisionKind.VOID)


def test_a_split_no_longer_names_a_forgotten_person_whom_its_origin_was_merged_with() -> None:
    split = Decision(1, DecisionKind.SPLIT, "b", ("a", "c"), faces=("1",))
    without = redact(split, {"a"}, {"1"})
    assert (without.identity_id, without.others) == ("b", ("c",))
    assert not refers_to(without, {"a"}, {"1"})


def test_what_is_about_others_stays_as_it_is() -> None:
    name = _name(1, "b", "Bea")
    assert redact(name, {"a"}, set()) is name


def test_of_a_merge_those_who_remain_are_still_one() -> None:
    assert redact(_merge(1, "a", "b", "c"), {"a"}, set()) == _merge(1, "b", "c")
    assert redact(_merge(1, "b", "a", "c"), {"a"}, set()) == _merge(1, "b", "c")
    assert redact(_merge(1, "a", "b"), {"b"}, set()).kind is DecisionKind.VOID


def test_a_consolidation_keeps_its_other_groups() -> None:
    found = Decision(1, DecisionKind.CONSOLIDATE, groups=(("a", "b"), ("c", "d", "a")))
    assert redact(found, {"a"}, set()).groups == (("c", "d"),)
    assert (
        redact(Decision(1, DecisionKind.CONSOLIDATE, groups=(("a", "b"),)), {"a"}, set()).kind
        == "void"
    )


def test_a_hiding_keeps_the_others_who_are_hidden() -> None:
    hidden = Decision(1, DecisionKind.HIDE, "a", ("b",))
    assert redact(hidden, {"a"}, set()) == Decision(1, DecisionKind.HIDE, "b")
    assert redact(hidden, {"a", "b"}, set()).kind is DecisionKind.VOID


def test_a_separation_of_the_person_is_void() -> None:
    assert (
        redact(Decision(1, DecisionKind.SEPARATE, "b", ("a",)), {"a"}, set()).kind
        is DecisionKind.VOID
    )


def test_a_split_off_the_person_gives_the_same_id_as_before_and_cannot_lead_back() -> None:
    split = _split(1, "a", "f", "g")
    left = redact(split, {"a"}, {"f"})
    assert (left.identity_id, left.faces, left.new_identity) == ("", ("f",), split.new_identity)
    undone = fold([left, Decision(2, DecisionKind.UNDO, undoes=1)])
    assert undone.root(split.new_identity) == split.new_identity


def test_the_person_who_was_split_off_leaves_no_trace() -> None:
    split = _split(1, "a", "f", "g")
    assert redact(split, {split.new_identity}, set()) == Decision(1, DecisionKind.VOID)


def test_a_removed_video_is_replaced_by_one_that_it_was_joined_to() -> None:
    joined = Decision(1, DecisionKind.JOIN_VIDEOS, videos=("a", "b"), by="me", at="now")
    assert redact(joined, {"a"}, set()) == Decision(1, DecisionKind.VOID)
    assert redact(joined, {"a"}, set(), {"a": "c"}).videos == ("c", "b")
    assert redact(joined, {"a"}, set(), {"a": "b"}) == Decision(1, DecisionKind.VOID)
    apart = Decision(2, DecisionKind.SEPARATE_VIDEOS, videos=("d", "a"), by="me", at="now")
    assert redact(apart, {"a"}, set(), {"a": "c"}).videos == ("d", "c")
    assert redact(apart, {"a"}, set()) == Decision(2, DecisionKind.VOID)
    assert redact(apart, {"b"}, set()) is apart


_who = st.sampled_from(["id-a", "id-b", "id-c", "id-d"])
_some = st.lists(_who, min_size=1, max_size=3, unique=True).map(tuple)
_faces = st.lists(st.sampled_from(["face-1", "face-2", "face-3"]), min_size=1, unique=True)
_decisions = st.one_of(
    st.builds(Decision, st.just(1), st.just(DecisionKind.NAME), _who, name=st.just("Ann")),
    st.builds(Decision, st.just(1), st.just(DecisionKind.MERGE), _who, _some),
    st.builds(Decision, st.just(1), st.just(DecisionKind.SEPARATE), _who, _who.map(lambda w: (w,))),
    st.builds(Decision, st.just(1), st.just(DecisionKind.SPLIT), _who, faces=_faces.map(tuple)),
    st.builds(
        Decision, st.just(1), st.just(DecisionKind.CONSOLIDATE), groups=st.lists(_some).map(tuple)
    ),
    st.builds(Decision, st.just(1), st.just(DecisionKind.JOIN_VIDEOS), videos=_some),
)


@given(_decisions, st.sets(_who, min_size=1), st.sets(st.sampled_from(["face-1", "face-2"])))
def test_nothing_that_was_to_go_is_in_the_bytes_and_striking_again_changes_nothing(
    decision: Decision, gone: set[str], left: set[str]
) -> None:
    without = redact(decision, gone, left)
    text = encode_decision(without).decode()
    assert not [each for each in gone if json.dumps(each) in text]
    assert set(without.faces) <= left
    assert without.number == 1
    assert not refers_to(without, gone, left)
    assert redact(without, gone, left) == without
