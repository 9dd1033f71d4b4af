"""Times on screen: from sampled frames, one person at a time and together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from queries.timelines import size_of, timeline
from registry.domain import Box, Face
from tests.support.factories import face, person

ANN, BEN = "ann", "ben"


def _face(frame: int, who: str, *, track: int = 0, height: float = 60.0, position: int = 0) -> Face:
    """A face that stands for half a second; frames are half a second apart."""
    made = face("v", frame, person(0), position=position)
    return replace(
        made,
        identity_id=who,
        time_s=frame / 2,
        span_s=0.5,
        track=track,
        box=Box(0, 0, height, height),
    )


def test_adjacent_frames_are_one_interval_and_others_are_not() -> None:
    faces = [_face(frame, ANN, track=frame > 3) for frame in (0, 1, 2, 10, 11)]
    [ann] = timeline(faces, duration_s=10, frame_height=240)
    assert [(one.start_s, one.end_s) for one in ann.intervals] == [(0, 1.5), (5, 6)]
    assert (ann.seconds, ann.share) == (2.5, 0.25)


def test_a_face_that_is_missing_within_a_track_does_not_end_an_interval() -> None:
    same = [_face(frame, ANN, track=7) for frame in (0, 1, 3, 4)]
    [ann] = timeline(same, duration_s=10, frame_height=240)
    assert [(one.start_s, one.end_s) for one in ann.intervals] == [(0, 2.5)]
    assert ann.seconds == 2.0, "the frame without the face does not count"
    others = [replace(one, track=one.frame) for one in same]
    [ann] = timeline(others, duration_s=10, frame_height=240)
    assert [(one.start_s, one.end_s) for one in ann.intervals] == [(0, 1), (1.5, 2.5)]


def test_tracks_that_overlap_are_one_interval_until_both_end() -> None:
    frames = [(0, 1), (1, 1), (2, 2), (3, 1), (5, 2)]
    [ann] = timeline(
        [_face(frame, ANN, track=track) for frame, track in frames], duration_s=9, frame_height=240
    )
    assert [(one.start_s, one.end_s) for one in ann.intervals] == [(0, 3)]


def test_openings_take_the_part_of_a_frame_that_is_within() -> None:
    [ann] = timeline([_face(frame, ANN) for frame in (1, 5, 9)], duration_s=10, frame_height=240)
    assert ann.within == {1.0: 0.5, 3.0: 1.0, 5.0: 1.5}
    [late] = timeline([replace(_face(1, ANN), time_s=0.8)], duration_s=10, frame_height=240)
    assert late.within[1.0] == pytest.approx(0.2)


def test_alone_and_together_are_by_frame() -> None:
    faces = [
        *(_face(frame, ANN, track=0) for frame in (0, 1, 2, 3)),
        *(_face(frame, BEN, track=1, position=1) for frame in (2, 3, 4)),
    ]
    ann, ben = timeline(faces, duration_s=2.5, frame_height=240)
    assert (ann.identity_id, ann.alone_s, ann.together_s) == (ANN, 1.0, {BEN: 1.0})
    assert (ben.identity_id, ben.alone_s, ben.together_s) == (BEN, 0.5, {ANN: 1.0})


def test_the_main_person_comes_first_and_of_equal_ones_the_first_seen() -> None:
    faces = [
        *(_face(frame, ANN, position=1) for frame in (2, 3)),
        *(_face(frame, BEN) for frame in (0, 1)),
    ]
    assert [one.identity_id for one in timeline(faces, duration_s=2, frame_height=9)] == [BEN, ANN]


def test_two_faces_of_one_person_in_a_frame_count_once_as_the_larger() -> None:
    faces = [_face(0, ANN, height=20), _face(0, ANN, height=100, position=1, track=1)]
    [ann] = timeline(faces, duration_s=1, frame_height=200)
    assert (ann.seconds, ann.alone_s, ann.face_height) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("share", "size"),
    [(0.5, "close-up"), (0.25, "close-up"), (0.2499, "medium"), (0.1, "medium"),
     (0.0999, "background"), (0.0, "")],
)  # fmt: skip
def test_sizes_of_faces(share: float, size: str) -> None:
    assert size_of(share) == size


def test_an_interval_has_the_size_of_its_own_faces() -> None:
    faces = [
        *(_face(frame, ANN, height=100, track=0) for frame in (0, 1, 2)),
        *(_face(frame, ANN, height=10, track=1) for frame in (8, 9)),
    ]
    [ann] = timeline(faces, duration_s=10, frame_height=200)
    assert [one.size for one in ann.intervals] == ["close-up", "background"]
    assert ann.sizes_s == {"close-up": 1.5, "medium": 0.0, "background": 1.0}
    assert ann.size == "close-up"


def test_what_is_not_known_of_a_video_is_left_open() -> None:
    [ann] = timeline([_face(0, ANN)], duration_s=0, frame_height=0)
    assert (ann.share, ann.size, ann.face_height) == (0.0, "", 0.0)
    assert timeline([], duration_s=3, frame_height=9) == []
