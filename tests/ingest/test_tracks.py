"""A track holds one person through one shot; what is in doubt begins a new one."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ingest.frames import Sampling, VideoReader
from ingest.shots import ShotDetector
from ingest.tracks import GAP_S, Sighting, Tracker, _best_pairs
from registry.domain import Box
from registry.faces.quality import assess, founds
from registry.models.base import FaceModel
from tests.support.factories import person

STEP_S = 1 / 3
"""Every tenth frame of a video of 30 a second."""


def _seen(
    step: int, who: int, x: float = 100.0, *, good: bool = True, size: float = 80
) -> Sighting:
    box = Box(x, 50.0, x + size, 50.0 + size)
    return Sighting(step * 10, step * STEP_S, box, person(who), good)


def _track(frames: Sequence[Sequence[Sighting]], cuts: Sequence[int] = ()) -> list[list[int]]:
    """Track numbers, frame by frame; frame `i` is shown at `i * STEP_S`."""
    tracker = Tracker()
    return [tracker.update(i * STEP_S, i in cuts, sightings) for i, sightings in enumerate(frames)]


def test_a_person_who_stays_is_one_track() -> None:
    assert _track([[_seen(i, 0, 100 + 5 * i)] for i in range(4)]) == [[0], [0], [0], [0]]


def test_a_cut_ends_every_track() -> None:
    assert _track([[_seen(0, 0)], [_seen(1, 0)], [_seen(2, 0)]], cuts=[1]) == [[0], [1], [1]]


def test_a_cut_in_a_frame_without_faces_ends_every_track() -> None:
    assert _track([[_seen(0, 0)], [], [_seen(2, 0)]], cuts=[1]) == [[0], [], [1]]


def test_another_person_in_the_same_place_is_another_track() -> None:
    """A cut that nobody noticed."""
    assert _track([[_seen(0, 0)], [_seen(1, 1)]]) == [[0], [1]]


def test_people_who_change_places_keep_their_tracks() -> None:
    frames = [[_seen(0, 0, 100), _seen(0, 1, 220)], [_seen(1, 1, 100), _seen(1, 0, 220)]]
    assert _track(frames) == [[0, 1], [1, 0]]


def test_somebody_alike_far_away_is_another_track() -> None:
    assert _track([[_seen(0, 0, 0)], [_seen(1, 0, 600)]]) == [[0], [1]]


def test_a_walk_is_followed() -> None:
    """By more than the width of the face, a frame."""
    assert _track([[_seen(i, 0, 130 * i)] for i in range(5)]) == [[0]] * 5


def test_motion_is_carried_on_while_unseen() -> None:
    """120 px a frame, hidden for two: where it would be is within reach, where it was is not."""
    walk = [[_seen(0, 0, 0)], [_seen(1, 0, 120)], [], [], [_seen(4, 0, 480)]]
    assert _track(walk) == [[0], [0], [], [], [0]]
    stand = [[_seen(0, 0, 120)], [_seen(1, 0, 120)], [], [], [_seen(4, 0, 480)]]
    assert _track(stand) == [[0], [0], [], [], [1]]


@pytest.mark.parametrize(("unseen", "tracks"), [(0, 1), (1, 1), (2, 1), (3, 2)])
def test_a_track_bridges_a_second_and_no_more(unseen: int, tracks: int) -> None:
    assert GAP_S == 3 * STEP_S
    frames = [[_seen(0, 0)], *([[]] * unseen), [_seen(unseen + 1, 0)]]
    assert len({n for numbers in _track(frames) for n in numbers}) == tracks


def _turned(face: Sighting, cosine: float, towards: int = 5) -> Sighting:
    """The face as a poor one: `cosine` to itself."""
    embedding = cosine * face.embedding + np.sqrt(1 - cosine**2) * person(towards)
    return replace(face, embedding=embedding.astype(np.float32), good=False)


def test_a_turn_to_the_side_and_back_stays_on_the_track() -> None:
    faces = [_seen(0, 0), _turned(_seen(1, 0), 0.4), _turned(_seen(2, 0), 0.4), _seen(3, 0)]
    assert _track([[face] for face in faces]) == [[0]] * 4


def test_a_poor_face_that_has_moved_away_is_another_track() -> None:
    faces = [_seen(0, 0, 100), _turned(_seen(1, 0, 150), 0.4)]
    assert _track([[face] for face in faces]) == [[0], [1]]


def test_a_poor_face_of_other_looks_is_another_track() -> None:
    assert _track([[_seen(0, 0)], [_turned(_seen(1, 0), 0.1)]]) == [[0], [1]]


def test_a_poor_face_bridges_no_gap() -> None:
    assert _track([[_seen(0, 0)], [], [_turned(_seen(2, 0), 0.4)]]) == [[0], [], [1]]


def test_a_poor_face_does_not_lead_from_one_person_to_another() -> None:
    """The blur resembles both; what follows it is compared with the good faces before it."""
    first, second = _seen(0, 0), _seen(2, 1)
    blur = _turned(_seen(1, 0), 0.45, towards=1)
    assert float(blur.embedding @ second.embedding) > 0.8
    assert _track([[first], [blur], [second]]) == [[0], [0], [1]]


def test_one_track_takes_the_nearer_of_two_poor_faces() -> None:
    frames = [
        [_seen(0, 0, 100, good=False)],
        [_seen(1, 0, 125, good=False), _seen(1, 0, 105, good=False)],
    ]
    assert _track(frames) == [[0], [1, 0]]


@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=6), st.booleans()
)  # few values, so that many are equal
def test_one_face_or_one_track_is_assigned_as_scipy_would(values: list[int], column: bool) -> None:
    affinity = np.array([values], np.float64)
    affinity = affinity.T if column else affinity
    rows, columns = linear_sum_assignment(affinity, maximize=True)
    best = [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if affinity[r, c] > 0]
    assert _best_pairs(affinity) == best


def test_tracks_that_begin_together_are_numbered_from_left_to_right() -> None:
    assert _track([[_seen(0, 0, 500), _seen(0, 1, 100), _seen(0, 2, 300)]]) == [[2, 0, 1]]


faces = st.builds(
    lambda who, lean, x, y, size, good: Sighting(
        0, 0.0, Box(x, y, x + size, y + size), person(who, lean), good
    ),
    st.integers(0, 2),
    st.floats(0, 1.5),
    st.sampled_from([0.0, 10.0, 40.0, 90.0, 300.0]),
    st.sampled_from([0.0, 15.0, 60.0]),
    st.sampled_from([0.0, 50.0, 80.0]),
    st.booleans(),
)
videos = st.lists(
    st.tuples(st.lists(faces, max_size=4), st.booleans(), st.integers(1, 4)), max_size=8
)
Video = list[tuple[list[Sighting], bool, int]]


def _frames(video: Video) -> list[tuple[float, bool, list[Sighting]]]:
    frames, time_s = [], 0.0
    for sightings, cut, steps in video:
        time_s += steps * STEP_S
        frames.append((time_s, cut, [replace(s, time_s=time_s) for s in sightings]))
    return frames


def _run(frames: list[tuple[float, bool, list[Sighting]]]) -> list[list[int]]:
    tracker = Tracker()
    return [tracker.update(*frame) for frame in frames]


@settings(deadline=None)
@given(videos)
def test_no_track_is_in_a_frame_twice_and_numbers_are_dense(video: Video) -> None:
    frames = _frames(video)
    numbers = _run(frames)
    assert numbers == _run(frames), "the same video twice"
    begun = 0
    for frame in numbers:
        assert len(set(frame)) == len(frame)
        new = {number for number in frame if number >= begun}
        assert new == set(range(begun, begun + len(new)))
        begun += len(new)


@settings(deadline=None)
@given(videos, st.randoms(use_true_random=False))
def test_the_order_within_a_frame_does_not_matter(video: Video, random: object) -> None:
    frames = _frames(video)
    shuffled, orders = [], []
    for time_s, cut, sightings in frames:
        order = list(range(len(sightings)))
        random.shuffle(order)  # type: ignore[attr-defined]
        orders.append(order)
        shuffled.append((time_s, cut, [sightings[i] for i in order]))
    for one, (order, other) in zip(
        _by_face(frames, _run(frames)),
        zip(orders, _by_face(shuffled, _run(shuffled)), strict=True),
        strict=True,
    ):
        assert len(order) == sum(map(len, one.values()))
        assert one == other


def _by_face(
    frames: list[tuple[float, bool, list[Sighting]]], numbers: list[list[int]]
) -> list[dict[object, list[int]]]:
    """Per frame, the track numbers by face; faces that are equal in all have no order."""
    tables = []
    for (_, _, sightings), own in zip(frames, numbers, strict=True):
        table: dict[object, list[int]] = defaultdict(list)
        for face, number in zip(sightings, own, strict=True):
            table[face.box, face.good, face.embedding.tobytes()].append(number)
        tables.append({face: sorted(held) for face, held in table.items()})
    return tables


@settings(deadline=None)
@given(videos)
def test_no_track_crosses_a_cut_or_a_long_gap(video: Video) -> None:
    shot = 0
    shots: dict[int, int] = {}
    last: dict[int, float] = {}
    frames = _frames(video)
    for (time_s, cut, _), numbers in zip(frames, _run(frames), strict=True):
        shot += cut
        for number in numbers:
            assert shots.setdefault(number, shot) == shot
            assert time_s - last.get(number, time_s) <= GAP_S + 0.01
            last[number] = time_s


@settings(deadline=None)
@given(videos)
def test_no_two_good_faces_of_a_track_are_strangers(video: Video) -> None:
    """Each good face resembles the good ones before it: the last, or all of them on average."""
    frames = _frames(video)
    held: dict[int, list[Sighting]] = defaultdict(list)
    for (_, _, sightings), numbers in zip(frames, _run(frames), strict=True):
        for face, number in zip(sightings, numbers, strict=True):
            before = [other.embedding for other in held[number]]
            if face.good and before:
                mean = np.mean(before, axis=0)
                mean /= np.linalg.norm(mean)
                assert max(mean @ face.embedding, before[-1] @ face.embedding) > 0.49
            if face.good:
                held[number].append(face)


def _sightings(
    model: FaceModel, path: Path, every: int
) -> list[tuple[float, bool, list[Sighting], list[float]]]:
    """Time, cut, faces, and how far right each is (0 to 1), of the sampled frames of a clip."""
    shots, frames = ShotDetector(), []
    with VideoReader(path, sampling=Sampling(every=every)) as reader:
        for frame in reader:
            found = model.detect(frame.image)
            chips = model.align(frame.image, found)
            embeddings = model.embed(chips)
            made = [
                Sighting(
                    frame.index,
                    frame.time_s,
                    detection.box,
                    embedding,
                    founds(assess(frame.image, detection, chip, model=model.info.name)),
                )
                for detection, chip, embedding in zip(found, chips, embeddings, strict=True)
            ]
            places = [(s.box.x1 + s.box.x2) / 2 / frame.image.shape[1] for s in made]
            frames.append((frame.time_s, shots.update(frame.image), made, places))
    return frames


GROUPS = {
    # clip -> what lies between its people, as shares of the width, and who they are
    "head-pose-face-detection-female-and-male.gif": ([0.5], ["intel_female", "intel_male"]),
    "face-demographics-walking-and-pause.gif": (
        [0.35, 0.6],
        ["intel_female", "intel_walk_other1", "intel_walk_other2"],
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_each_of_several_people_in_a_real_clip_is_one_track(
    sface: FaceModel, clip: Callable[[str], Path], shared_data: Path, name: str
) -> None:
    borders, people = GROUPS[name]
    with (shared_data / "videos" / "labels.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["person"] for row in rows if row["video"] == name} == set(people)
    tracker = Tracker()
    tracks: dict[int, set[str]] = defaultdict(set)
    for time_s, cut, sightings, places in _sightings(sface, clip(name), every=4):
        for place, number in zip(places, tracker.update(time_s, cut, sightings), strict=True):
            tracks[number].add(people[int(np.searchsorted(borders, place))])
    assert sorted(map(sorted, tracks.values())) == [[who] for who in sorted(people)]


def test_clips_joined_before_one_background_never_share_a_track(
    sface: FaceModel, clip: Callable[[str], Path]
) -> None:
    """Five people, one place, and nobody tells of the cuts."""
    names = ("want", "bird", "no", "learn", "night")  # signers E, B, A, C, D
    clips = [_sightings(sface, clip(f"asl_gestures/{name}.mkv"), every=10) for name in names]
    for first in range(len(clips)):
        for second in range(len(clips)):
            if first == second:
                continue
            tracker, held = Tracker(), []
            end = clips[first][-1][0] + STEP_S
            for number, start in ((first, 0.0), (second, end)):
                seen: set[int] = set()
                for time_s, _, sightings, _ in clips[number]:
                    later = [replace(s, time_s=s.time_s + start) for s in sightings]
                    seen.update(tracker.update(time_s + start, False, later))
                held.append(seen)
            assert not held[0] & held[1], (names[first], names[second])
            assert len(held[0] | held[1]) <= 5  # two people, and hands taken for faces
