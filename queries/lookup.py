"""Lookup: each face of a photo is compared with every face on record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queries.answers import CloseSecond, LookupAnswer, Match, MatchedFace, Probe
from queries.averages import average_of
from queries.photos import read_photo
from registry.calibration.pairs import known_apart
from registry.core.index import SimilarFace
from registry.core.operating_point import current_thresholds
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Detection, Image, Vectors
from registry.errors import ImageError, UsageError
from registry.faces.matching import is_match
from registry.faces.rates import Curve, identification_rate
from registry.people.consolidation import MARGIN

EVIDENCE = 3
"""Stored faces listed with each match, from different videos if there are as many."""
_PER_IDENTITY = 16
"""Faces asked for in one query for each wanted identity: enough that one query is mostly enough."""


def lookup(
    registry: Registry, photo: Image | Path | str, *, top: int = 5, threshold: float | None = None
) -> LookupAnswer:
    """Compare each face of a photo with all faces on record.

    Args:
        registry: an open registry that has ingested something.
        photo: a file, or BGR uint8 (H, W, 3).
        top: the most identities to list for each face.
        threshold: least cosine similarity of a match. None takes the calibrated threshold, or the
            model's verification threshold if there is none. It is lower than the threshold of the
            assignment rule, which another photo of the same person rarely reaches.

    Raises:
        ImageError: the photo cannot be read, or has no face.
        EmptyRegistry: nothing has been ingested.
        UsageError: `top` is below 1.
    """
    if top < 1:
        raise UsageError(f"--top {top} is too small. Give 1 or more.")
    thresholds = current_thresholds(registry)
    threshold = thresholds.lookup if threshold is None else threshold
    image = read_photo(Path(photo)) if isinstance(photo, str | Path) else photo
    detections, embeddings = _faces(registry, photo, image)
    if not detections:
        where = f" in {photo}" if isinstance(photo, str | Path) else ""
        raise ImageError(f"No face was detected{where}. Give a photo with a face of 20 px or more.")
    videos = [identity.videos for identity in registry.index.identities()]
    gallery = _Gallery(registry, thresholds.curve, threshold, sum(videos))
    probes = [
        gallery.probe(detection, embedding, top)
        for detection, embedding in zip(detections, embeddings, strict=True)
    ]
    return LookupAnswer(
        model=registry.contract.model.name,
        threshold=threshold,
        faces=tuple(probes),
        identities=len(videos),
        operating_point=thresholds.lookup,
        rates=thresholds.source,
        warning=thresholds.warning,
    )


def _faces(
    registry: Registry, photo: Image | Path | str, image: Image
) -> tuple[list[Detection], Vectors]:
    """The faces of a photo, left to right, and their embeddings (n, D).

    If the photo is a stored crop, byte for byte, the face has the embedding that is on record: in
    the crop the detector would give it slightly different landmarks.
    """
    model = registry.model()
    detections = model.detect(image)
    embeddings = model.embed(model.align(image, detections))
    stored = _stored_face(registry, photo)
    if stored is None or stored.vector is None:
        return detections, embeddings
    if not detections:
        height, width = image.shape[:2]
        whole = Detection(Box(0, 0, width, height), np.zeros((5, 2), np.float32), stored.det_score)
        return [whole], stored.vector[None, :]
    embeddings[int(np.argmax(embeddings @ stored.vector))] = stored.vector
    return detections, embeddings


def _stored_face(registry: Registry, photo: Image | Path | str) -> IndexedFace | None:
    if not isinstance(photo, str | Path):
        return None
    return registry.index.face_of_crop(hashlib.sha256(Path(photo).read_bytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class _Gallery:
    """The faces on record, and the thresholds that they are compared by."""

    registry: Registry
    curve: Curve
    threshold: float
    appearances: int
    """Sum over all identities of the videos that each is in: the number of independent comparisons
    that a search counts as. Source: docs/BENCHMARKS.md, "Galleries"."""

    def probe(self, detection: Detection, embedding: Vectors, top: int) -> Probe:
        """The face with its best matches, `top` at most."""
        nearest, similar = self._search(embedding, max(top, 2))
        matches = [self._match(identity, faces) for identity, faces in similar]
        return Probe(detection, tuple(matches[:top]), nearest, self._close_second(matches[:2]))

    def _search(
        self, embedding: Vectors, top: int
    ) -> tuple[float | None, list[tuple[str, list[SimilarFace]]]]:
        """The cosine of the nearest face, and the matching faces by identity, best first."""
        by_identity: dict[str, list[SimilarFace]] = {}
        nearest: float | None = None
        while len(by_identity) < top:
            limit = _PER_IDENTITY * (top - len(by_identity))
            [similar] = self.registry.index.similar_faces(
                embedding[None, :], limit=limit, without=list(by_identity)
            )
            if nearest is None and similar:
                nearest = similar[0].similarity
            matching = [one for one in similar if is_match(one.similarity, self.threshold)]
            for one in matching:
                by_identity.setdefault(one.face.identity_id, []).append(one)
            if len(matching) < limit:
                break
        best = sorted(by_identity.items(), key=lambda item: (-item[1][0].similarity, item[0]))
        return nearest, best[:top]

    def _match(self, identity_id: str, faces: Sequence[SimilarFace]) -> Match:
        identity = self.registry.identity(identity_id)
        similarity = faces[0].similarity
        far = self.curve.far(similarity)
        return Match(
            identity=identity_id,
            name=identity.name,
            similarity=similarity,
            false_accept_rate=far,
            false_positive_identification_rate=identification_rate(far, self.appearances),
            same_by_rule=is_match(similarity, self.registry.contract.threshold),
            provisional=identity.provisional,
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
