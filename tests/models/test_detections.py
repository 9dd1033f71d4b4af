"""From a detector's rows to detections, whatever the rows hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from registry.domain import Box, Detection
from registry.models.detections import sorted_detections

WIDTH, HEIGHT = 100, 60
NUMBERS = st.one_of(
    st.floats(-200, 200, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 100.0])
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=6)
POINTS = np.full((5, 2), 3, np.float32)


def detections(
    boxes: object, landmarks: NDArray[np.float32] = POINTS, score: float = 0.9
) -> list[Detection]:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return sorted_detections(
        rows,
        np.broadcast_to(landmarks, (len(rows), 5, 2)),
        np.full(len(rows), score, np.float32),
        width=WIDTH,
        height=HEIGHT,
    )


@given(ROWS)
def test_boxes_lie_in_the_image_and_in_order(rows: list[tuple[float, ...]]) -> None:
    boxes = [found.box for found in detections(rows)]
    assert all(0 <= b.x1 < b.x2 <= WIDTH and 0 <= b.y1 < b.y2 <= HEIGHT for b in boxes)
    assert [(b.x1, b.y1) for b in boxes] == sorted((b.x1, b.y1) for b in boxes)


def test_boxes_are_clipped() -> None:
    (found,) = detections([-10, 5, 120, 80])
    assert found.box == Box(0, 5, 100, 60)


def test_a_box_outside_the_image_is_no_face() -> None:
    assert detections([[-20, 0, -1, 9], [100, 0, 120, 9], [5, 60, 9, 70]]) == []


def test_what_is_not_finite_is_no_face() -> None:
    broken = POINTS.copy()
    broken[2, 1] = np.nan
    assert detections([1, 1, 9, 9], broken) == []
    assert detections([1, 1, 9, 9], score=np.nan) == []


def test_a_detection_keeps_no_view_of_the_rows() -> None:
    landmarks = POINTS.copy()
    (found,) = detections([1, 1, 9, 9], landmarks)
    landmarks[:] = 0
    assert (found.landmarks == 3).all()
