"""The page of a calibration as a browser shows it: what it says, and what is to be seen of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest

from registry.calibration.measurement import calibrate
from registry.calibration.page import page
from registry.core.registry import Registry
from registry.domain import Image
from tests.calibration.test_calibrating import beside, party
from tests.support.browser import Browser, browser
from tests.support.factories import person
from tests.support.portraits import put
from tests.support.registries import new_registry

__all__ = ["browser"]
WIDTH, HEIGHT = 1200, 2000
STRANGERS, THRESHOLD, FACE = (0x00, 0x5E, 0xD5), (0x27, 0x23, 0x1F), (255, 0, 255)
"""BGR: bars of two people (drawn half transparent), the line of a threshold, a face's picture."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Six people in a frame, and one of them in another with a mirror; every crop is magenta."""
    _, data = cv2.imencode(".jpg", np.full((120, 120, 3), FACE, np.uint8))
    crop = data.tobytes()
    with new_registry(tmp_path / "registry") as opened:
        mirror = beside("mirror<b>", person(0), person(0, 0.1))
        for video in (party(), mirror):
            digest = hashlib.sha256(crop).hexdigest()
            faces = tuple(replace(face, crop_digest=digest) for face in video.faces)
            put(opened, (replace(video, faces=faces), [crop] * len(faces)))
        yield opened


@pytest.fixture
def path(registry: Registry, tmp_path: Path) -> Path:
    path = tmp_path / "calibration.html"
    path.write_text(page(registry, calibrate(registry)), encoding="utf-8")
    return path


def _text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html.partition("<body>")[2])).split())


def _close(picture: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture is of this colour: bool (H, W)."""
    far = np.abs(picture.astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
    return np.asarray(far < 12)


def test_a_browser_reads_all_that_the_page_says(
    browser: Browser, path: Path, registry: Registry
) -> None:
    found = calibrate(registry)
    html = browser.document(path)
    said = _text(html)
    assert "Calibration of test-model" in said
    for level in (found.calibration.lookup, found.calibration.linkage):
        assert f"{level.threshold:.3f} (moved) {level.low:.3f} to {level.high:.3f}" in said
    assert "two people: 15 pairs, of 15 pairs of people" in said
    assert "False rejects" in said or "no pairs of one person" in said
    assert "mirror<b>.mp4 at 0.0 s" in said, "what a stranger named shows as text"
    assert html.count("<svg") == html.count("</svg>") == 1
    assert html.count("<tr>") == 3, "the table is whole"
    assert "<b>" not in html


def test_a_browser_shows_the_chart_and_the_faces(browser: Browser, path: Path) -> None:
    picture = browser.picture(path, WIDTH, HEIGHT)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert _close(picture, (255, 255, 255)).mean() > 0.5, "a page on white"
    # Half of the colour of strangers on white: bars of three panels apart from each other.
    pale = tuple(round(0.55 * c + 0.45 * 255) for c in STRANGERS)
    assert _close(picture, (pale[0], pale[1], pale[2])).sum() > 500
    upright = _close(picture, THRESHOLD).sum(axis=0)
    assert upright.max() > 300, "the line of the threshold stands in all panels"
    # Two pictures side by side in the size that the style gives them, which the policy lets pass.
    faces = _close(picture, FACE)
    count, _, stats, _ = cv2.connectedComponentsWithStats(faces.astype(np.uint8))
    squares = [tuple(s[2:4]) for s in stats[1:count] if s[4] > 1000]
    assert len(squares) == 2
    for width, height in squares:
        assert (width, height) == pytest.approx((136, 136), abs=3)
