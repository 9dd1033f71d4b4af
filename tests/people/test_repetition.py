"""One person twice in a frame: tracks that stay alike through a shot join, others do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.core.registry import Registry
from registry.domain import Box, Face, Quality, Vectors, Video
from registry.people import joining
from registry.people.consolidation import BESIDE
from registry.people.corrections import separate
from registry.people.evidence import gather_evidence
from registry.people.observed_faces import pair
from tests.support.factories import face, unit, video
from tests.support.registries import new_registry, put

GOOD, BLURRED, MASKED = Quality(0.8), Quality(0.1, ("blurred",)), Quality(0.8, ("covered_mouth",))
Beside = tuple[Vectors, Vectors]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry") as opened:
        yield opened


def _together(
    name: str, *frames: Beside, other: Quality = GOOD, left: float = 200.0, tracks: bool = True
) -> Video:
    """Two faces side by side in each frame, in tracks 0 and 1, or all in track 0."""
    empty = video(name, [])
    faces: list[Face] = []
    for number, beside in enumerate(frames):
        for position, embedding in enumerate(beside):
            made = face(empty.video_id, 10 * number, embedding, position=position)
            x, quality = position * left, other if position else GOOD
            box = Box(x, 20.0, x + 50.0, 80.0)
            track = position if tracks else 0
            faces.append(replace(made, track=track, box=box, quality=quality))
    return replace(empty, faces=tuple(faces))


def _living(cosine: float, frames: int = 4) -> list[Beside]:
    """Two faces of this cosine in each frame; the first changes to a cosine of 0.87 meanwhile."""
    found: list[Beside] = []
    for number in range(frames):
        change = [0.0] * 4
        change[number % 4] = 0.13**0.5
        one = unit(0.87**0.5, 0.0, *change)
        found.append((one, cosine * one + (1 - cosine**2) ** 0.5 * unit(0.0, 1.0)))
    return found


def _linked(registry: Registry, *videos: Video) -> frozenset[tuple[str, str]]:
    put(registry, *videos)
    return gather_evidence(registry).linked


def test_tracks_that_stay_alike_join_however_little_they_resemble_each_other_elsewhere(
    registry: Registry,
) -> None:
    """A reflection that resembles the person in no other video."""
    mirror = _together("mirror", *_living(0.55))
    first, second = (f.identity_id for f in put(registry, mirror)[0].faces[:2])
    others = [video(f"other {i}", [unit(0.8, -0.6, 0.75 * (i == 0))]) for i in range(2)]
    put(registry, *others)
    evidence = gather_evidence(registry)
    assert pair(first, second) in evidence.linked
    without = joining.duplicate_groups(registry, replace(evidence, steady=frozenset()))
    assert all(second not in group for group in without)
    [reason] = [s.reason for s in joining.suggest(registry) if s.reason]
    assert reason == BESIDE
    joining.consolidate(registry)
    assert len(set(registry.index.identities())) == 1
    assert gather_evidence(registry).linked == frozenset()  # nothing is left to join


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(_together("a", *_living(0.38)), id="not alike"),
        pytest.param(_together("a", *_living(0.6, 3), _living(0.38, 4)[3]), id="not in one frame"),
        pytest.param(_together("a", *_living(0.6, 2)), id="too few frames"),
        pytest.param(_together("a", *5 * _living(0.6, 1)), id="a still"),
        pytest.param(_together("a", *_living(0.6), other=BLURRED), id="poor faces"),
        pytest.param(_together("a", *_living(0.6), left=5.0), id="one face found twice"),
        pytest.param(_together("a", *_living(0.6), tracks=False), id="one track"),
    ],
)
def test_what_is_no_proof_of_one_person(registry: Registry, scene: Video) -> None:
    assert _linked(registry, scene) == frozenset()


def test_two_in_masks_who_stay_alike_are_two_people(registry: Registry) -> None:
    scene = _together("a", *_living(0.6), other=MASKED)
    masked = tuple(replace(one, quality=MASKED) for one in scene.faces)
    assert _linked(registry, replace(scene, faces=masked)) == frozenset()


def test_twins_whom_a_person_separated_stay_two(registry: Registry) -> None:
    [scene] = put(registry, _together("a", *_living(0.6)))
    one, other = (found.identity_id for found in scene.faces[:2])
    separate(registry, one, other)
    joining.consolidate(registry)
    assert registry.view.root(one) != registry.view.root(other)


def test_two_who_are_unlike_in_another_frame_stay_two(registry: Registry) -> None:
    alike, unlike = _living(0.55, 3), (unit(1.0), unit(0.2, 0.98))
    [scene] = put(registry, _together("a", *alike))
    put(registry, _together("b", unlike))
    one, other = (found.identity_id for found in scene.faces[:2])
    evidence = gather_evidence(registry)
    assert pair(one, other) in evidence.linked
    assert evidence.apart
