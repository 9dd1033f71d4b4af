"""What a lookup found: the answer, its faces and their matches, and all of it as a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from registry.domain import Detection
from registry.urls import Url


@dataclass(frozen=True, slots=True)
class Evidence:
    """One stored face that the probe resembles."""

    video_url: Url
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
    false_accept_rate: float
    """Share of comparisons of two people's faces that are at least as similar, estimated."""
    false_positive_identification_rate: float
    """Chance that somebody who is not on record has a match as similar as this, estimated: each
    identity counts as one comparison for each video that it is in."""
    same_by_rule: bool
    """Whether the registry's own rule would call it the same identity."""
    provisional: bool
    """Whether it may be no person: a few poor faces, which lists leave out."""
    videos: int
    average: dict[str, float]
    """Mean of each metric over its videos."""
    evidence: tuple[Evidence, ...]
    """Most similar first."""


@dataclass(frozen=True, slots=True)
class CloseSecond:
    """Another identity that is nearly as similar as the best one."""

    identity: str
    name: str
    similarity: float
    margin: float
    """Cosine by which the best one leads: less than `registry.people.consolidation.MARGIN`."""
    apart: str
    """How they are known to be two people; empty: they may be one, under two identities."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One face of the photo and who it may be."""

    detection: Detection
    matches: tuple[Match, ...]
    """Best first, one for each identity; empty: unknown, nobody on record is similar enough."""
    nearest: float | None
    """Cosine with the most similar stored face, a match or not; None: there is no face."""
    close_second: CloseSecond | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lookup found."""

    model: str
    threshold: float
    faces: tuple[Probe, ...]
    """Left to right."""
    identities: int
    """In the registry: how many a face is compared with."""
    operating_point: float
    """Threshold that the registry goes by, calibrated or the model's own. What is below it, and
    only here because another one was asked for, is a lead to look at."""
    rates: str
    """Where the false-accept rates come from."""
    warning: str = ""
    """A sentence on a calibration that does not count."""

    def as_dict(self) -> dict[str, Any]:
        """The document of `lookup --json`."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "identities": self.identities,
            "operating_point": self.operating_point,
            "rates": self.rates,
            "faces": [_probe_dict(probe) for probe in self.faces],
        }


def _probe_dict(probe: Probe) -> dict[str, Any]:
    box = probe.detection.box
    return {
        "box": [round(v, 1) for v in (box.x1, box.y1, box.x2, box.y2)],
        "score": round(probe.detection.score, 4),
        "unknown": not probe.matches,
        "nearest_similarity": None if probe.nearest is None else round(probe.nearest, 6),
        "close_second": _second_dict(probe.close_second),
        "matches": [
            {
                "identity": match.identity,
                "name": match.name,
                "similarity": round(match.similarity, 6),
                "false_accept_rate": match.false_accept_rate,
                "false_positive_identification_rate": match.false_positive_identification_rate,
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
            }
            for match in probe.matches
        ],
    }


def _second_dict(second: CloseSecond | None) -> dict[str, Any] | None:
    if second is None:
        return None
    return {
        "identity": second.identity,
        "name": second.name,
        "similarity": round(second.similarity, 6),
        "margin": round(second.margin, 6),
        "apart": second.apart,
    }
