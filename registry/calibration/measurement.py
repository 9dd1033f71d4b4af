"""Calibration of a registry: from its known pairs to thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from registry.calibration.pairs import KnownPairs, PairSample, SideBySide, gather_pairs
from registry.calibration.sample_size import Pairs
from registry.calibration.thresholds import (
    TARGET_FAR,
    Basis,
    FalseRejects,
    ThresholdEstimate,
    estimate_threshold,
    false_rejects,
    too_similar,
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
"""The most suspects that are listed for people."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Two faces side by side that may be one person: in a mirror, on a screen, in a collage."""

    seen: SideBySide
    one_identity: bool
    """Whether both have the same identity already."""

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
class MeasuredThreshold:
    """A threshold, for single faces or for means of tracks, and the pairs it comes from."""

    estimate: ThresholdEstimate
    impostors: Pairs
    with_suspects: float
    """The threshold that would result if suspects counted as two people."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of a calibration."""

    calibration: Calibration
    shipped: ModelCurve
    shipped_lookup: float
    shipped_linkage: float
    faces: MeasuredThreshold
    """For lookups."""
    tracks: MeasuredThreshold
    """For `identities suggest` and `identities consolidate`."""
    pairs: KnownPairs
    rejected_within: FalseRejects | None
    """Of faces of one track at the lookup threshold: lookups miss at least as many."""
    rejected_across: FalseRejects | None
    """Of faces of identities that a person merged, at the lookup threshold."""
    rejected_tracks: FalseRejects | None
    """Of tracks of such identities, at the linkage threshold."""
    suspects: tuple[Suspect, ...]


def calibrate(registry: Registry, *, target: float = TARGET_FAR) -> Measurement:
    """Measure the thresholds that suit the people and cameras of this registry. Changes nothing.

    The lookup threshold has the target rate. The linkage threshold keeps the rate that the model's
    own threshold has on the shipped curve, because that one was chosen by the quality of whole
    groupings and not by a rate of pairs.

    Args:
        registry: an open registry that has ingested something.
        target: false-accept rate of a lookup's comparisons, between 1e-8 and 0.1.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UsageError: the target is not between these.
    """
    if not 1e-8 <= target <= 0.1:
        raise UsageError(
            f"--target-far {target:g} is out of range. Give a rate between 1e-8 and 0.1."
        )
    model = registry.contract.model
    shipped = shipped_curve(model)
    pairs = gather_pairs(registry)
    suspects = _suspects(pairs, shipped)
    side_by_side = {people: s for people, s in pairs.side_by_side.items() if people not in suspects}
    linkage, verification = linkage_threshold(model), model.verification_threshold
    curve = shipped.curve
    faces = _measure(pairs, side_by_side, curve, target, verification, of_tracks=False)
    tracks = _measure(pairs, side_by_side, curve, curve.far(linkage), linkage, of_tracks=True)
    return Measurement(
        calibration=Calibration(
            model=model.name,
            model_digest=model.digest,
            lookup=_calibrated(faces.estimate),
            linkage=_calibrated(tracks.estimate),
            curve=faces.estimate.curve.knots,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=user_name(),
        ),
        shipped=shipped,
        shipped_lookup=verification,
        shipped_linkage=linkage,
        faces=faces,
        tracks=tracks,
        pairs=pairs,
        rejected_within=false_rejects(pairs.within, faces.estimate.threshold),
        rejected_across=false_rejects(pairs.across, faces.estimate.threshold),
        rejected_tracks=false_rejects(pairs.across_tracks, tracks.estimate.threshold),
        suspects=_listed(pairs, suspects),
    )


def supported(measurement: Measurement) -> bool:
    """Whether there were enough pairs to move a threshold. If not, the model's own stay in use."""
    thresholds = (measurement.faces, measurement.tracks)
    return any(threshold.estimate.basis is not Basis.SHIPPED for threshold in thresholds)


def adopt(registry: Registry, measurement: Measurement) -> None:
    """Write the calibration, so that the registry uses its thresholds from now on."""
    operating.save_calibration(registry, measurement.calibration)


def _suspects(pairs: KnownPairs, shipped: ModelCurve) -> set[tuple[int, int]]:
    """Pairs of people who are too similar to be two, unless a person said that they are."""
    means = {people: float(s.tracks.values().mean()) for people, s in pairs.side_by_side.items()}
    least = shipped.curve.similarity(TARGET_FAR)
    flags = too_similar(list(means.values()), shipped.curve, least)
    return {people for people, flag in zip(means, flags, strict=True) if flag} - pairs.confirmed


def _listed(pairs: KnownPairs, suspects: Iterable[tuple[int, int]]) -> tuple[Suspect, ...]:
    seen = [pairs.side_by_side[people].best for people in suspects]
    listed = [Suspect(one, one_identity=False) for one in seen if one is not None]
    listed += [Suspect(one, one_identity=True) for one in pairs.doubles]
    listed.sort(key=lambda s: (-s.seen.similarity, s.seen.video_url.exposed(), s.seen.time_s))
    return tuple(listed)


def _measure(
    pairs: KnownPairs,
    side_by_side: dict[tuple[int, int], PairSample],
    shipped: Curve,
    target: float,
    own: float,
    *,
    of_tracks: bool,
) -> MeasuredThreshold:
    impostors = _impostors(pairs, side_by_side, of_tracks=of_tracks)
    with_suspects = _impostors(pairs, pairs.side_by_side, of_tracks=of_tracks)
    return MeasuredThreshold(
        estimate_threshold(impostors, shipped, target, own),
        impostors,
        estimate_threshold(with_suspects, shipped, target, own).threshold,
    )


def _impostors(
    pairs: KnownPairs, side_by_side: dict[tuple[int, int], PairSample], *, of_tracks: bool
) -> Pairs:
    """The sample of pairs of different people, with weights.

    People side by side were not selected by similarity, so they represent all pairs of people.
    Pairs that a person separated were selected by it and represent themselves alone (a take-all
    stratum: Cochran 1977, Sampling Techniques). Otherwise separating look-alikes would make
    strangers seem more similar than they are.
    """
    separated = pairs.separated if side_by_side else {}
    others = max(pairs.people * (pairs.people - 1) // 2 - len(separated), len(side_by_side))
    parts: list[tuple[tuple[int, int], Floats, float]] = []
    for stratum, weight in ((side_by_side, others / max(len(side_by_side), 1)), (separated, 1.0)):
        for people, sample in sorted(stratum.items()):
            values = (sample.tracks if of_tracks else sample.faces).values()
            parts.append((people, values, weight))
    if not parts:
        return Pairs(np.zeros(0), np.zeros((0, 2), np.int64))
    return Pairs(
        np.concatenate([values for _, values, _ in parts]),
        np.concatenate([np.tile(people, (len(values), 1)) for people, values, _ in parts]),
        np.concatenate([np.full(len(values), weight) for _, values, weight in parts]),
    )


def _calibrated(estimate: ThresholdEstimate) -> CalibratedThreshold:
    return CalibratedThreshold(
        threshold=estimate.threshold,
        low=estimate.low,
        high=estimate.high,
        target_far=estimate.target,
        far=estimate.far,
        far_low=estimate.far_low,
        far_high=estimate.far_high,
        basis=str(estimate.basis),
        shipped=estimate.shipped,
        pairs=estimate.support.pairs,
        pairs_of_people=estimate.support.of_people,
        people=estimate.support.people,
        independent=round(estimate.support.independent, 1),
    )
