"""The rule: nearest neighbour at or above the threshold, else a new identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from registry import ids
from registry.domain import Face, Quality, Vectors
from registry.faces.matching import (
    Neighbour,
    assign,
    assign_video,
    is_match,
    similarities_to_earlier,
)
from tests.support.factories import face, person, unit, video


def _names(count: int) -> list[str]:
    return [f"face-{i}" for i in range(count)]


def _assign(embeddings: list[np.ndarray], stored: list[Neighbour | None]) -> list[str]:
    return assign(_names(len(embeddings)), np.stack(embeddings), stored, 0.85)


def test_a_face_without_any_neighbour_founds_an_identity() -> None:
    assert _assign([person(0)], [None]) == [ids.identity_id("face-0")]


def test_the_threshold_itself_is_a_match() -> None:
    assert is_match(0.85, 0.85)
    assert not is_match(np.nextafter(0.85, 0), 0.85)


def test_a_stored_neighbour_at_the_threshold_passes_its_identity_on() -> None:
    assert _assign([person(0)], [Neighbour("x", "known", 0.85)]) == ["known"]


def test_a_stored_neighbour_below_the_threshold_does_not() -> None:
    assert _assign([person(0)], [Neighbour("x", "known", 0.8499)]) == [ids.identity_id("face-0")]


def test_earlier_faces_of_the_video_are_candidates() -> None:
    first = ids.identity_id("face-0")
    assert _assign([person(0), person(1), person(0, 0.1)], [None] * 3) == [
        first,
        ids.identity_id("face-1"),
        first,
    ]


def test_the_nearer_of_stored_and_earlier_wins() -> None:
    faces = [unit(1.0), unit(1.0, 0.3)]
    near = Neighbour("x", "known", 0.99)
    assert _assign(faces, [None, near])[1] == "known"
    far = Neighbour("x", "known", 0.90)
    assert _assign(faces, [None, far])[1] == ids.identity_id("face-0")


def test_at_equal_similarity_the_stored_face_goes_first() -> None:
    faces = [unit(1.0), unit(1.0)]
    assert _assign(faces, [None, Neighbour("x", "known", 1.0)])[1] == "known"


_embedding = st.lists(st.floats(-1, 1), min_size=4, max_size=4).map(
    lambda v: unit(*v) if np.linalg.norm(v) > 1e-3 else unit(1.0)
)


@given(st.lists(_embedding, min_size=1, max_size=12), st.floats(0.1, 0.99))
def test_every_identity_is_reached_by_a_neighbour_or_founded(
    embeddings: list[np.ndarray], threshold: float
) -> None:
    vectors = np.stack(embeddings)
    names = _names(len(embeddings))
    found = assign(names, vectors, [None] * len(names), threshold)
    assert found == assign(names, vectors, [None] * len(names), threshold)
    for i, identity in enumerate(found):
        similarities = vectors[:i] @ vectors[i]
        if i and similarities.max() >= threshold:
            assert identity == found[int(np.argmax(similarities))]
        else:
            assert identity == ids.identity_id(names[i])


def _seen(name: str, quality: Quality, track: int) -> Face:
    made = face("video", int(name.removeprefix("face-")), person(0))
    return replace(made, quality=quality, track=track)


COVERED, SPOILT = Quality(0.9, ("covered_eyes",)), Quality(0.9, ("pixelated",))


def test_faces_covered_alike_are_no_evidence_but_in_one_track() -> None:
    names = _names(4)
    vectors = np.stack([person(0)] * 4)
    seen = [_seen(n, COVERED, track) for n, track in zip(names, (0, 1, 0, 2), strict=True)]
    seen[3] = replace(seen[3], quality=Quality(0.9))
    first, second, same_track, plain = assign(names, vectors, [None] * 4, 0.85, seen)
    assert (first == second, first == same_track, plain == first) == (False, True, True)


def test_a_spoilt_face_goes_with_its_track_and_nobody_goes_with_it() -> None:
    names = _names(4)
    vectors = np.stack([person(0), person(1), person(1), person(1)])
    seen = [_seen(names[0], Quality(0.9), 0)]
    seen += [_seen(n, SPOILT, track) for n, track in zip(names[1:3], (0, 1), strict=True)]
    seen.append(_seen(names[3], Quality(0.9), 0))
    first, along, alone, good = assign(names, vectors, [None] * 4, 0.85, seen)
    assert along == first
    assert len({first, alone, good}) == 3


_alike = st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3).map(lambda v: unit(1.0, *v))
_quality = st.sampled_from([Quality(0.9), Quality(0.9), COVERED, SPOILT])


@given(
    embeddings=st.lists(_alike, min_size=1, max_size=12),
    stored=st.lists(_alike, min_size=1, max_size=6),
    before=st.lists(_alike, max_size=4),
    qualities=st.lists(_quality, min_size=22, max_size=22),
    tracks=st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_a_stored_face_that_is_less_similar_than_an_earlier_one_is_not_needed(
    embeddings: list[Vectors],
    stored: list[Vectors],
    before: list[Vectors],
    qualities: list[Quality],
    tracks: list[int],
) -> None:
    made = video("a", embeddings)
    faces = [
        replace(one, quality=quality, track=track)
        for one, quality, track in zip(made.faces, qualities, tracks, strict=False)
    ]
    made = replace(made, faces=tuple(faces))
    earlier = replace(made, faces=tuple(video("a", before).faces)) if before else None

    def nearest(_: str, asked: Vectors, own: Vectors, *, spare: bool) -> list[Neighbour | None]:
        found: list[Neighbour | None] = []
        for row, least in zip(asked @ np.stack(stored).T, own, strict=True):
            best = int(np.argmax(row))
            needed = not spare or row[best] >= least - 1e-5
            near = Neighbour(f"stored-{best}", f"known-{best}", float(row[best]), qualities[-best])
            found.append(near if needed else None)
        return found

    answers = [
        assign_video(
            made,
            earlier,
            lambda *asked, spare=spare: nearest(*asked, spare=spare),
            lambda one: f"before-{one.frame}",
            0.85,
        )
        for spare in (False, True)
    ]
    assert _identities(answers[0].faces) == _identities(answers[1].faces)


def _identities(faces: Sequence[Face]) -> list[str]:
    return [one.identity_id for one in faces]


def test_similarities_to_earlier_faces_look_back_as_far_as_needed() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(700, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    faces = list(video("a", list(rows)).faces)
    faces[3] = replace(faces[3], quality=SPOILT)
    faces[9] = replace(faces[9], quality=COVERED)
    found = similarities_to_earlier(rows, faces)
    assert (found[0], found[3], found[9]) == (-1, -1, -1)
    for place in (1, 2, 4, 10, 255, 256, 300, 699):
        all_earlier = [j for j in range(place) if j != 3]
        last = [j for j in all_earlier if j >= place - 256]
        assert found[place] <= max(rows[all_earlier] @ rows[place]) + 1e-6
        assert found[place] >= max(rows[last] @ rows[place]) - 1e-6
