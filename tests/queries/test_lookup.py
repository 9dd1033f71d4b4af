"""Lookups with the default model: who is unknown, how sure a match is, and who is close behind."""

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
from queries.lookup import lookup
from queries.lookup_commands import print_answer
from registry.calibration.thresholds import Basis
from registry.core import operating_point as operating
from registry.core.operating_point import CalibratedThreshold, Calibration
from registry.core.registry import Registry
from registry.domain import Box, Image, Quality, Vectors, Video
from registry.models.base import FaceModel
from registry.people.corrections import separate
from registry.terminal import Terminal
from tests.support.factories import face, video
from tests.support.registries import open_empty, put


@pytest.fixture(scope="module")
def embedding(sface: FaceModel, astronaut: Image) -> Vectors:
    """The astronaut's."""
    vectors: Vectors = sface.embed(sface.align(astronaut, sface.detect(astronaut)))
    return np.asarray(vectors[0], np.float32)


@pytest.fixture
def registry(tmp_path: Path, sface: FaceModel) -> Iterator[Registry]:
    with open_empty(tmp_path / "registry", sface) as opened:
        yield opened


def like(embedding: Vectors, cosine: float, seed: int) -> Vectors:
    """Somebody of this cosine to an embedding."""
    other = np.random.default_rng(seed).normal(size=embedding.shape)
    other -= (other @ embedding) * embedding
    other /= np.linalg.norm(other)
    mixed = cosine * embedding + np.sqrt(1 - cosine**2) * other
    return np.asarray(mixed / np.linalg.norm(mixed), np.float32)


def in_frame(name: str, *embeddings: Vectors) -> Video:
    """Faces side by side."""
    empty = video(name, [])
    faces = [face(empty.video_id, 0, e, position=i) for i, e in enumerate(embeddings)]
    placed = [replace(f, box=Box(100.0 * i, 0, 100.0 * i + 50, 60)) for i, f in enumerate(faces)]
    return replace(empty, faces=tuple(placed))


def ask(registry: Registry, photo: Image, **options: float) -> LookupAnswer:
    threshold, top = options.get("threshold"), int(options.get("top", 5))
    return lookup(registry, photo, channels="BGR", threshold=threshold, top=top)


def printed(answer: LookupAnswer) -> str:
    out = io.StringIO()
    print_answer(Terminal({}, out=Console(file=out)), answer)
    return out.getvalue()


def test_one_who_is_not_alike_enough_is_unknown_and_nobody_is_named(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [like(embedding, 0.31, 1)]))
    answer = ask(registry, astronaut)
    [probe] = answer.faces
    assert (probe.matches, probe.close_second) == ((), None)
    assert probe.nearest == pytest.approx(0.31, abs=1e-4)
    [document] = answer.as_dict()["faces"]
    assert (document["unknown"], document["matches"]) == (True, [])
    assert document["nearest_similarity"] == pytest.approx(0.31, abs=1e-4)
    assert ask(registry, astronaut, threshold=0.3).faces[0].matches


def test_who_passes_only_a_lower_threshold_is_a_lead_and_no_likely_person(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [like(embedding, 0.45, 1)]), video("b", [like(embedding, 0.31, 2)]))

    def said(**options: float) -> list[str]:
        answer = ask(registry, astronaut, **options)
        assert answer.as_dict()["operating_point"] == 0.40
        return [line for line in printed(answer).splitlines() if line.endswith(")")]

    assert [line.partition("(")[2] for line in said() if "FPIR" not in line] == [
        "likely the same person)"
    ]
    assert [line.partition("(")[2] for line in said(threshold=0.3) if "FPIR" not in line] == [
        "likely the same person)",
        "a lead, not a match: below the registry's threshold of 0.400)",
    ]


def test_a_match_says_how_often_a_stranger_is_as_alike(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [like(embedding, 0.41, 1)]), video("b", [like(embedding, 0.0, 2)]))
    answer = ask(registry, astronaut)
    assert (answer.identities, answer.threshold) == (2, 0.40)
    assert "LFW" in answer.rates
    [match] = answer.faces[0].matches
    assert match.false_accept_rate == pytest.approx(6.78e-5, rel=0.05)
    assert match.false_accept_rate is not None
    assert match.false_positive_identification_rate == pytest.approx(
        2 * match.false_accept_rate, rel=1e-3
    )
    assert (match.rates_are_bounds, match.lead) == (False, False)
    [document] = answer.as_dict()["faces"][0]["matches"]
    assert document["false_accept_rate"] == match.false_accept_rate


def test_no_rate_is_finer_than_what_was_measured(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [like(embedding, 0.8, 1)]), video("b", [like(embedding, 0.0, 2)]))
    answer = ask(registry, astronaut)
    [match] = answer.faces[0].matches
    assert match.false_accept_rate == 1 / 60_000
    assert match.false_positive_identification_rate == pytest.approx(2 / 60_000, rel=1e-3)
    assert match.rates_are_bounds
    assert (
        "false-accept rate below 1 in 60,000 comparisons, the finest that was measured; below "
        "3.3e-5 among 2 identities (FPIR)"
    ) in printed(answer)


def test_a_registry_that_measured_its_own_rates_says_no_finer_ones(
    registry: Registry, embedding: Vectors, astronaut: Image, sface: FaceModel
) -> None:
    put(registry, video("a", [like(embedding, 0.8, 1)]))
    line = CalibratedThreshold(
        0.4, 0.35, 0.45, 1e-2, 1e-2, 5e-3, 2e-2, str(Basis.MEASURED), 0.4, 900, 40, 40, 400.0
    )
    own = Calibration("sface", sface.info.digest, line, line, ((0.2, 0.5), (0.5, 1e-4)))
    operating.save_calibration(registry, own)
    [match] = ask(registry, astronaut).faces[0].matches
    assert (match.false_accept_rate, match.rates_are_bounds) == (1 / 400, True)


def test_a_poor_face_gets_a_lead_without_rates(
    registry: Registry, sface: FaceModel, astronaut: Image
) -> None:
    [found] = sface.detect(astronaut)
    small = np.asarray(
        cv2.resize(astronaut, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA),
        np.uint8,
    )
    small = np.asarray(cv2.copyMakeBorder(small, 60, 60, 60, 60, cv2.BORDER_REPLICATE), np.uint8)
    detections = sface.detect(small)
    [embedding] = sface.embed(sface.align(small, detections))
    put(registry, video("a", [embedding]))
    assert found.box.height > 5 * detections[0].box.height
    answer = ask(registry, small)
    [probe] = answer.faces
    assert "small" in probe.quality.reasons
    [match] = probe.matches
    assert match.similarity > 0.99
    assert (match.false_accept_rate, match.false_positive_identification_rate) == (None, None)
    assert match.lead
    [document] = answer.as_dict()["faces"]
    assert (document["reasons"], document["matches"][0]["lead"]) == (
        list(probe.quality.reasons),
        True,
    )
    text = printed(answer)
    assert "too small" in text
    assert "no error rate" in text
    assert "a lead, not a match" in text
    assert "likely" not in text


def with_sunglasses(image: Image, model: FaceModel) -> Image:
    [found] = model.detect(image)
    left, right = found.landmarks[0], found.landmarks[1]
    across = float(np.linalg.norm(right - left))
    worn = image.copy()
    for eye in (left, right):
        centre, axes = (int(eye[0]), int(eye[1])), (int(0.42 * across), int(0.3 * across))
        cv2.ellipse(worn, centre, axes, 0, 0, 360, (18, 18, 18), -1)
    one, other = ((int(eye[0]), int(eye[1])) for eye in (left, right))
    cv2.line(worn, one, other, (18, 18, 18), max(2, int(0.08 * across)))
    return worn


def test_faces_covered_in_the_same_way_and_spoilt_ones_are_no_match(
    registry: Registry, sface: FaceModel, astronaut: Image
) -> None:
    worn = with_sunglasses(astronaut, sface)
    [covered] = sface.embed(sface.align(worn, sface.detect(worn)))

    def known(name: str, cosine: float, *reasons: str) -> Video:
        one = video(name, [like(np.asarray(covered, np.float32), cosine, len(name))])
        return replace(one, faces=(replace(one.faces[0], quality=Quality(0.9, reasons)),))

    put(registry, known("plain", 0.5), known("same", 0.8, "covered_eyes"))
    put(registry, known("masked", 0.45, "covered_mouth"), known("ghosted", 0.7, "unclear"))
    answer = lookup(registry, worn, channels="BGR", provisional=True)
    [probe] = answer.faces
    assert probe.quality.reasons == ("covered_eyes",)
    assert probe.nearest == pytest.approx(0.5, abs=1e-3)
    assert [round(match.similarity, 2) for match in probe.matches] == [0.5, 0.45]
    assert not any(match.lead for match in probe.matches)
    assert "covered at the eyes:" in printed(answer)


def test_provisional_identities_answer_only_if_they_are_asked(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    nobody = video("nobody", [like(embedding, 0.7, 1)])
    poor = replace(nobody.faces[0], quality=Quality(0.3, ("low_score",)))
    [nobody, _] = put(
        registry, replace(nobody, faces=(poor,)), video("a", [like(embedding, 0.41, 2)])
    )
    answer = ask(registry, astronaut)
    assert (answer.identities, answer.left_out) == (1, 1)
    [match] = answer.faces[0].matches
    assert (match.similarity < 0.5, match.provisional) == (True, False)
    assert match.false_positive_identification_rate == pytest.approx(match.false_accept_rate)
    answer = lookup(registry, astronaut, channels="BGR", provisional=True)
    assert (answer.identities, answer.left_out) == (2, 0)
    first, second = answer.faces[0].matches
    assert (first.identity, first.provisional) == (nobody.faces[0].identity_id, True)
    assert second.false_positive_identification_rate == pytest.approx(
        2 * (second.false_accept_rate or 0), rel=1e-3
    )


@pytest.mark.parametrize("top", [1, 5])
def test_a_close_second_may_be_the_same_person(
    registry: Registry, embedding: Vectors, astronaut: Image, top: int
) -> None:
    a, b = put(
        registry, video("a", [like(embedding, 0.62, 1)]), video("b", [like(embedding, 0.60, 2)])
    )
    [probe] = ask(registry, astronaut, top=top).faces
    assert len(probe.matches) == min(top, 2)
    second = probe.close_second
    assert second is not None
    assert (second.identity, second.apart) == (b.faces[0].identity_id, "")
    assert second.margin == pytest.approx(0.02, abs=1e-4)
    separate(registry, a.faces[0].identity_id, b.faces[0].identity_id)
    [probe] = ask(registry, astronaut).faces
    assert probe.close_second is not None
    assert probe.close_second.apart == "Decision 1 separates them."


def test_a_close_second_who_was_beside_the_first_is_somebody_else(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, in_frame("a", like(embedding, 0.62, 1), like(embedding, 0.60, 2)))
    [probe] = ask(registry, astronaut).faces
    assert probe.close_second is not None
    assert "side by side in https://example.com/a.mp4" in probe.close_second.apart


def test_a_second_well_behind_is_no_matter(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [like(embedding, 0.62, 1)]), video("b", [like(embedding, 0.5, 2)]))
    [probe] = ask(registry, astronaut).faces
    assert (len(probe.matches), probe.close_second) == (2, None)


def test_a_calibration_moves_the_threshold_and_the_rates(
    registry: Registry, embedding: Vectors, astronaut: Image, sface: FaceModel
) -> None:
    put(registry, video("a", [like(embedding, 0.45, 1)]))
    line = CalibratedThreshold(
        0.5, 0.45, 0.55, 1e-4, 1e-4, 1e-6, 1e-3, str(Basis.MOVED), 0.4, 40, 20, 20, 18.0
    )
    found = Calibration("sface", sface.info.digest, line, line, ((0.2, 0.5), (0.5, 1e-4)))
    operating.save_calibration(registry, found)
    answer = ask(registry, astronaut)
    assert (answer.threshold, answer.faces[0].matches) == (0.5, ())
    assert "calibrated" in answer.rates
    [match] = ask(registry, astronaut, threshold=0.4).faces[0].matches
    assert match.false_accept_rate == pytest.approx(1e-3, rel=0.2)
    operating.save_calibration(registry, replace(found, model_digest="f" * 64))
    stale = ask(registry, astronaut)
    assert stale.threshold == 0.40
    assert "another model" in stale.warning


def test_a_match_says_in_how_many_videos_the_person_is(
    registry: Registry, embedding: Vectors, astronaut: Image
) -> None:
    put(registry, video("a", [embedding]))
    assert "in 1 video; average" in printed(ask(registry, astronaut))
    put(registry, video("b", [embedding]))
    assert "in 2 videos; average" in printed(ask(registry, astronaut))
