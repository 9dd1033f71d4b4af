"""Calibration of a registry: which pairs count, who is suspected, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from registry.calibration.measurement import adopt, calibrate, supported
from registry.calibration.page import page
from registry.calibration.pairs import gather_pairs
from registry.calibration.text import sentences
from registry.calibration.thresholds import Basis
from registry.copies.backup import backup, restore
from registry.core import keys
from registry.core import operating_point as operating
from registry.core.opening import open_registry
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Box, Face, Quality, Vectors, Video
from registry.errors import StoreCorrupt, UsageError
from registry.people import joining
from registry.people.corrections import FaceSelection, merge, separate, split, undo
from registry.people.side_by_side import known_apart
from registry.upkeep.status import dump
from tests.support.factories import MODEL, face, person, unit, video
from tests.support.registries import new_registry, put, who

GOOD, BLURRED = Quality(0.8), Quality(0.1, ("blurred",))


def scene(
    name: str, *frames: Sequence[tuple[Vectors, float, Quality]], every_s: float = 1
) -> Video:
    """Frames that show (embedding, left edge in px, quality) side by side, each place a track."""
    empty = video(name, [])
    faces: list[Face] = []
    for i, frame in enumerate(frames):
        for position, (embedding, left, quality) in enumerate(frame):
            made = face(empty.video_id, 30 * i, embedding, position=position)
            box = Box(float(left), 20.0, left + 50.0, 80.0)
            made = replace(made, time_s=float(i * every_s), box=box, quality=quality)
            faces.append(replace(made, landmarks=made.landmarks * 0))
    return replace(empty, faces=tuple(faces))


def beside(name: str, *embeddings: Vectors) -> Video:
    """A frame of faces side by side."""
    return scene(name, [(e, 100.0 * i, GOOD) for i, e in enumerate(embeddings)])


def party(people: int = 6, lean: float = 0.0) -> Video:
    """So many people in one frame; any two are alike by lean² / (1 + lean²)."""
    return beside("party", *(person(i, lean) for i in range(people)))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "registry") as opened:
        yield opened


def test_faces_side_by_side_are_two_people_with_all_of_their_tracks(registry: Registry) -> None:
    one, other = person(0), person(1)
    put(registry, scene("a", [(one, 0, GOOD), (other, 200, GOOD)], [(person(0, 0.3), 0, GOOD)]))
    found = gather_pairs(registry)
    [sampled] = found.side_by_side.values()
    assert len(sampled.faces.values()) == 2
    assert len(sampled.tracks.values()) == 1
    assert sampled.best is not None
    assert sampled.best.similarity == pytest.approx(0, abs=1e-6)
    assert (found.people, found.tracks, found.videos) == (2, 2, 1)


@pytest.mark.parametrize("left", [0.0, 10.0])
def test_boxes_that_overlap_are_no_pair_nor_is_a_poor_face(registry: Registry, left: float) -> None:
    frame = [(person(0), 0, GOOD), (person(1), left, GOOD), (person(2), 300, BLURRED)]
    put(registry, scene("a", frame))
    assert gather_pairs(registry).side_by_side == {}


def test_one_track_is_one_person_where_it_is_far_apart(registry: Registry) -> None:
    leaning = [person(0), person(0, 0.2), person(0, 0.4)]
    near = scene("near", *([(e, 0.0, GOOD)] for e in leaning), every_s=0.3)
    put(registry, near)
    assert len(gather_pairs(registry).within.similarities) == 0
    put(registry, scene("far", *([(e, 0.0, GOOD)] for e in leaning)))
    assert gather_pairs(registry).within.similarities.min() == pytest.approx(
        leaning[0] @ leaning[2]
    )


def test_what_a_person_merged_is_one_and_what_the_rule_joined_is_not(registry: Registry) -> None:
    a, b, c = put(
        registry, beside("a", person(0)), beside("b", person(0, 0.1)), beside("c", person(0, 0.9))
    )
    assert who(registry, a) == who(registry, b)
    assert len(gather_pairs(registry).across.similarities) == 0
    joining.consolidate(registry)
    assert who(registry, c) == who(registry, a)
    assert len(gather_pairs(registry).across.similarities) == 0
    undo(registry)
    merge(registry, [who(registry, a), who(registry, c)])
    found = gather_pairs(registry).across
    expected = [person(0) @ person(0, 0.9), person(0, 0.1) @ person(0, 0.9)]
    assert sorted(found.similarities) == pytest.approx(sorted(expected), abs=1e-6)


def test_what_a_person_told_apart_stands_for_itself_alone(registry: Registry) -> None:
    put(registry, party())
    a, b = put(registry, beside("a", person(6)), beside("b", person(6, 0.9)))
    assert calibrate(registry).faces.estimate.support.of_people == 15
    separate(registry, a.faces[0].identity_id, b.faces[0].identity_id)
    found = calibrate(registry)
    assert found.faces.estimate.support.of_people == 16
    weights = found.faces.impostors.weights
    assert weights is not None
    assert sorted(set(weights.tolist())) == [1.0, (8 * 7 / 2 - 1) / 15]


def test_a_split_tells_apart(registry: Registry) -> None:
    a, b = put(registry, beside("a", person(0)), beside("b", person(0, 0.1)))
    split(registry, who(registry, a), FaceSelection(videos=(b.url.exposed(),)))
    [sampled] = gather_pairs(registry).separated.values()
    assert sampled.tracks.values() == pytest.approx([person(0) @ person(0, 0.1)], abs=1e-6)


def test_one_person_twice_in_a_frame_is_a_suspect_and_no_pair(registry: Registry) -> None:
    put(registry, party(), beside("mirror", person(0), person(0, 0.1)))
    found = calibrate(registry)
    [suspect] = found.suspects
    assert suspect.one_identity
    assert suspect.seen.video_url.exposed().endswith("mirror.mp4")
    assert found.faces.estimate.support.of_people == 15


def test_the_page_and_the_text_show_whom_to_look_at(registry: Registry) -> None:
    put(registry, party(), beside("mirror<b>", person(0), person(0, 0.1)))
    found = calibrate(registry)
    html = page(registry, found)
    assert html.count("data:image/jpeg;base64,") == 2
    assert "mirror&lt;b&gt;.mp4 at 0.0 s" in html
    assert "<b>" not in html
    [line] = [line for line in sentences(found) if "both are" in line]
    assert "mirror<b>.mp4 at 0.0 s" in line


def test_too_alike_to_be_two_is_set_aside_until_a_person_says_so(registry: Registry) -> None:
    # 0.84 alike, below the rule: a screen behind the speaker. The others are at right angles.
    _, screen = put(registry, party(), beside("screen", person(6), person(6, 0.65)))
    found = calibrate(registry)
    [suspect] = found.suspects
    assert not suspect.one_identity
    assert set(suspect.seen.identities) == {f.identity_id for f in screen.faces}
    assert found.faces.with_suspects > found.faces.estimate.threshold
    separate(registry, *suspect.seen.identities)
    again = calibrate(registry)
    assert again.suspects == ()
    assert again.faces.estimate.threshold == pytest.approx(found.faces.with_suspects)


def test_identities_that_are_one_person_count_once(registry: Registry) -> None:
    """Consolidation would join them, so the same two hosts in two videos are one pair."""
    one, other = person(0), person(1)
    put(registry, beside("a", one, other), beside("b", person(0, 0.8), person(1, 0.8)))
    assert registry.index.count_identities() == 4
    found = gather_pairs(registry)
    assert found.people == 2
    [sampled] = found.side_by_side.values()
    assert len(sampled.tracks.values()) == 2


def test_too_few_change_nothing(registry: Registry) -> None:
    put(registry, beside("a", person(0), person(1)))
    found = calibrate(registry)
    assert not supported(found)
    assert found.faces.estimate.basis is Basis.SHIPPED
    with pytest.raises(UsageError, match="--target-far"):
        calibrate(registry, target=0.5)


def test_thresholds_are_in_force_from_then_on(registry: Registry) -> None:
    same = unit(0, 0, 0, 0, 0, 1), unit(0, 0, 0, 0, 0, 1, 0.9)
    put(registry, party(5, lean=1.0), beside("a", same[0]), beside("b", same[1]))
    assert current_thresholds(registry).linkage == 0.28
    found = calibrate(registry)
    assert supported(found)
    # Strangers are 0.5 alike here, far more than to the model.
    assert found.faces.estimate.threshold > 0.6
    assert found.calibration.linkage.threshold > 0.75
    assert joining.count_duplicates(registry) == 1
    adopt(registry, found)
    lines = current_thresholds(registry)
    assert (lines.lookup, lines.calibrated) == (found.faces.estimate.threshold, True)
    assert lines.curve.far(lines.lookup) == pytest.approx(found.faces.estimate.far)
    assert joining.count_duplicates(registry) == 0
    assert len(joining.duplicate_groups(registry, threshold=0.28)) == 1, (
        "an explicit one goes first"
    )
    assert operating.remove_calibration(registry)
    assert current_thresholds(registry).linkage == 0.28
    assert not operating.remove_calibration(registry)


def test_calibrating_twice_says_the_same(registry: Registry) -> None:
    put(registry, party())
    one, other = (replace(calibrate(registry).calibration, at="", by="") for _ in range(2))
    assert one == other


def test_a_calibration_of_another_model_does_not_count(registry: Registry) -> None:
    put(registry, party())
    found = calibrate(registry).calibration
    operating.save_calibration(registry, replace(found, model="other", model_digest="e" * 64))
    lines = current_thresholds(registry)
    assert (lines.calibrated, lines.lookup) == (False, MODEL.verification_threshold)
    assert "another model (other" in lines.warning
    assert "face-registry calibrate" in lines.warning


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"model": 1}'])
def test_a_damaged_one_is_named_and_can_be_removed(registry: Registry, damage: bytes) -> None:
    registry.blobs.unguarded.put(keys.CALIBRATION, damage)
    with pytest.raises(StoreCorrupt, match=r"calibration\.json is damaged .*--reset"):
        current_thresholds(registry)
    assert operating.remove_calibration(registry)


def test_a_flipped_digit_is_found(registry: Registry) -> None:
    put(registry, party())
    adopt(registry, calibrate(registry))
    data = registry.blobs.get(keys.CALIBRATION)
    registry.blobs.unguarded.put(
        keys.CALIBRATION, data.replace(b'"basis": "moved"', b'"basis": "model"')
    )
    with pytest.raises(StoreCorrupt, match="digest"):
        current_thresholds(registry)


def test_it_names_nobody_so_an_erasure_leaves_nothing_of_a_person_in_it(registry: Registry) -> None:
    videos = put(registry, party())
    gone = videos[0].faces[0]
    adopt(registry, calibrate(registry))
    registry.forget(gone.identity_id)
    text = registry.blobs.get(keys.CALIBRATION).decode()
    for one in videos:
        assert one.video_id not in text
        assert one.url.exposed() not in text
        assert not any(f.identity_id in text or f.face_id in text for f in one.faces)
    assert set(json.loads(text)) == {
        "at", "by", "curve", "digest", "linkage", "lookup", "model", "model_digest"
    }  # fmt: skip
    assert current_thresholds(registry).calibrated


def test_a_backup_carries_it(registry: Registry, tmp_path: Path) -> None:
    put(registry, party())
    adopt(registry, calibrate(registry))
    backup(registry, tmp_path / "all.zip")
    home = tmp_path / "restored"
    with open_registry(home=home) as restored:
        restore(restored, tmp_path / "all.zip")
        assert current_thresholds(restored) == current_thresholds(registry)
        assert dump(restored)["calibration"] == dump(registry)["calibration"] is not None


def test_known_apart_says_how(registry: Registry) -> None:
    a, b = put(registry, beside("a", person(0), person(1)), beside("b", person(2)))
    first, second, third = (f.identity_id for f in (*a.faces, *b.faces))
    sentence = f"They are side by side in {a.url.exposed()} at 0.0 s."
    assert known_apart(registry, first, second) == sentence
    assert known_apart(registry, first, third) == ""
    number = separate(registry, first, third).number
    assert known_apart(registry, first, third) == f"Decision {number} separates them."
