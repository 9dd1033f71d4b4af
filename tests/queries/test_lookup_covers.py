"""Lookups of covered and spoilt faces, and lookups where such faces are on record."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from queries.answers import LookupAnswer
from queries.folder_lookup import lookup_folder
from queries.lookup import lookup, open_gallery
from queries.lookup_commands import print_answer
from registry.core.registry import Registry
from registry.domain import Image, Quality, Vectors, Video
from registry.models.base import FaceModel
from registry.terminal import Terminal
from tests.support.factories import video
from tests.support.registries import open_empty, put

EYES, MOUTH, PIXELATED = ("covered_eyes",), ("covered_mouth",), ("pixelated",)


@pytest.fixture
def registry(tmp_path: Path, sface: FaceModel) -> Iterator[Registry]:
    with open_empty(tmp_path / "registry", sface) as opened:
        yield opened


@pytest.fixture(scope="module")
def in_sunglasses(sface: FaceModel, astronaut: Image) -> Image:
    [found] = sface.detect(astronaut)
    across = float(np.linalg.norm(found.landmarks[1] - found.landmarks[0]))
    worn = astronaut.copy()
    for x, y in found.landmarks[:2]:
        axes = round(0.42 * across), round(0.3 * across)
        cv2.ellipse(worn, (round(x), round(y)), axes, 0, 0, 360, (30, 25, 20), -1, cv2.LINE_AA)
    return worn


@pytest.fixture(scope="module")
def pixelated(sface: FaceModel, astronaut: Image) -> Image:
    [found] = sface.detect(astronaut)
    spoilt, box = astronaut.copy(), found.box
    face = spoilt[round(box.y1) : round(box.y2), round(box.x1) : round(box.x2)]
    blocks = cv2.resize(face, (12, 14), interpolation=cv2.INTER_AREA)
    face[:] = cv2.resize(blocks, face.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return spoilt


def embedding_of(model: FaceModel, image: Image) -> Vectors:
    [detection] = model.detect(image)
    return np.asarray(model.embed(model.align(image, [detection]))[0], np.float32)


def on_record(registry: Registry, name: str, embedding: Vectors, reasons: tuple[str, ...]) -> str:
    """Put a video with one face of this quality on record, and return its identity."""
    [seen] = put(registry, marked(video(name, [embedding]), reasons))
    return seen.faces[0].identity_id


def marked(shown: Video, reasons: tuple[str, ...]) -> Video:
    quality = Quality(0.9, reasons)
    return replace(shown, faces=tuple(replace(face, quality=quality) for face in shown.faces))


def ask(registry: Registry, photo: Image) -> LookupAnswer:
    return lookup(registry, photo, channels="BGR", provisional=True)


def printed(answer: LookupAnswer) -> str:
    out = io.StringIO()
    print_answer(Terminal({}, out=Console(file=out, width=200)), answer)
    return out.getvalue()


def test_a_spoilt_face_in_the_photo_is_compared_with_nobody(
    registry: Registry, sface: FaceModel, pixelated: Image, tmp_path: Path
) -> None:
    on_record(registry, "a", embedding_of(sface, pixelated), ())
    answer = ask(registry, pixelated)
    [probe] = answer.faces
    assert "pixelated" in probe.quality.reasons
    assert (probe.matches, probe.nearest, probe.close_second) == ((), None, None)
    assert "too pixelated" in printed(answer)
    assert "not compared" in printed(answer)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/face.png"), pixelated)
    [row] = lookup_folder(registry, tmp_path / "photos").to_dict("records")
    assert row["verdict"] == "unclear"


def test_an_embedding_that_is_too_short_is_no_face(
    registry: Registry, sface: FaceModel, astronaut: Image
) -> None:
    blurred = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 14), np.uint8)
    detections = sface.detect(blurred)
    _, lengths = sface.embed_with_lengths(sface.align(blurred, detections))
    answer = ask_after(registry, "a", embedding_of(sface, blurred), blurred)
    assert lengths[0] < 7.0
    assert "unclear" in answer.faces[0].quality.reasons
    assert answer.faces[0].matches == ()


def ask_after(registry: Registry, name: str, embedding: Vectors, photo: Image) -> LookupAnswer:
    on_record(registry, name, embedding, ())
    return ask(registry, photo)


def test_a_covered_face_matches_plain_faces_and_those_with_other_covers(
    registry: Registry, sface: FaceModel, in_sunglasses: Image
) -> None:
    embedding = embedding_of(sface, in_sunglasses)
    on_record(registry, "sunglasses", embedding, EYES)
    answer = ask(registry, in_sunglasses)
    [probe] = answer.faces
    assert "covered_eyes" in probe.quality.reasons
    assert (probe.matches, probe.nearest) == ((), None)
    plain = on_record(registry, "plain", embedding, ())
    answer = ask(registry, in_sunglasses)
    [match] = answer.faces[0].matches
    assert (match.identity, match.lead) == (plain, False)
    assert match.false_accept_rate is not None
    assert "covered at the eyes:" in printed(answer)
    assert "likely the same person" in printed(answer) or "same by" in printed(answer)
    on_record(registry, "mask", embedding, MOUTH)
    shown = {one.video_url.exposed() for m in ask(registry, in_sunglasses).faces[0].matches
             for one in m.evidence}  # fmt: skip
    assert shown == {"https://example.com/plain.mp4", "https://example.com/mask.mp4"}


def test_spoilt_faces_on_record_do_not_answer_however_many_there_are(
    registry: Registry, sface: FaceModel, astronaut: Image
) -> None:
    embedding = embedding_of(sface, astronaut)
    on_record(registry, "spoilt", embedding, PIXELATED)
    put(registry, marked(video("many", [embedding] * 200), PIXELATED))
    assert ask(registry, astronaut).faces[0].matches == ()
    other = np.random.default_rng(1).normal(size=embedding.shape)
    further = 0.7 * embedding + 0.7 * other / np.linalg.norm(other)
    plain = on_record(registry, "plain", np.asarray(further / np.linalg.norm(further)), ())
    [match] = ask(registry, astronaut).faces[0].matches
    assert match.identity == plain


def test_rates_of_faces_unlike_those_they_were_measured_on_are_twice_as_high(
    registry: Registry, sface: FaceModel, astronaut: Image, in_sunglasses: Image
) -> None:
    on_record(registry, "a", embedding_of(sface, astronaut), ())
    gallery = open_gallery(registry, top=1, threshold=None, provisional=True)
    clean = gallery.stated_rate(0.42, Quality(0.95))
    assert gallery.stated_rate(0.42, Quality(0.8)) == 2 * clean  # small, or dark
    assert gallery.stated_rate(0.42, Quality(0.95, EYES)) == 2 * clean
    assert gallery.stated_rate(-1.0, Quality(0.8)) == 1.0
    [match] = ask(registry, astronaut).faces[0].matches
    assert match.false_accept_rate == gallery.thresholds.finest
    [match] = ask(registry, in_sunglasses).faces[0].matches
    assert match.false_accept_rate == gallery.stated_rate(match.similarity, Quality(0.95, EYES))
