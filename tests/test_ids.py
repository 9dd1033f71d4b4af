"""Ids follow from what they name, and stay what they are."""

from __future__ import annotations

from uuid import UUID

from registry import ids


def test_ids_are_version_5_uuids_and_stay_the_same() -> None:
    made = ids.video_id("https://example.com/a.mp4")
    assert made == "59b8cba4-c69d-5aa6-bba1-2e0fc798b5bb"
    assert UUID(made).version == 5


def test_each_part_of_a_face_counts() -> None:
    made = {
        ids.face_id("v", "m", 1, 2),
        ids.face_id("w", "m", 1, 2),
        ids.face_id("v", "n", 1, 2),
        ids.face_id("v", "m", 2, 2),
        ids.face_id("v", "m", 1, 1),
        ids.face_id("v", "m", 12, 1),
    }
    assert len(made) == 6
