"""Who is this? The faces of a photo, each compared with every face on record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from queries.averages import average_of
from queries.photos import read_photo
from registry.domain import Box, Detection, Image, Vectors
from registry.errors import ImageError, UsageError
from registry.matching import same
from registry.registry import Registry
from registry.store.base import Filter, Hit, Point

EVIDENCE = 3
"""Stored faces shown for each match, each from another video where there are so many."""
_PER_IDENTITY = 16
"""Hits asked for at once for each identity wanted: enough that one query mostly suffices."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One stored face that the probe resembles."""

    video_url: str
    time_s: float
    crop: str
    """Key in the blob store."""
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """One identity that a face may be."""

    identity: str
    name: str
    similarity: float
    """Cosine with its most similar stored face."""
    same_by_rule: bool
    """Whether the registry's own rule would call it the same identity."""
    videos: int
    average: dict[str, float]
    """Mean of each metric over its videos."""
    evidence: tuple[Evidence, ...]
    """Most similar first."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One face of the photo and who it may be."""

    detection: Detection
    matches: tuple[Match, ...]
    """Best first, one for each identity; empty: nobody on record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lookup found."""

    model: str
    threshold: float
    faces: tuple[Probe, ...]
    """Left to right."""

    def as_dict(self) -> dict[str, Any]:
        """The document of `lookup --json`."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "faces": [_probe_dict(probe) for probe in self.faces],
        }


def lookup(
    registry: Registry, photo: Image | Path | str, *, top: int = 5, threshold: float | None = None
) -> Answer:
    """Compare each face of a photo with the gallery.

    Args:
        registry: an open registry that has ingested something.
        photo: a file, or BGR uint8 (H, W, 3).
        top: identities given for each face, at most.
        threshold: least cosine similarity of a match; by default the model's verification point,
            because another photo of the same person rarely reaches the rule's threshold.

    Raises:
        ImageError: the photo cannot be read, or no face is in it.
        EmptyRegistry: nothing has been ingested.
    """
    if top < 1:
        raise UsageError(f"--top {top}: give 1 or more")
    info = registry.contract.model
    threshold = info.verification_threshold if threshold is None else threshold
    image = read_photo(Path(photo)) if isinstance(photo, str | Path) else photo
    detections, embeddings = _faces(registry, photo, image)
    if not detections:
        where = f" in {photo}" if isinstance(photo, str | Path) else ""
        raise ImageError(
            f"no face was found{where}: give a photo that shows a face of 20 px or more"
        )
    probes = [
        Probe(detection, _matches(registry, embedding, top, threshold))
        for detection, embedding in zip(detections, embeddings, strict=True)
    ]
    return Answer(info.name, threshold, tuple(probes))


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


def _matches(
    registry: Registry, embedding: Vectors, top: int, threshold: float
) -> tuple[Match, ...]:
    found: dict[str, list[Hit]] = {}
    while len(found) < top:
        limit = _PER_IDENTITY * (top - len(found))
        where = Filter(must_not={"identity_id": list(found)}) if found else None
        [hits] = registry.index.neighbours(embedding[None, :], limit=limit, where=where)
        near = [hit for hit in hits if same(hit.score, threshold)]
        for hit in near:
            found.setdefault(hit.payload["identity_id"], []).append(hit)
        if len(near) < limit:
            break
    best = sorted(found.items(), key=lambda item: (-item[1][0].score, item[0]))[:top]
    return tuple(_match(registry, identity, hits) for identity, hits in best)


def _match(registry: Registry, identity_id: str, hits: Sequence[Hit]) -> Match:
    identity = registry.identity(identity_id)
    return Match(
        identity=identity_id,
        name=identity.name,
        similarity=hits[0].score,
        same_by_rule=same(hits[0].score, registry.contract.threshold),
        videos=identity.videos,
        average=average_of(registry, identity_id),
        evidence=tuple(_evidence(hits)),
    )


def _evidence(hits: Sequence[Hit]) -> list[Evidence]:
    """The best face of each video first, then the best of the rest."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.payload["video_id"], hit)
    chosen = [*first.values(), *(hit for hit in hits if hit not in first.values())][:EVIDENCE]
    return [
        Evidence(hit.payload["video_url"], hit.payload["time_s"], hit.payload["crop"], hit.score)
        for hit in sorted(chosen, key=lambda hit: -hit.score)
    ]


def _probe_dict(probe: Probe) -> dict[str, Any]:
    box = probe.detection.box
    return {
        "box": [round(v, 1) for v in (box.x1, box.y1, box.x2, box.y2)],
        "score": round(probe.detection.score, 4),
        "matches": [
            {
                "identity": match.identity,
                "name": match.name,
                "similarity": round(match.similarity, 6),
                "same_by_rule": match.same_by_rule,
                "videos": match.videos,
                "average": match.average,
                "evidence": [
                    {
                        "video_url": e.video_url,
                        "time_s": round(e.time_s, 3),
                        "crop": e.crop,
                        "similarity": round(e.similarity, 6),
                    }
                    for e in match.evidence
                ],
            }
            for match in probe.matches
        ],
    }
