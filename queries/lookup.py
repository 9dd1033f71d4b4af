"""Lookup: each face of a photo is compared with every face on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from queries.answers import CloseSecond, LookupAnswer, Match, MatchedFace, Probe
from queries.averages import average_of
from queries.detection import LEAST_FACE, detect_at_full_size
from queries.photos import Channels, Photo, PhotoSource, load_photo
from registry.core.index import SimilarFace
from registry.core.operating_point import Thresholds, current_thresholds
from registry.core.registry import Registry
from registry.domain import Box, Detection, Quality, Vectors
from registry.errors import ImageError, UsageError
from registry.faces.matching import is_match
from registry.faces.quality import (
    assess,
    is_covered,
    is_spoilt,
    rates_hold,
    tells_apart,
    with_length,
)
from registry.faces.rates import identification_rate
from registry.models.entries import least_length
from registry.people.consolidation import MARGIN
from registry.people.side_by_side import known_apart

MEASURED_SCORE, WIDER = 0.9, 2.0
"""The rates were measured on faces of this quality score and more, which nothing covers. Of the
other good faces (small, dark, in sunglasses or a mask), up to 1.6 times as many strangers as stated
were given a match, so twice the rate is stated. Source: docs/BENCHMARKS.md, "Strangers"."""
EVIDENCE = 3
"""Stored faces listed with each match, from different videos if there are as many."""
_PER_IDENTITY = 16
"""Faces asked for in one query for each wanted identity: enough that one query is mostly enough."""


def lookup(
    registry: Registry,
    photo: PhotoSource,
    *,
    channels: Channels | None = None,
    top: int = 5,
    threshold: float | None = None,
    provisional: bool = False,
) -> LookupAnswer:
    """Compare each face of a photo with all faces on record.

    Large photos are searched at full size (`queries.detection`).

    Args:
        registry: an open registry that has ingested something.
        photo: a path, the bytes of a file, a PIL image, or an array uint8 (H, W, 3).
        channels: the order of the channels of an array, "RGB" or "BGR"; only for an array.
        top: the most identities to list for each face.
        threshold: least cosine similarity of a match. None takes the calibrated threshold, or the
            model's verification threshold if there is none. It is lower than the threshold of the
            assignment rule, which another photo of the same person rarely reaches.
        provisional: whether provisional identities, too, can answer.

    Raises:
        ImageError: the photo cannot be read, or has no face.
        EmptyRegistry: nothing has been ingested.
        UsageError: `top` is below 1, or `channels` is missing for an array.
    """
    gallery = open_gallery(registry, top=top, threshold=threshold, provisional=provisional)
    pixels = load_photo(photo, channels)
    answer = gallery.answer(pixels)
    if not answer.faces:
        raise _no_face(pixels)
    return answer


def open_gallery(
    registry: Registry, *, top: int, threshold: float | None, provisional: bool
) -> Gallery:
    """What photos are compared with; arguments and errors are those of `lookup`."""
    if top < 1:
        raise UsageError(f"--top {top} is too small. Give 1 or more.")
    thresholds = current_thresholds(registry)
    identities = list(registry.index.identities())
    top = min(top, max(1, len(identities)))
    out = tuple(i.identity_id for i in identities if i.provisional and not provisional)
    return Gallery(
        registry,
        thresholds,
        thresholds.lookup if threshold is None else threshold,
        top,
        out,
        len(identities) - len(out),
        sum(i.videos for i in identities if provisional or not i.provisional),
    )


@dataclass(frozen=True, slots=True)
class _ProbeFaces:
    """The faces of a photo, left to right."""

    detections: Sequence[Detection]
    qualities: Sequence[Quality]
    embeddings: Vectors
    """float32 (n, D)."""


def _detected(registry: Registry, photo: Photo) -> _ProbeFaces:
    """The faces of a photo.

    If the photo is a stored crop, byte for byte, the face has the embedding and the quality that
    are on record: in the crop the detector would give it slightly different landmarks.
    """
    model, image = registry.model(), photo.image
    detections = detect_at_full_size(model, image)
    chips = model.align(image, detections)
    embeddings, lengths = model.embed_with_lengths(chips)
    least = least_length(model.info)
    qualities = [
        with_length(assess(image, detection, chip, model=model.info.name), float(length), least)
        for detection, chip, length in zip(detections, chips, lengths, strict=True)
    ]
    stored = registry.index.face_of_crop(photo.digest) if photo.digest else None
    if stored is None or stored.vector is None:
        return _ProbeFaces(detections, qualities, embeddings)
    if not detections:
        height, width = image.shape[:2]
        whole = Detection(Box(0, 0, width, height), np.zeros((5, 2), np.float32), stored.det_score)
        return _ProbeFaces([whole], [stored.quality], stored.vector[None, :])
    same = int(np.argmax(embeddings @ stored.vector))
    embeddings[same], qualities[same] = stored.vector, stored.quality
    return _ProbeFaces(detections, qualities, embeddings)


def _no_face(photo: Photo) -> ImageError:
    height, width = photo.image.shape[:2]
    where = photo.name or "the photo"
    return ImageError(
        f"No face was detected in {where}, which has {width} x {height} px and in which faces of "
        f"{LEAST_FACE} px or more in height are found. Give a photo with a larger face."
    )


@dataclass(frozen=True, slots=True)
class Gallery:
    """The faces on record that can answer, and the thresholds that they are compared by."""

    registry: Registry
    thresholds: Thresholds
    threshold: float
    top: int
    """The most identities for each face."""
    left_out: tuple[str, ...]
    """Ids of the provisional identities, unless they were asked for."""
    identities: int
    """How many identities can answer."""
    appearances: int
    """Sum over these identities of the videos that each is in: the number of independent
    comparisons that a search counts as. Source: docs/BENCHMARKS.md, "Galleries"."""

    def answer(self, photo: Photo) -> LookupAnswer:
        """The faces of a photo with their best matches. A photo may have no faces."""
        faces = _detected(self.registry, photo)
        rows = zip(faces.detections, faces.qualities, faces.embeddings, strict=True)
        return LookupAnswer(
            model=self.registry.contract.model.name,
            threshold=self.threshold,
            faces=tuple(self._probe(*row) for row in rows),
            identities=self.identities,
            left_out=len(self.left_out),
            operating_point=self.thresholds.lookup,
            rates=self.thresholds.source,
            warning=self.thresholds.warning,
        )

    def _probe(self, detection: Detection, quality: Quality, embedding: Vectors) -> Probe:
        nearest, similar = self._search(embedding, quality, max(self.top, 2))
        matches = [self._match(identity, faces, quality) for identity, faces in similar]
        second = self._close_second(matches[:2])
        return Probe(detection, quality, tuple(matches[: self.top]), nearest, second)

    def _search(
        self, embedding: Vectors, quality: Quality, top: int
    ) -> tuple[float | None, list[tuple[str, list[SimilarFace]]]]:
        """The cosine of the nearest face, and the matching faces by identity, best first.

        Faces on record that are spoilt, or covered as the face in the photo is, do not answer. A
        spoilt face in the photo is compared with none.
        """
        by_identity: dict[str, list[SimilarFace]] = {}
        nearest: float | None = None
        limit = _PER_IDENTITY * top
        while len(by_identity) < top and not is_spoilt(quality):
            [similar] = self.registry.index.similar_faces(
                embedding[None, :], limit=limit, without=[*self.left_out, *by_identity]
            )
            telling = [one for one in similar if tells_apart(quality, one.face.quality)]
            if nearest is None and telling:
                nearest = telling[0].similarity
            matching = [one for one in telling if is_match(one.similarity, self.threshold)]
            for one in matching:
                by_identity.setdefault(one.face.identity_id, []).append(one)
            if len(similar) < limit or (
                nearest is not None and not is_match(similar[-1].similarity, self.threshold)
            ):
                break
            limit = limit if matching else 2 * limit
        best = sorted(by_identity.items(), key=lambda item: (-item[1][0].similarity, item[0]))
        return nearest, best[:top]

    def stated_rate(self, similarity: float, quality: Quality) -> float:
        """The false-accept rate that is stated of a good face of this quality at a cosine.

        A calibration is measured on the registry's own good faces, whatever their quality.
        """
        rate = max(self.thresholds.curve.far(similarity), self.thresholds.finest)
        clean = quality.score >= MEASURED_SCORE and not is_covered(quality)
        return rate if clean or self.thresholds.calibrated else min(1.0, WIDER * rate)

    def _match(self, identity_id: str, faces: Sequence[SimilarFace], quality: Quality) -> Match:
        identity = self.registry.identity(identity_id)
        similarity = faces[0].similarity
        far, good = self.thresholds.curve.far(similarity), rates_hold(quality)
        rate = self.stated_rate(similarity, quality) if good else None
        return Match(
            identity=identity_id,
            name=identity.name,
            similarity=similarity,
            false_accept_rate=rate,
            false_positive_identification_rate=(
                None if rate is None else identification_rate(rate, self.appearances)
            ),
            rates_are_bounds=good and far < self.thresholds.finest,
            lead=not good or not is_match(similarity, self.thresholds.lookup),
            same_by_rule=is_match(similarity, self.registry.contract.threshold),
            provisional=identity.provisional,
            still_picture=identity.still,
            videos=identity.videos,
            average=average_of(self.registry, identity_id),
            evidence=tuple(_evidence(faces)),
        )

    def _close_second(self, best: Sequence[Match]) -> CloseSecond | None:
        if len(best) < 2 or best[0].similarity - best[1].similarity >= MARGIN:
            return None
        first, second = best
        return CloseSecond(
            identity=second.identity,
            name=second.name,
            similarity=second.similarity,
            margin=first.similarity - second.similarity,
            apart=known_apart(self.registry, first.identity, second.identity),
        )


def _evidence(faces: Sequence[SimilarFace]) -> list[MatchedFace]:
    """The best face of each video first, then the best of the rest; `EVIDENCE` at most."""
    best_of_video: dict[str, SimilarFace] = {}
    for similar in faces:
        best_of_video.setdefault(similar.face.video_id, similar)
    best = list(best_of_video.values())
    chosen = [*best, *(similar for similar in faces if similar not in best)][:EVIDENCE]
    return [
        MatchedFace(one.face.video_url, one.face.time_s, one.face.crop, one.similarity)
        for one in sorted(chosen, key=lambda similar: -similar.similarity)
    ]
