"""The result of a lookup: the faces of the photo, their matches, and all of it as a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from registry.domain import Detection, Quality
from registry.urls import Url


@dataclass(frozen=True, slots=True)
class MatchedFace:
    """A stored face that is similar to the face in the photo."""

    video_url: Url
    time_s: float
    crop: str
    """Key in the blob store."""
    similarity: float


@dataclass(frozen=True, slots=True)
class Match:
    """An identity whose faces are similar to the face in the photo."""

    identity: str
    name: str
    similarity: float
    """Cosine with its most similar stored face, -1 to 1."""
    false_accept_rate: float | None
    """Estimated share of comparisons of two different people that are at least as similar; at least
    the finest rate that was measured. None: the face in the photo is poor, and the rates, which
    were measured on good faces, do not hold for it."""
    false_positive_identification_rate: float | None
    """Estimated probability that somebody who is not on record has a match as similar as this. Each
    identity that can answer counts as one comparison for each video that it is in. None: as
    above."""
    rates_are_bounds: bool
    """Whether both rates are upper bounds: fewer strangers are as similar than could be
    measured."""
    lead: bool
    """Whether this is a lead and no match: below the registry's threshold, or of a poor face."""
    same_by_rule: bool
    """Whether the registry's assignment rule would give the face this identity."""
    provisional: bool
    """Whether the identity is provisional: it has a few poor faces only, and lists leave it out."""
    videos: int
    average: dict[str, float]
    """Mean of each metric over its videos."""
    evidence: tuple[MatchedFace, ...]
    """Its most similar faces, most similar first."""
    still_picture: bool = False
    """Whether the identity is a still picture: a logo, a poster, a cover. It has no average."""


@dataclass(frozen=True, slots=True)
class CloseSecond:
    """Another identity that is nearly as similar as the best match."""

    identity: str
    name: str
    similarity: float
    margin: float
    """Difference to the best match: less than `registry.people.consolidation.MARGIN`."""
    apart: str
    """A sentence: why they are known to be two people. Empty: they may be one person."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A face of the photo, and who it may be."""

    detection: Detection
    quality: Quality
    """Of the face in the photo. With reasons other than a cover it is poor, and matches are leads.
    If it is spoilt (`pixelated`, `unclear`), it has no matches."""
    matches: tuple[Match, ...]
    """Best first, one for each identity. Empty: nobody on record is similar enough."""
    nearest: float | None
    """Cosine with the most similar stored face, even if it is no match. None: the registry has no
    faces."""
    close_second: CloseSecond | None


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """The result of a lookup."""

    model: str
    threshold: float
    faces: tuple[Probe, ...]
    """Left to right."""
    identities: int
    """The number of identities that can answer."""
    left_out: int
    """The number of provisional identities, which answer only if they are asked for."""
    operating_point: float
    """The registry's threshold, calibrated or the model's own. A match below it, which is listed
    because a lower threshold was asked for, is a lead and not a match."""
    rates: str
    """The source of the false-accept rates."""
    warning: str = ""
    """A sentence on a calibration that is not used; empty: there is none."""

    def as_dict(self) -> dict[str, Any]:
        """The document of `lookup --json`."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "identities": self.identities,
            "left_out": self.left_out,
            "operating_point": self.operating_point,
            "rates": self.rates,
            "faces": [_probe_document(probe) for probe in self.faces],
        }


def _probe_document(probe: Probe) -> dict[str, Any]:
    box = probe.detection.box
    return {
        "box": [round(v, 1) for v in (box.x1, box.y1, box.x2, box.y2)],
        "score": round(probe.detection.score, 4),
        "quality": round(probe.quality.score, 4),
        "reasons": list(probe.quality.reasons),
        "unknown": not probe.matches,
        "nearest_similarity": None if probe.nearest is None else round(probe.nearest, 6),
        "close_second": _second_document(probe.close_second),
        "matches": [
            {
                "identity": match.identity,
                "name": match.name,
                "similarity": round(match.similarity, 6),
                "false_accept_rate": match.false_accept_rate,
                "false_positive_identification_rate": match.false_positive_identification_rate,
                "rates_are_bounds": match.rates_are_bounds,
                "lead": match.lead,
                "same_by_rule": match.same_by_rule,
                "provisional": match.provisional,
                "videos": match.videos,
                "average": match.average,
                "evidence": [
                    {
                        "video_url": e.video_url.exposed(),
                        "time_s": round(e.time_s, 3),
                        "crop": e.crop,
                        "similarity": round(e.similarity, 6),
                    }
                    for e in match.evidence
                ],
                "still_picture": match.still_picture,
            }
            for match in probe.matches
        ],
    }


def _second_document(second: CloseSecond | None) -> dict[str, Any] | None:
    if second is None:
        return None
    return {
        "identity": second.identity,
        "name": second.name,
        "similarity": round(second.similarity, 6),
        "margin": round(second.margin, 6),
        "apart": second.apart,
    }
