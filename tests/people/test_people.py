"""Consolidation of a registry: what counts as evidence, what is suggested, and what is joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from registry.core.registry import Registry
from registry.domain import Box, Face, Quality, Vectors, Video
from registry.faces.rates import Curve
from registry.models.catalogue import linkage_threshold
from registry.models.curves import shipped_curve
from registry.models.entries import find
from registry.people import joining
from registry.people.corrections import FaceSelection, merge, separate, split, undo
from registry.people.evidence import Evidence, gather_evidence
from registry.people.face_sums import FaceAdder
from registry.people.observed_faces import ObservedFaces, pair
from tests.support.factories import MODEL, face, person, unit, video
from tests.support.registries import dump, new_registry, put, who

BLURRED = Quality(0.1, ("blurred",))


def _scene(name: str, *frames: Sequence[tuple[Vectors, int, float, Quality]]) -> Video:
    """A video of frames that show (embedding, track, left edge in px, quality) side by side."""
    empty = video(name, [])
    faces: list[Face] = []
    for i, frame in enumerate(frames):
        for position, (embedding, track, left, quality) in enumerate(frame):
            made = face(empty.video_id, 10 * i, embedding, position=position)
            box = Box(left, 20.0, left + 50.0, 80.0)
            faces.append(replace(made, track=track, box=box, quality=quality))
    return replace(empty, faces=tuple(faces))


def _good(
    embedding: Vectors, track: int = 0, left: float = 0.0
) -> tuple[Vectors, int, float, Quality]:
    return embedding, track, left, Quality(0.8)


def _poor(
    embedding: Vectors, track: int = 0, left: float = 0.0
) -> tuple[Vectors, int, float, Quality]:
    return embedding, track, left, BLURRED


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry") as opened:
        yield opened


def test_the_threshold_follows_the_weights() -> None:
    sface, pack = find("sface"), find("buffalo_l")
    assert linkage_threshold(replace(MODEL, digest=sface.digest)) == 0.36
    assert linkage_threshold(replace(MODEL, digest=pack.digest)) == 0.28
    assert linkage_threshold(MODEL) == 0.28


def test_several_tracks_lower_the_threshold_unless_people_are_more_alike_than_strangers() -> None:
    curve = shipped_curve(MODEL).curve  # strangers have a cosine of 0 on average

    def lower(people: int, alike: float, curve: Curve | None = curve) -> tuple[float, ...]:
        random, faces = np.random.default_rng(1), FaceAdder(128)
        for number in range(people):
            vector = random.normal(size=128) / np.sqrt(128) + alike
            unit = np.asarray(vector / np.linalg.norm(vector), np.float32)
            faces.add(str(number), str(number), 0, 0, Box(0, 0, 9, 9), unit, Quality(0.8))
        observed = ObservedFaces(faces.result(), lambda who: who)
        ranks = {str(i): (0, 1) for i in range(people)}
        return Evidence(observed, ranks, curve=curve, several=(0.0, 0.04)).lower

    assert lower(40, 0.0) == (0.0, 0.04)
    assert lower(4, 0.0) == (0.0,)
    assert lower(40, 0.05) == (0.0,)
    assert lower(40, 0.0, None) == (0.0,)


def test_a_track_speaks_once_through_its_good_faces(registry: Registry) -> None:
    leaning = [_good(person(0)), _good(person(0, 0.2)), _poor(person(0, 0.5)), _good(person(0), 1)]
    [scene] = put(registry, _scene("a", *([one] for one in leaning)))
    [group] = gather_evidence(registry).groups
    assert group.identity_id == scene.faces[0].identity_id
    assert group.tracks.shape == (2, 8)
    mean = person(0) + person(0, 0.2)
    assert group.tracks[0] == pytest.approx(mean / (mean @ mean) ** 0.5, abs=1e-6)
    assert group.tracks[1] == pytest.approx(person(0), abs=1e-6)


def test_two_in_one_frame_are_two_people(registry: Registry) -> None:
    """Alike enough to be joined, not more than two people can be, and side by side twice."""
    one, other = unit(1.0), unit(0.37, (1 - 0.37**2) ** 0.5)
    frame = [_good(one), _good(other, 1, left=200.0)]
    [scene] = put(registry, _scene("a", frame, frame))
    evidence = gather_evidence(registry)
    ids = pair(scene.faces[0].identity_id, scene.faces[1].identity_id)
    assert evidence.together == {ids: 2}
    assert joining.consolidate(registry) is None
    [doubt] = joining.suggest(registry)
    assert (doubt.certain, doubt.together) == (False, 2)
    assert "one frame" in doubt.reason
    assert joining.count_duplicates(registry) == 0


def test_two_too_alike_in_one_frame_may_be_one_person(registry: Registry) -> None:
    """A mirror, or a picture before and one after."""
    one, other = person(0), person(0, 0.9)
    frame = [_good(one), _good(other, 1, left=200.0)]
    [scene] = put(registry, _scene("a", frame, frame))
    evidence = gather_evidence(registry)
    assert evidence.together == {}
    ids = pair(scene.faces[0].identity_id, scene.faces[1].identity_id)
    assert evidence.repeated == {ids: 2}
    [suggestion] = joining.suggest(registry)
    assert suggestion.certain
    assert (suggestion.together, suggestion.repeated) == (0, 2)
    assert suggestion.as_dict()["frames_too_alike"] == 2


def test_two_who_are_covered_alike_in_one_frame_are_two_people(registry: Registry) -> None:
    masked = Quality(0.9, ("covered_mouth",))
    frame = [(person(0), 0, 0.0, masked), (person(0, 0.2), 1, 200.0, masked)]
    put(registry, _scene("a", frame, frame))
    assert list(gather_evidence(registry).together.values()) == [2]


def test_a_face_found_twice_in_one_place_is_no_second_person(registry: Registry) -> None:
    put(registry, _scene("a", [_good(person(0)), _good(person(0, 0.9), 1, left=10.0)]))
    assert gather_evidence(registry).together == {}
    assert joining.count_duplicates(registry) == 1


def test_three_in_a_frame_are_three_pairs(registry: Registry) -> None:
    frame = [_good(person(i), i, left=100.0 * i) for i in range(3)]
    put(registry, _scene("a", frame), _scene("b", frame[:2]))
    assert sorted(gather_evidence(registry).together.values()) == [1, 1, 2]


def test_a_suggestion_says_why_and_the_best_comes_first(registry: Registry) -> None:
    a, b = _scene("a", [_good(person(0))], [_good(person(0, 0.7))]), video("b", [person(1)])
    c, d = video("c", [person(1, 1.0)]), video("d", [])
    a, b, c, d = put(registry, a, b, c, d)
    registry.name(c.faces[0].identity_id, "Cleo")
    first, second = joining.suggest(registry)
    assert first.similarity == pytest.approx(1 / (1 + 0.7**2) ** 0.5, abs=1e-5)
    assert second.similarity == pytest.approx(0.5**0.5, abs=1e-5)
    assert (first.certain, first.shared_tracks, first.tracks) == (True, 1, (1, 1))
    assert (second.stays.name, second.joins.identity_id) == ("Cleo", b.faces[0].identity_id)
    document = second.as_dict()
    assert document["stays"]["crop"] == c.faces[0].crop
    assert document["joins"]["crop"] == b.faces[0].crop
    assert (document["shared_tracks"], document["frames_together"]) == (0, 0)


def test_consolidation_leaves_nothing_for_the_next_one(registry: Registry) -> None:
    """The two in one track speak with one voice once they are joined, and the third is near it."""
    one, other, third = np.zeros((3, 8), np.float32)
    one[0], other[:2], third[:3] = 1, (0.4, 0.84**0.5), (0.26, 0.156 / 0.84**0.5, 0)
    third[2] = (1 - third @ third) ** 0.5
    a, b = put(registry, _scene("a", [_good(one)], [_good(other)]), _scene("b", [_good(third)]))
    assert one @ third == pytest.approx(other @ third, abs=1e-6)
    assert one @ third < linkage_threshold(MODEL)
    [best, last] = joining.suggest(registry)
    assert (best.shared_tracks, best.certain, last.certain) == (1, True, True)
    assert last.similarity == pytest.approx(0.52 / 2.8**0.5, abs=1e-5)
    assert joining.count_duplicates(registry) == 2
    decision = joining.consolidate(registry)
    assert decision is not None
    everyone = sorted(face.identity_id for video in (a, b) for face in video.faces)
    assert [sorted(group) for group in decision.groups] == [everyone]
    assert joining.consolidate(registry) is None
    assert registry.index.count_identities() == 1


def test_consolidation_is_one_decision_that_is_undone_as_one(registry: Registry) -> None:
    put(
        registry,
        video("a", [person(0), person(1)]),
        video("b", [person(0, 0.9), person(1, 0.9)]),
        video("c", [person(0, 0.8), person(2)]),
    )
    before = dump(registry)
    assert joining.count_duplicates(registry) == 2
    decision = joining.consolidate(registry)
    assert decision is not None
    assert len(decision.merges) == 2
    assert registry.index.count_identities() == 3
    assert joining.consolidate(registry) is None
    assert joining.suggest(registry) == []
    undo(registry)
    assert dump(registry) == before


def test_the_named_one_stays_and_then_the_one_with_more_videos(registry: Registry) -> None:
    a, b, _, d, e = put(
        registry,
        video("a", [person(0)]), video("b", [person(0, 0.9)]), video("c", [person(0, 0.9)]),
        video("d", [person(1)]), video("e", [person(1, 0.9)]),
    )  # fmt: skip
    registry.name(e.faces[0].identity_id, "Eve")
    joining.consolidate(registry)
    assert who(registry, a) == b.faces[0].identity_id
    assert who(registry, d) == e.faces[0].identity_id
    assert registry.identity("Eve").videos == 2


def test_poor_faces_join_the_one_person_of_their_track(registry: Registry) -> None:
    odd = unit(0, 0, 0, 0, 0, 1.0)
    a = _scene("a", [_good(person(0))], [_poor(odd)])
    # In b the same poor identity runs in the track of another person too.
    both = _scene("b", [_good(person(1))], [_poor(unit(0, 0, 0, 0, 1.0))], [_good(person(2))])
    put(registry, a, both)
    [joined] = joining.suggest(registry)
    assert (joined.certain, joined.tracks) == (True, (1, 0))
    assert (joined.similarity, "tracks of this person" in joined.reason) == (0, True)
    joining.consolidate(registry)
    assert who(registry, a, 1) == who(registry, a, 0)
    assert len({who(registry, both, i) for i in range(3)}) == 3
    assert joining.consolidate(registry) is None


def test_poor_faces_do_not_join_whom_they_were_seen_beside(registry: Registry) -> None:
    odd = unit(0, 0, 0, 0, 0, 1.0)
    frames = [_good(person(0))], [_poor(odd)], [_good(person(0)), _poor(odd, 1, left=300.0)]
    put(registry, _scene("a", *frames))
    assert joining.duplicate_groups(registry) == ()


def test_poor_faces_go_to_the_one_they_resemble_unless_another_is_as_near(
    registry: Registry,
) -> None:
    near, between = person(0, 0.9), unit(0, 0, 1.0, 1.0)
    put(registry, _scene("a", [_good(person(0))], [_poor(near, 1)]))
    put(registry, _scene("c", [_good(person(2))], [_good(person(3), 1)], [_poor(between, 2)]))
    [joined] = joining.suggest(registry)
    assert "clearly no other" in joined.reason
    assert joined.similarity == pytest.approx(1 / (1 + 0.9**2) ** 0.5, abs=1e-5)


def test_very_poor_faces_bring_no_video_to_a_person(registry: Registry) -> None:
    dim, cut_off = Quality(0.5, ("dark", "blurred")), Quality(0.5, ("cut_off",))
    put(registry, _scene("a", [_good(person(0))]), _scene("b", [_poor(person(0, 0.9))]))
    put(registry, _scene("c", [(unit(1, 0, 0, 0, 0, 0, 0.9), 0, 0.0, cut_off)]))
    assert joining.suggest(registry) == []
    put(registry, _scene("d", [(unit(1, 0, 0, 0, 0, 0.9), 0, 0.0, dim)]))
    [joined] = joining.suggest(registry)
    assert "clearly no other" in joined.reason


def test_poor_faces_alone_join_nobody(registry: Registry) -> None:
    put(registry, _scene("a", [_poor(person(0))]), _scene("b", [_poor(person(0, 0.9))]))
    assert joining.duplicate_groups(registry) == ()


def test_a_separated_pair_is_never_suggested_again_nor_through_a_third(registry: Registry) -> None:
    a, b, c = put(
        registry,
        video("a", [person(0)]),
        video("b", [person(0, 0.8)]),
        video("c", [unit(1, 0, 0, 0, 0, 0.8)]),
    )
    one, other, third = (v.faces[0].identity_id for v in (a, b, c))
    separate(registry, one, other)
    assert all(
        {s.stays.identity_id, s.joins.identity_id} != {one, other}
        for s in joining.suggest(registry)
    )
    merge(registry, [third, other])
    assert joining.suggest(registry) == []
    assert joining.consolidate(registry) is None
    undo(registry, 1)
    assert len(joining.suggest(registry)) == 1


def test_what_was_split_off_is_not_joined_again_except_by_a_person(registry: Registry) -> None:
    a, b = put(registry, video("a", [person(0)]), video("b", [person(0)]))
    identity = a.faces[0].identity_id
    new = split(registry, identity, FaceSelection(videos=(b.url.exposed(),))).new_identity
    assert joining.suggest(registry) == []
    assert joining.consolidate(registry) is None
    merge(registry, [identity, new])
    assert who(registry, b) == identity


def test_a_split_of_a_merged_identity_leaves_all_that_it_was_made_of(registry: Registry) -> None:
    a, b, c = put(
        registry,
        video("a", [person(0)]),
        video("b", [person(0, 0.9)]),
        video("c", [person(0, 0.9)]),
    )
    one, other = a.faces[0].identity_id, b.faces[0].identity_id
    merge(registry, [one, other])
    new = split(registry, one, FaceSelection(videos=(c.url.exposed(),))).new_identity
    undo(registry, 1)
    assert gather_evidence(registry).separated == {pair(one, new), pair(other, new)}


def test_the_order_of_videos_does_not_change_who_is_who(tmp_path: Path) -> None:
    videos = [video(f"v{i}", [person(i % 3, 0.1 * i), person(3)]) for i in range(9)]
    partitions = []
    for i, order in enumerate((videos, videos[::-1], videos[4:] + videos[:4])):
        with new_registry(tmp_path / str(i), *order) as registry:
            joining.consolidate(registry)
            groups: dict[str, set[str]] = {}
            for one in registry.index.faces():
                groups.setdefault(one.identity_id, set()).add(one.face_id)
            partitions.append({frozenset(group) for group in groups.values()})
    assert partitions[0] == partitions[1] == partitions[2]


def test_an_empty_index_has_nothing_to_join(registry: Registry) -> None:
    assert joining.suggest(registry) == []
    assert joining.consolidate(registry) is None
