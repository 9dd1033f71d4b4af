"""How far the numbers of a report depend on who is who.

The plausible joins and splits of `registry.people.plausible` are tried one by one and together, and
means are computed again. A person who is joined to another counts in every video in which one of
the two does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from queries.counted_videos import (
    CountedVideo,
    counted_videos,
    counted_videos_of,
    videos_by_person,
)
from queries.figures import figure
from queries.metric_weights import check_metrics, weight_of, weighted_metrics, weights_of
from queries.selections import Selection, select
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people.joining import Suggestion, suggest
from registry.people.plausible import PlausibleChanges
from registry.terminal import short

MOST = 10
"""Changes of one person that are tried in all combinations, 1,024 of them: the most similar."""
_Sums = Mapping[str, tuple[float, float]]
"""By video: its weight, and the weight times the value."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A pair that may be one person, and what joining it does to the means."""

    suggestion: Suggestion
    metric: str
    weight: str
    """What means are weighted with; "" if they are not."""
    before: float
    """Mean of the one who stays; NaN if reports leave it out or it has no value."""
    joins_before: float
    """Mean of the one who joins."""
    after: float
    """Mean of both as one person."""
    videos_before: int
    """Videos of the one who stays that have a value."""
    videos_after: int

    @property
    def change(self) -> float:
        """How far a reported mean moves: of the one who stays, or else of the other; 0: none."""
        reported = [value for value in (self.before, self.joins_before) if math.isfinite(value)]
        return abs(self.after - reported[0]) if reported else 0.0

    @property
    def sentence(self) -> str:
        """What joining does, in words."""
        stays = self.suggestion.stays
        return self.sentence_about(stays.name or short(stays.identity_id))

    def sentence_about(self, who: str) -> str:
        """What joining does, in words. `who` is what the one who stays is called."""
        if not math.isfinite(self.after):
            return f"Neither has a video with a {self.metric}."
        about = f"{self.metric}; videos: {self.videos_before}, then {self.videos_after}"
        before, after = figure(self.before), figure(self.after)
        if not math.isfinite(self.before):
            return f"Joining these gives {who} a mean of {after} ({about})."
        if before == after:
            return f"Joining these leaves {who} at {before} ({about})."
        return f"Joining these moves {who} from {before} to {after} ({about})."

    def as_dict(self) -> dict[str, Any]:
        """An entry of `identities suggest --order effect --json`; None for NaN."""
        numbers = {"before": self.before, "joins_before": self.joins_before, "after": self.after}
        return {
            **self.suggestion.as_dict(),
            "effect": {
                "metric": self.metric,
                "weight": self.weight or None,
                **{name: None if math.isnan(one) else one for name, one in numbers.items()},
                "videos_before": self.videos_before,
                "videos_after": self.videos_after,
            },
        }


def effects(
    registry: Registry,
    *,
    metric: str = "",
    weight: str = "",
    selection: Selection | None = None,
    log: bool = False,
    threshold: float | None = None,
) -> list[Effect]:
    """The suggestions of `suggest`, those first whose join moves a reported mean most.

    Args:
        registry: an open registry that has ingested something.
        metric: by default the primary metric.
        weight: the metric that means are weighted with; by default by the metric's kind.
        selection: the videos that means are of; by default all.
        log: geometric means, of values above 0.
        threshold: as for `suggest`.

    Raises:
        EmptyRegistry: nothing has been ingested.
        UsageError: the metric or the weight cannot be used.
    """
    metric = metric or registry.contract.primary_metric
    everything, identities = counted_videos(registry)
    check_metrics((metric, weight), everything)
    videos = select(everything, selection or Selection(), identities)
    weighted = weight_of(registry, metric, weight, videos)
    sums = _sums(videos, metric, weighted, weight, log=log)
    seen = _seen(videos)
    found = [
        _effect(one, metric, weighted, sums, seen, log=log)
        for one in suggest(registry, threshold=threshold)
    ]
    found.sort(key=lambda one: (-one.change, -one.suggestion.similarity))
    return found


def effect_of_joining(registry: Registry, suggestion: Suggestion) -> Effect:
    """What joining one pair does to the primary metric. Reads only the videos that show the two.

    Args:
        registry: an open registry that has ingested something.
        suggestion: the pair, with its identities as they are now.
    """
    both = [suggestion.stays.identity_id, suggestion.joins.identity_id]
    shown = counted_videos_of(registry, both)
    metric = registry.contract.primary_metric
    weighted = weight_of(registry, metric, "", shown)
    if not weighted and metric in weighted_metrics(registry, shown):
        weighted = f"weight of {metric}"
    return _effect(suggestion, metric, weighted, _sums(shown, metric, weighted, ""), _seen(shown))


def _effect(
    suggestion: Suggestion,
    metric: str,
    weighted: str,
    sums: _Sums,
    seen: Mapping[str, AbstractSet[str]],
    *,
    log: bool = False,
) -> Effect:
    def average(videos: AbstractSet[str]) -> float:
        found = _mean(videos, sums)
        return math.exp(found) if log else found

    def reported(one: Identity) -> float:
        return math.nan if one.provisional else average(seen.get(one.identity_id, frozenset()))

    sides = (suggestion.stays, suggestion.joins)
    own, other = (seen.get(one.identity_id, frozenset()) for one in sides)
    return Effect(
        suggestion=suggestion,
        metric=metric,
        weight=weighted,
        before=reported(suggestion.stays),
        joins_before=reported(suggestion.joins),
        after=average(own | other),
        videos_before=len(own & sums.keys()),
        videos_after=len((own | other) & sums.keys()),
    )


@dataclass(frozen=True, slots=True)
class _Change:
    """One plausible change of a person."""

    videos: AbstractSet[str]
    """Of the part that may leave, or of the one who may join."""
    who: str = ""
    """The one who may join; "" for a part that may leave."""


def identity_ranges(
    plausible: PlausibleChanges,
    counted: Mapping[str, str],
    videos: Sequence[CountedVideo],
    partners: Sequence[CountedVideo],
    metric: str,
    weighted: str,
    weight: str,
    *,
    log: bool = False,
) -> dict[str, tuple[float, float]]:
    """The lowest and the highest mean of each person over all plausible joins and splits.

    Args:
        plausible: the joins and splits.
        counted: the video that each joined video counts as.
        videos: those that were selected, with the people who count in them.
        partners: the same videos, also with provisional identities.
        metric: its name.
        weighted: what it is weighted with; "" if it is not.
        weight: as it was given to `weights_of`.
        log: geometric means.

    Returns:
        By identity; both are the mean itself for a person whom no plausible change concerns.
    """
    sums = _sums(videos, metric, weighted, weight, log=log)
    seen = _seen(videos)
    everybody = {**_seen(partners), **seen}
    near: dict[str, dict[str, float]] = {}
    for one in plausible.joins:
        first, second = one.stays.identity_id, one.joins.identity_id
        near.setdefault(first, {})[second] = near.setdefault(second, {})[first] = one.similarity
    ranges = {}
    for person, own in seen.items():
        parts = [
            _Change(own & {counted.get(video, video) for video in part})
            for part in plausible.splits.get(person, ())
        ]
        kept = {counted.get(video, video) for video in plausible.rest.get(person, ())}
        joins = [_Change(everybody.get(who, frozenset()), who) for who in _nearest(person, near)]
        changes = [*parts, *joins][:MOST]
        base = own & kept if parts else own
        means = _means(person, base, changes, sums, near, plausible.apart)
        if log:
            means = np.exp(means)
        ranges[person] = (float(means.min()), float(means.max())) if len(means) else _NONE
    return ranges


_NONE = (math.nan, math.nan)


def _nearest(person: str, near: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Those who may be the same person, directly or through others: the most similar first."""
    found: dict[str, None] = {}
    while len(found) < MOST:
        edges = [
            (alike, other)
            for one in (person, *found)
            for other, alike in near.get(one, {}).items()
            if other != person and other not in found
        ]
        if not edges:
            break
        found[max(edges, key=lambda edge: (edge[0], edge[1]))[1]] = None
    return list(found)


def _means(
    person: str,
    base: AbstractSet[str],
    changes: Sequence[_Change],
    sums: _Sums,
    near: Mapping[str, Mapping[str, float]],
    apart: AbstractSet[tuple[str, str]],
) -> np.ndarray:
    """The mean in each state: with each combination of parts and of those who join."""
    places = sorted({*base, *(v for change in changes for v in change.videos)} & sums.keys())
    weights = np.array([sums[video] for video in places]).reshape(-1, 2)
    members = np.array([[v in c.videos for v in places] for c in changes], bool)
    members = members.reshape(len(changes), len(places))
    possible = _possible(person, [change.who for change in changes], near, apart)
    states = (np.array(possible)[:, None] >> np.arange(len(changes))) & 1
    own = np.array([video in base for video in places], bool)
    shown = own[None, :] | (states @ members > 0)
    total = shown @ weights
    told = total[:, 0] > 0
    return np.asarray(total[told, 1] / total[told, 0])


def _possible(
    person: str,
    who: Sequence[str],
    near: Mapping[str, Mapping[str, float]],
    apart: AbstractSet[tuple[str, str]],
) -> list[int]:
    """The combinations of changes that may be: bit i stands for the change i.

    Of those who join, none are known to be two people, and suggestions connect them all with the
    person. A part, whose `who` is "", stays or leaves in any combination.
    """

    def bits(others: Mapping[str, float] | AbstractSet[str]) -> int:
        return sum(1 << i for i, one in enumerate(who) if one and one in others)

    def strangers(one: str) -> int:
        return sum(1 << i for i, o in enumerate(who) if o and (min(o, one), max(o, one)) in apart)

    joins = sum(1 << i for i, one in enumerate(who) if one)
    beside = [bits(near.get(one, {})) for one in who]
    against = [strangers(one) if one else 0 for one in who]
    first, never = bits(near.get(person, {})), strangers(person)
    found = []
    for state in range(1 << len(who)):
        members = [i for i in range(len(who)) if state >> i & 1]
        if state & never or any(state & against[i] for i in members):
            continue
        left, reached = state & joins, state & first
        while reached:
            left &= ~reached
            reached = left & _union(beside, reached)
        if not left:
            found.append(state)
    return found


def _union(masks: Sequence[int], chosen: int) -> int:
    union = 0
    for i, mask in enumerate(masks):
        if chosen >> i & 1:
            union |= mask
    return union


def _sums(
    videos: Sequence[CountedVideo], metric: str, weighted: str, weight: str, *, log: bool = False
) -> dict[str, tuple[float, float]]:
    amounts = weights_of(videos, metric, weight) if weighted else [1.0] * len(videos)
    values = [video.metrics.get(metric, math.nan) for video in videos]
    return {
        video.video_id: (amount, amount * (math.log(value) if log else value))
        for video, value, amount in zip(videos, values, amounts, strict=True)
        if math.isfinite(value) and amount > 0
    }


def _mean(videos: Any, sums: _Sums) -> float:
    told = [sums[video] for video in sorted(videos) if video in sums]
    if not told:
        return math.nan
    return math.fsum(total for _, total in told) / math.fsum(weight for weight, _ in told)


def _seen(videos: Sequence[CountedVideo]) -> dict[str, frozenset[str]]:
    """The ids of the videos with each person."""
    return {
        who: frozenset(video.video_id for video in own)
        for who, own in videos_by_person(videos).items()
    }
