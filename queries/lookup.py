"""Who is this? The faces of a photo, each compared with every face on record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queries.answers import Answer, CloseSecond, Evidence, Match, Probe
from queries.averages import average_of
from queries.photos import read_photo
from registry.calibration.pairs import known_apart
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Box, Detection, Image, Vectors
from registry.errors import ImageError, UsageError
from registry.faces.matching import is_match
from registry.faces.rates import Curve, identification_rate
from registry.people.consolidation import MARGIN
from registry.store.base import Filter, Hit, Point
from registry.urls import Url

__all__ = ["Answer", "CloseSecond", "Evidence", "Match", "Probe", "lookup"]

EVIDENCE = 3
"""Stored faces shown for each match, each from another video where there are so many."""
_PER_IDENTITY = 16
"""Hits asked for at once for each identity wanted: enough that one query mostly suffices."""


def lookup(
    registry: Registry, photo: Image | Path | str, *, top: int = 5, threshold: float | None = None
) -> Answer:
    """Compare each face of a photo with the gallery.

    Args:
        registry: an open registry that has ingested something.
        photo: a file, or BGR uint8 (H, W, 3).
        top: identities given for each face, at most.
        threshold: least cosine similarity of a match; by default as the registry is calibrated, or
            the model's verification point, because another photo of the same person rarely reaches
            the rule's threshold. A face without a match is unknown.

    Raises:
        ImageError: the photo cannot be read, or no face is in it.
        EmptyRegistry: nothing has been ingested.
    """
    if top < 1:
        raise UsageError(f"--top {top}: give 1 or more")
    lines = current_thresholds(registry)
    threshold = lines.lookup if threshold is None else threshold
    image = read_photo(Path(photo)) if isinstance(photo, str | Path) else photo
    detections, embeddings = _faces(registry, photo, image)
    if not detections:
        where = f" in {photo}" if isinstance(photo, str | Path) else ""
        raise ImageError(
            f"no face was found{where}: give a photo that shows a face of 20 px or more"
        )
    videos = [identity.videos for identity in registry.index.identities()]
    gallery = _Gallery(registry, lines.curve, threshold, sum(videos))
    probes = [
        gallery.probe(detection, embedding, top)
        for detection, embedding in zip(detections, embeddings, strict=True)
    ]
    return Answer(
        model=registry.contract.model.name,
        threshold=threshold,
        faces=tuple(probes),
        identities=len(videos),
        operating_point=lines.lookup,
        rates=lines.source,
        warning=lines.warning,
    )


def _faces(
    registry: Registry, photo: Image | Path | str, image: Image
) -> tuple[list[Detection], Vectors]:
    """The faces of a photo, left to right, and their embeddings (n, D).

    A photo that is, byte for byte, a stored crop shows a face that is on record, and the record's
    embedding is used: found again in its crop, the face would get slightly other landmarks.
    """
    model = registry.model()
    detections = model.detect(image)
    embeddings = model.embed(model.align(image, detections))
    stored = _stored(registry, photo)
    if stored is None or stored.vector is None:
        return detections, embeddings
    if not detections:
        height, width = image.shape[:2]
        whole = Detection(
            Box(0, 0, width, height), np.zeros((5, 2), np.float32), stored.payload["det_score"]
        )
        return [whole], stored.vector[None, :]
    embeddings[int(np.argmax(embeddings @ stored.vector))] = stored.vector
    return detections, embeddings


def _stored(registry: Registry, photo: Image | Path | str) -> Point | None:
    if not isinstance(photo, str | Path):
        return None
    return registry.index.face_of_crop(hashlib.sha256(Path(photo).read_bytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class _Gallery:
    """What a face is compared with, and by which lines."""

    registry: Registry
    curve: Curve
    threshold: float
    appearances: int
    """Identities by the videos that each is in: how many comparisons a search is worth. The best of
    an identity's 18 faces in six videos reaches a threshold 8 to 10 times (SFace) and 6 to 7 times
    (MobileFaceNet) as often as one face does: `docs/BENCHMARKS.md`."""

    def probe(self, detection: Detection, embedding: Vectors, top: int) -> Probe:
        """Who one face may be, so many at most."""
        nearest, found = self._search(embedding, max(top, 2))
        matches = [self._match(identity, hits) for identity, hits in found]
        close = self._close_second(matches[:2])
        return Probe(detection, tuple(matches[:top]), nearest, close)

    def _search(
        self, embedding: Vectors, top: int
    ) -> tuple[float | None, list[tuple[str, list[Hit]]]]:
        """The cosine of the nearest face, and matches by identity, best first."""
        found: dict[str, list[Hit]] = {}
        nearest: float | None = None
        while len(found) < top:
            limit = _PER_IDENTITY * (top - len(found))
            where = Filter(must_not={"identity_id": list(found)}) if found else None
            [hits] = self.registry.index.neighbours(embedding[None, :], limit=limit, where=where)
            if nearest is None and hits:
                nearest = hits[0].score
            near = [hit for hit in hits if is_match(hit.score, self.threshold)]
            for hit in near:
                found.setdefault(hit.payload["identity_id"], []).append(hit)
            if len(near) < limit:
                break
        best = sorted(found.items(), key=lambda item: (-item[1][0].score, item[0]))[:top]
        return nearest, best

    def _match(self, identity_id: str, hits: Sequence[Hit]) -> Match:
        identity = self.registry.identity(identity_id)
        far = self.curve.far(hits[0].score)
        return Match(
            identity=identity_id,
            name=identity.name,
            similarity=hits[0].score,
            false_accept_rate=far,
            false_positive_identification_rate=identification_rate(far, self.appearances),
            same_by_rule=is_match(hits[0].score, self.registry.contract.threshold),
            provisional=identity.provisional,
            videos=identity.videos,
            average=average_of(self.registry, identity_id),
            evidence=tuple(_evidence(hits)),
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


def _evidence(hits: Sequence[Hit]) -> list[Evidence]:
    """The best face of each video first, then the best of the rest."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.payload["video_id"], hit)
    chosen = [*first.values(), *(hit for hit in hits if hit not in first.values())][:EVIDENCE]
    return [
        Evidence(
            Url(hit.payload["video_url"]), hit.payload["time_s"], hit.payload["crop"], hit.score
        )
        for hit in sorted(chosen, key=lambda hit: -hit.score)
    ]
