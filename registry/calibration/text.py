"""The result of a calibration in sentences, and as a document."""

from __future__ import annotations

from typing import Any

from registry.calibration.measurement import (
    SHOWN,
    MeasuredThreshold,
    Measurement,
    Suspect,
    supported,
)
from registry.calibration.thresholds import LEAST_PAIRS, Basis, FalseRejects
from registry.terminal import rate, short


def sentences(measurement: Measurement) -> list[str]:
    """The result for people: the sample, both thresholds, false rejects, and the suspects."""
    return [
        sample_sentence(measurement),
        _support(measurement.faces),
        "",
        _threshold("lookup", measurement.faces, measurement.shipped_lookup),
        _threshold("linkage", measurement.tracks, measurement.shipped_linkage),
        *basis_sentences(measurement),
        "",
        *reject_sentences(measurement),
        *_suspects(measurement),
    ]


def sample_sentence(measurement: Measurement) -> str:
    """The people, tracks and videos that were measured."""
    pairs = measurement.pairs
    return (
        f"{measurement.calibration.model}: {pairs.people:,} people (after consolidation) in "
        f"{pairs.tracks:,} tracks of {pairs.videos:,} videos; good faces only."
    )


def _support(threshold: MeasuredThreshold) -> str:
    support = threshold.estimate.support
    return (
        f"Pairs of faces of two people: {support.pairs:,}. Pairs of people: {support.of_people:,}, "
        f"among {support.people:,}, worth {support.independent:.0f} independent pairs."
    )


def _threshold(name: str, threshold: MeasuredThreshold, shipped: float) -> str:
    estimate = threshold.estimate
    if estimate.basis is Basis.SHIPPED:
        return f"{name:<8} {shipped:.3f}  the model's own, kept"
    return (
        f"{name:<8} {estimate.threshold:.3f}  (95 % {estimate.low:.3f} to {estimate.high:.3f}; the "
        f"model's own {shipped:.3f})  false-accept rate {rate(estimate.far)} "
        f"(95 % {rate(estimate.far_low)} to {rate(estimate.far_high)}; target "
        f"{rate(estimate.target)})"
    )


def basis_sentences(measurement: Measurement) -> list[str]:
    """The source of the thresholds."""
    estimate = measurement.faces.estimate
    support = estimate.support
    if estimate.basis is Basis.SHIPPED:
        return [
            f"There are too few pairs of people ({support.of_people}) to move a threshold. "
            f"{LEAST_PAIRS} are needed, side by side in a frame or separated by you."
        ]
    if estimate.basis is Basis.MEASURED:
        return [
            f"The sample has the {estimate.needed:,} independent pairs that show a rate this small."
        ]
    return [
        f"{estimate.needed:,} independent pairs (3 / rate) would show a rate of "
        f"{rate(estimate.target)}, and these are worth {support.independent:.0f}. So they move and "
        f"stretch the model's curve ({measurement.shipped.source}), which gives the tail. The mean "
        f"of their scores is {support.shift:+.2f} standard deviations off the curve's, and their "
        f"spread is {support.scale:.2f} times its."
    ]


def reject_sentences(measurement: Measurement) -> list[str]:
    """The share of pairs of one person that these thresholds would miss."""
    lookup = measurement.faces.estimate.threshold
    linkage = measurement.tracks.estimate.threshold
    rows = (
        (
            "faces of one track",
            measurement.rejected_within,
            lookup,
            " A lookup misses at least as many.",
        ),
        ("faces of identities that you merged", measurement.rejected_across, lookup, ""),
        ("tracks of identities that you merged", measurement.rejected_tracks, linkage, ""),
    )
    lines = [
        f"False rejects of {name}: {_share(rejects)} below {threshold:.3f}.{note}"
        for name, rejects, threshold, note in rows
        if rejects is not None
    ]
    return lines or ["There are no pairs of one person: no long track, and no merged identities."]


def _share(rejects: FalseRejects) -> str:
    return (
        f"{100 * rejects.rate:.1f} % (95 % {100 * rejects.low:.1f} to {100 * rejects.high:.1f} %, "
        f"{rejects.pairs:,} pairs, {rejects.people:,} people)"
    )


def _suspects(measurement: Measurement) -> list[str]:
    suspects = measurement.suspects
    if not suspects:
        return []
    lines = [
        "",
        f"{len(suspects)} pairs of faces side by side are as similar as faces of one person: a "
        "mirror, a screen, a collage, or twins. They do not count as two people. If they did, the "
        f"lookup threshold would be {measurement.faces.with_suspects:.3f}. Look at them, and use "
        "`face-registry identities separate` or `face-registry identities merge`.",
    ]
    lines += [_suspect(suspect) for suspect in suspects[:SHOWN]]
    if len(suspects) > SHOWN:
        lines.append(f"  {len(suspects) - SHOWN} more are not shown. --json lists all of them.")
    return lines


def _suspect(suspect: Suspect) -> str:
    seen = suspect.seen
    one, other = (short(identity) for identity in seen.identities)
    who = f"both are {one}" if suspect.one_identity else f"{one} and {other}"
    return f"  {seen.similarity:.3f}  {seen.video_url} at {seen.time_s:.1f} s: {who}"


def document(measurement: Measurement, *, written: bool) -> dict[str, Any]:
    """The document of `calibrate --json`."""
    return {
        **measurement.calibration.as_dict(),
        "written": written,
        "supported": supported(measurement),
        "shipped": {
            "lookup": measurement.shipped_lookup,
            "linkage": measurement.shipped_linkage,
            "curve": measurement.shipped.source,
        },
        "registry": {
            "people": measurement.pairs.people,
            "tracks": measurement.pairs.tracks,
            "videos": measurement.pairs.videos,
        },
        "needed_pairs": measurement.faces.estimate.needed,
        "false_reject_rate": {
            "within_tracks": _rejects_document(measurement.rejected_within),
            "across_merges": _rejects_document(measurement.rejected_across),
            "across_merges_tracks": _rejects_document(measurement.rejected_tracks),
        },
        "lookup_threshold_with_suspects": measurement.faces.with_suspects,
        "suspects": [suspect.as_dict() for suspect in measurement.suspects],
    }


def _rejects_document(rejects: FalseRejects | None) -> dict[str, Any] | None:
    if rejects is None:
        return None
    return {
        "rate": rejects.rate,
        "low": rejects.low,
        "high": rejects.high,
        "pairs": rejects.pairs,
        "people": rejects.people,
    }
