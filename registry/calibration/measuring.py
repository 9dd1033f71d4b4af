"""Calibration of a registry: its own known pairs to the thresholds that suit them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from registry.calibration import pairs
from registry.calibration.dependence import Pairs
from registry.calibration.pairs import Gathered, Sampled, Sighting
from registry.calibration.thresholds import (
    TARGET_FAR,
    Basis,
    Operating,
    Rejections,
    odd,
    operate,
    rejections,
)
from registry.core import operating_point as operating
from registry.core.operating_point import CalibratedThreshold, Calibration
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.faces.rates import Curve, Floats
from registry.models.curves import ModelCurve, shipped_curve
from registry.models.entries import linkage_threshold
from registry.system.process import user_name

SHOWN = 20
"""Suspects that are named, at most."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Two faces side by side that may be one person: in a mirror, on a screen, in a collage."""

    seen: Sighting
    one_identity: bool
    """Whether the registry takes both for one person already."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `calibrate --json`."""
        return {
            "similarity": round(self.seen.similarity, 6),
            "video_url": self.seen.video_url.exposed(),
            "time_s": round(self.seen.time_s, 3),
            "identities": list(self.seen.identities),
            "crops": list(self.seen.crops),
            "one_identity": self.one_identity,
        }


@dataclass(frozen=True, slots=True)
class Level:
    """Single faces, or means of tracks."""

    operating: Operating
    impostors: Pairs
    with_suspects: float
    """The threshold, had the suspects been counted as two people each."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a calibration came to."""

    calibration: Calibration
    shipped: ModelCurve
    shipped_lookup: float
    shipped_linkage: float
    faces: Level
    tracks: Level
    gathered: Gathered
    rejected_within: Rejections | None
    """Faces of one track: what a lookup would miss at least."""
    rejected_across: Rejections | None
    """Faces of identities that a person merged."""
    rejected_tracks: Rejections | None
    """Tracks of such identities, at the linkage threshold."""
    suspects: tuple[Suspect, ...]


def calibrate(registry: Registry, *, target: float = TARGET_FAR) -> Found:
    """Find the thresholds that suit the people and cameras of this registry. Changes nothing.

    The lookup threshold is the one of the target rate. The linkage threshold keeps the rate that
    the model's own has on the shipped curve, for where that lies was chosen by how well whole
    groupings came out, not by a rate of pairs.

    Args:
        registry: an open registry that has ingested something.
        target: false-accept rate of a lookup's comparisons, between 1e-8 and 0.1.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UsageError: no such target.
    """
    if not 1e-8 <= target <= 0.1:
        raise UsageError(f"--target-far {target:g}: give a rate between 1e-8 and 0.1")
    model = registry.contract.model
    shipped = shipped_curve(model)
    gathered = pairs.gather(registry)
    suspects = _suspects(gathered, shipped)
    kept = {two: s for two, s in gathered.beside.items() if two not in suspects}
    least = linkage_threshold(model)
    curve, own = shipped.curve, model.verification_threshold
    faces = _level(gathered, kept, curve, target, own, of_tracks=False)
    tracks = _level(gathered, kept, curve, curve.far(least), least, of_tracks=True)
    return Found(
        calibration=Calibration(
            model=model.name,
            model_digest=model.digest,
            lookup=_line(faces.operating),
            linkage=_line(tracks.operating),
            curve=faces.operating.curve.knots,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=user_name(),
        ),
        shipped=shipped,
        shipped_lookup=own,
        shipped_linkage=least,
        faces=faces,
        tracks=tracks,
        gathered=gathered,
        rejected_within=rejections(gathered.within, faces.operating.threshold),
        rejected_across=rejections(gathered.across, faces.operating.threshold),
        rejected_tracks=rejections(gathered.across_tracks, tracks.operating.threshold),
        suspects=_listed(gathered, suspects),
    )


def supported(found: Found) -> bool:
    """Whether there was enough to move a threshold: otherwise the model's own stay in force."""
    levels = (found.faces, found.tracks)
    return any(level.operating.basis is not Basis.SHIPPED for level in levels)


def adopt(registry: Registry, found: Found) -> None:
    """Put what was found in force."""
    operating.save_calibration(registry, found.calibration)


def _suspects(gathered: Gathered, shipped: ModelCurve) -> set[tuple[int, int]]:
    """Pairs of people too alike to be two, unless a person said that they are."""
    means = {two: float(s.tracks.values().mean()) for two, s in gathered.beside.items()}
    least = shipped.curve.similarity(TARGET_FAR)
    flags = odd(list(means.values()), shipped.curve, least)
    return {two for two, flag in zip(means, flags, strict=True) if flag} - gathered.confirmed


def _listed(gathered: Gathered, suspects: Iterable[tuple[int, int]]) -> tuple[Suspect, ...]:
    seen = [gathered.beside[two].best for two in suspects]
    listed = [Suspect(one, one_identity=False) for one in seen if one is not None]
    listed += [Suspect(one, one_identity=True) for one in gathered.doubles]
    listed.sort(key=lambda s: (-s.seen.similarity, s.seen.video_url.exposed(), s.seen.time_s))
    return tuple(listed)


def _level(
    gathered: Gathered,
    kept: dict[tuple[int, int], Sampled],
    shipped: Curve,
    target: float,
    own: float,
    *,
    of_tracks: bool,
) -> Level:
    impostors = _impostors(gathered, kept, of_tracks=of_tracks)
    everybody = _impostors(gathered, gathered.beside, of_tracks=of_tracks)
    return Level(
        operate(impostors, shipped, target, own),
        impostors,
        operate(everybody, shipped, target, own).threshold,
    )


def _impostors(
    gathered: Gathered, beside: dict[tuple[int, int], Sampled], *, of_tracks: bool
) -> Pairs:
    """The sample of pairs of different people, each with what it stands for.

    People side by side are a sample that nobody chose by likeness. Pairs that a person told apart
    were chosen by it: they stand for themselves alone, and those side by side for all the others (a
    take-all stratum: Cochran 1977, Sampling Techniques). So who tells look-alikes apart does not
    make strangers seem more alike than they are.
    """
    told = gathered.separated if beside else {}
    others = max(gathered.people * (gathered.people - 1) // 2 - len(told), len(beside))
    parts: list[tuple[tuple[int, int], Floats, float]] = []
    for chosen, weight in ((beside, others / max(len(beside), 1)), (told, 1.0)):
        for two, sampled in sorted(chosen.items()):
            values = (sampled.tracks if of_tracks else sampled.faces).values()
            parts.append((two, values, weight))
    if not parts:
        return Pairs(np.zeros(0), np.zeros((0, 2), np.int64))
    return Pairs(
        np.concatenate([values for _, values, _ in parts]),
        np.concatenate([np.tile(two, (len(values), 1)) for two, values, _ in parts]),
        np.concatenate([np.full(len(values), weight) for _, values, weight in parts]),
    )


def _line(found: Operating) -> CalibratedThreshold:
    return CalibratedThreshold(
        threshold=found.threshold,
        low=found.low,
        high=found.high,
        target_far=found.target,
        far=found.far,
        far_low=found.far_low,
        far_high=found.far_high,
        basis=str(found.basis),
        shipped=found.shipped,
        pairs=found.support.pairs,
        pairs_of_people=found.support.of_people,
        people=found.support.people,
        independent=round(found.support.independent, 1),
    )
