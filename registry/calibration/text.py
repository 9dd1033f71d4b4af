"""What a calibration says: in sentences, and as a document."""

from __future__ import annotations

from typing import Any

from registry.calibration.measuring import SHOWN, Found, Level, Suspect, supported
from registry.calibration.thresholds import LEAST_PAIRS, Basis, Rejections
from registry.terminal import rate, short


def sentences(found: Found) -> list[str]:
    """The answer for people: what it rests on, both thresholds, what they cost, who to look at."""
    gathered = found.gathered
    return [
        f"{found.calibration.model}: {gathered.people:,} people (as far as consolidation can "
        f"tell) in {gathered.tracks:,} tracks of {gathered.videos:,} videos, good faces only",
        _support(found.faces),
        "",
        _threshold("lookup", found.faces, found.shipped_lookup),
        _threshold("linkage", found.tracks, found.shipped_linkage),
        *basis(found),
        "",
        *rejected(found),
        *_suspects(found),
    ]


def _support(level: Level) -> str:
    found = level.operating.support
    return (
        f"pairs of faces of two people: {found.pairs:,}; pairs of people: {found.of_people:,}, "
        f"among {found.people:,}, worth {found.independent:.0f} independent ones"
    )


def _threshold(name: str, level: Level, shipped: float) -> str:
    at = level.operating
    if at.basis is Basis.SHIPPED:
        return f"{name:<8} {shipped:.3f}  the model's own, kept"
    return (
        f"{name:<8} {at.threshold:.3f}  (95 % {at.low:.3f} to {at.high:.3f}; the model's own "
        f"{shipped:.3f})  false-accept rate {rate(at.far)} (95 % {rate(at.far_low)} to "
        f"{rate(at.far_high)}); aimed at {rate(at.target)}"
    )


def basis(found: Found) -> list[str]:
    """What the thresholds rest on, said plainly."""
    at = found.faces.operating
    if at.basis is Basis.SHIPPED:
        return [
            f"Too few: {LEAST_PAIRS} pairs of people are needed, side by side in a frame or told "
            f"apart by you; here: {at.support.of_people}. Nothing is moved."
        ]
    if at.basis is Basis.MEASURED:
        return [f"There are the {at.needed:,} independent pairs that show a rate of this size."]
    return [
        f"A rate of {rate(at.target)} would show in {at.needed:,} independent pairs (3 / rate), "
        f"and these are worth {at.support.independent:.0f}: they place and stretch the model's "
        f"curve ({found.shipped.source}), and its tail is taken from there. Their mean lies "
        f"{at.support.shift:+.2f} standard deviations off it; they spread {at.support.scale:.2f} "
        "times as far."
    ]


def rejected(found: Found) -> list[str]:
    """How often one person would be missed at these thresholds."""
    lookup, linkage = found.faces.operating.threshold, found.tracks.operating.threshold
    rows = (
        ("faces of one track", found.rejected_within, lookup, ": the least that a lookup misses"),
        ("faces of identities that you merged", found.rejected_across, lookup, ""),
        ("tracks of identities that you merged", found.rejected_tracks, linkage, ""),
    )
    lines = [
        f"false rejects: {name}, {_share(rejected)} below {threshold:.3f}{note}"
        for name, rejected, threshold, note in rows
        if rejected is not None
    ]
    return lines or ["No pairs of one person: no track is long enough, and you merged nobody."]


def _share(found: Rejections) -> str:
    return (
        f"{100 * found.rate:.1f} % (95 % {100 * found.low:.1f} to {100 * found.high:.1f} %, "
        f"{found.pairs:,} pairs, {found.people:,} people)"
    )


def _suspects(found: Found) -> list[str]:
    if not found.suspects:
        return []
    at = found.faces
    lines = [
        "",
        f"{len(found.suspects)} times, faces side by side are as alike as one person's: a mirror, "
        "a screen, a collage, or twins. They are not counted as two people (counted, the lookup "
        f"threshold would be {at.with_suspects:.3f}). Have a look; `identities separate` says "
        "that they are two, `identities merge` that they are one:",
    ]
    lines += [_suspect(suspect) for suspect in found.suspects[:SHOWN]]
    if len(found.suspects) > SHOWN:
        lines.append(f"  … and {len(found.suspects) - SHOWN} more: --json has all of them")
    return lines


def _suspect(suspect: Suspect) -> str:
    seen = suspect.seen
    one, other = (short(identity) for identity in seen.identities)
    who = f"both go by {one}" if suspect.one_identity else f"{one} and {other}"
    return f"  {seen.similarity:.3f}  {seen.video_url} at {seen.time_s:.1f} s: {who}"


def document(found: Found, *, written: bool) -> dict[str, Any]:
    """The document of `calibrate --json`."""
    return {
        **found.calibration.as_dict(),
        "written": written,
        "supported": supported(found),
        "shipped": {
            "lookup": found.shipped_lookup,
            "linkage": found.shipped_linkage,
            "curve": found.shipped.source,
        },
        "registry": {
            "people": found.gathered.people,
            "tracks": found.gathered.tracks,
            "videos": found.gathered.videos,
        },
        "needed_pairs": found.faces.operating.needed,
        "false_reject_rate": {
            "within_tracks": _rejected(found.rejected_within),
            "across_merges": _rejected(found.rejected_across),
            "across_merges_tracks": _rejected(found.rejected_tracks),
        },
        "lookup_threshold_with_suspects": found.faces.with_suspects,
        "suspects": [suspect.as_dict() for suspect in found.suspects],
    }


def _rejected(found: Rejections | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "rate": found.rate,
        "low": found.low,
        "high": found.high,
        "pairs": found.pairs,
        "people": found.people,
    }
