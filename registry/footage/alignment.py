"""Find the parts of two videos that show the same footage. Pure.

Two videos with one person in one pose before one wall prove nothing: all videos of a studio are
like that. A copy differs from another take in how a face changes. Eyes close, lips and head move,
and embedding and box leave the mean of their track and return to it. Another codec, bit rate, frame
rate, scale, crop and a mirror keep these changes; another take has others. So the faces of one
video are compared with those of the other at the same moments, for the shift in time at which the
changes agree best.

Subtracting the mean of each track takes away what does not tell copies apart: who it is, where the
camera stands, and in which order people speak. A picture that stands still does not change, so it
gives no evidence: one photograph in two slide shows does not join them.

The evidence is a log-likelihood ratio: how much better the changes are explained by one footage
than by chance, in nats. Faces that change slowly count less, since consecutive ones repeat each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from registry.domain import Vectors

Floats = NDArray[np.float64]
T = TypeVar("T", np.float32, np.float64)

SAME_PERSON = 0.4
"""Cosine of the means of two tracks from which their faces are compared. It only saves work: copies
of poor quality still reach 0.5, and other people rarely 0.4."""

ANCHORS = 600
"""Faces of the first video that the search for the shift in time uses, spread over its length."""

PEAKS = 6
"""Shifts in time that are tried in detail."""

FINE_S = 0.05
"""Steps of that trial, in seconds: an eighth of the time between sampled frames, or less."""

PROMISING = 2.0
"""Evidence, in nats, below which a shift is not tried in detail. Copies reach it at half a step
from the right shift; most other pairs do not reach it anywhere."""

LONGEST = 8
"""Segments that are looked for: a cut-down of more pieces shows by its longest ones."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of change of a face, and what is known about it beforehand."""

    dimensions: float
    """In how many independent directions it varies."""
    correlation: float
    """Between copies, typically: for finding where a segment begins and ends."""
    noise: float
    """Standard deviation of a still picture that was encoded again."""


LOOKS = Channel(dimensions=10.0, correlation=0.3, noise=0.1)
"""Deviations of the embedding. Between takes of one person their correlation scatters by 0.1 to 0.2
over 10 faces, as of 5 to 10 independent directions (`benchmarks/footage.py`)."""

PLACE = Channel(dimensions=1.5, correlation=0.7, noise=0.01)
"""Deviations of the box: middle and size, in median sizes of its track. Its three numbers move
together, and takes of one gesture resemble each other."""


ALIKE = 0.2
"""Agreement, less what noise adds, of two tracks that show the same. Tracks of copies have more,
but for a few that are very short; of photographs that are enlarged in the same way, few have."""


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """The faces of one track, in order of time."""

    times: Floats
    """(n,) seconds from the first frame, ascending."""
    embeddings: Vectors
    """float32 (n, D), L2-normalised."""
    places: Floats
    """(n, 3): middle of the box, and geometric mean of its sides, in medians of the latter."""

    @classmethod
    def of(cls, times: Floats, embeddings: Vectors, boxes: Floats) -> FaceTrack:
        """A track from its faces in any order; boxes (n, 4) as x1, y1, x2, y2 in px."""
        order = np.argsort(times, kind="stable")
        box = boxes[order]
        size = np.sqrt(np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=1), 1e-12))
        places = np.column_stack([(box[:, :2] + box[:, 2:]) / 2, size]) / np.median(size)
        return cls(times[order], embeddings[order], places)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one video that another video shows, too."""

    start_s: float
    """In the first video."""
    end_s: float
    offset_s: float
    """What to add to get the time in the second video."""
    faces: int
    """Faces of the first video in it that were compared."""
    agreement: float
    """Correlation of the changes of the embeddings, -1 to 1."""
    movement: float
    """Correlation of the changes of the boxes, -1 to 1."""
    evidence: float
    """Log-likelihood ratio, in nats."""
    stretches: tuple[tuple[float, float], ...]
    """Seconds in the first video: where each pair of tracks begins and ends that agrees by itself.
    Between them the segment may hold something else."""


Series = Sequence[FaceTrack]
"""The faces of one video."""


def shared_segments(
    one: Series,
    other: Series,
    *,
    least: float,
    further: float,
    accept: Callable[[Segment], bool] = lambda segment: True,
) -> tuple[Segment, ...]:
    """The stretches of one video that the other one shows too, best first; none overlap in either.

    Args:
        one: faces of the video with fewer faces.
        other: faces of the other video.
        least: evidence that the best segment must have, in nats.
        further: evidence that others must have besides it.
        accept: what each must pass besides.
    """
    near = _Near.of(one, other)
    if not len(near.pairs):
        return ()
    width, shifts = _shifts(one, other)
    found: list[Segment] = []
    while len(found) < LONGEST:
        best = _best(one, other, near, width, shifts, found)
        if best is None or best.evidence < (further if found else least) or not accept(best):
            break
        found.append(best)
    return tuple(found)


def first_segment(one: Series, other: Series) -> Segment | None:
    """The stretch at the most supported shift in time, to the half of a sampling step.

    In a fiftieth of the time of `shared_segments`. What that finds for the same videos has as much
    evidence or more.
    """
    near = _Near.of(one, other)
    if not len(near.pairs):
        return None
    _, shifts = _shifts(one, other)
    found = _stretch(one, other, near, shifts[0], ()) if shifts else None
    return found.segment() if found else None


def _best(
    one: Series,
    other: Series,
    near: _Near,
    width: float,
    shifts: Sequence[float],
    taken: Sequence[Segment],
) -> Segment | None:
    best: _Stretch | None = None
    for shift in shifts:
        rough = _stretch(one, other, near, shift, taken)
        if rough is None or rough.evidence < PROMISING:
            continue
        for fine in np.arange(shift - 1.5 * width, shift + 1.5 * width + FINE_S / 2, FINE_S):
            found = _stretch(one, other, near, float(fine), taken)
            if found is not None and (best is None or found.evidence > best.evidence):
                best = found
    return None if best is None else best.segment()


@dataclass(frozen=True, slots=True)
class _Near:
    """Pairs of tracks, one of each video, that may show one person."""

    pairs: NDArray[np.int64]
    """(k, 2): numbers of the tracks."""
    spans: tuple[Floats, Floats]
    """(k, 2) each: first and last second of the track in its video."""

    @classmethod
    def of(cls, one: Series, other: Series) -> _Near:
        if not one or not other:
            return cls(np.zeros((0, 2), np.int64), (np.zeros((0, 2)), np.zeros((0, 2))))
        lengths = [np.array([len(track.times) for track in series]) for series in (one, other)]
        alike = _means(one) @ _means(other).T >= SAME_PERSON
        pairs = np.argwhere(alike & (lengths[0][:, None] > 1) & (lengths[1][None, :] > 1))
        spans = [np.array([(t.times[0], t.times[-1]) for t in series]) for series in (one, other)]
        return cls(pairs, (spans[0][pairs[:, 0]], spans[1][pairs[:, 1]]))

    def at(self, shift: float) -> list[tuple[int, int]]:
        """Those that overlap at this shift in time."""
        mine, theirs = self.spans
        begin = np.maximum(mine[:, 0] + shift, theirs[:, 0])
        end = np.minimum(mine[:, 1] + shift, theirs[:, 1])
        return [(int(i), int(j)) for i, j in self.pairs[end >= begin - _CLOCK_S]]


def _means(series: Series) -> Vectors:
    means = np.stack([track.embeddings.mean(axis=0) for track in series])
    return _unit(means)


def _unit(rows: Vectors) -> Vectors:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = (rows / np.maximum(length, 1e-9)).astype(np.float32, copy=False)
    return unit


def _step(series: Series) -> float:
    """Seconds between the faces of a track, typically."""
    gaps = np.concatenate([np.diff(track.times) for track in series])
    return float(np.median(gaps)) if len(gaps) else 1.0


def _shifts(one: Series, other: Series) -> tuple[float, list[float]]:
    """Half the time between sampled frames, and the shifts in time with the most support."""
    t1, e1, d1 = _flat(one)
    t2, e2, d2 = _flat(other)
    if len(t1) > ANCHORS:
        some = np.linspace(0, len(t1) - 1, ANCHORS).astype(int)
        t1, e1, d1 = t1[some], e1[some], d1[some]
    width = max(_step(one), _step(other)) / 2
    first = int(np.floor((t2.min() - t1.max()) / width))
    total = np.zeros(int(np.ceil((t2.max() - t1.min()) / width)) - first + 1)
    for start in range(0, len(t2), _BLOCK):
        rows = slice(start, start + _BLOCK)
        agree = np.where(e1 @ e2[rows].T >= SAME_PERSON, d1 @ d2[rows].T, 0.0)
        lags = np.rint((t2[None, rows] - t1[:, None]) / width).astype(np.int64) - first
        total += np.bincount(lags.ravel(), weights=agree.ravel(), minlength=len(total))
    total = np.convolve(total, np.ones(3), mode="same")
    chosen: list[int] = []
    for place in np.argsort(-total, kind="stable").tolist():
        if len(chosen) == PEAKS or total[place] <= 0:
            break
        if all(abs(place - before) > 1 for before in chosen):
            chosen.append(place)
    return width, [(place + first) * width for place in chosen]


_BLOCK = 4096
"""Faces of the other video that are compared at once: 20 MB with all anchors."""


def _flat(series: Series) -> tuple[Floats, Vectors, Vectors]:
    """Times, embeddings, and directions in which the embeddings leave the mean of their track."""
    changes = [track.embeddings - track.embeddings.mean(axis=0) for track in series]
    return (
        np.concatenate([track.times for track in series]),
        np.concatenate([track.embeddings for track in series]),
        _unit(np.concatenate(changes)),
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Faces of one track and what a track of the other video shows at the same moments."""

    times: Floats
    """(n,) in the first video."""
    looks: tuple[Vectors, Vectors]
    """Embeddings (n, D) of both."""
    places: tuple[Floats, Floats]
    """Boxes (n, 3) of both."""

    def only(self, rows: NDArray[np.bool_]) -> _Pairs:
        looks, places = self.looks, self.places
        return _Pairs(
            self.times[rows],
            (looks[0][rows], looks[1][rows]),
            (places[0][rows], places[1][rows]),
        )


def _pairs(
    one: Series,
    other: Series,
    near: _Near,
    shift: float,
    taken: Sequence[Segment],
) -> Iterator[_Pairs]:
    for i, j in near.at(shift):
        mine, theirs = one[i], other[j]
        at = mine.times + shift
        rows = (at >= theirs.times[0] - _CLOCK_S) & (at <= theirs.times[-1] + _CLOCK_S)
        for segment in taken:
            rows &= (mine.times < segment.start_s) | (mine.times > segment.end_s)
            start, end = segment.start_s + segment.offset_s, segment.end_s + segment.offset_s
            rows &= (at < start) | (at > end)
        if rows.sum() > 1:
            yield _Pairs(
                mine.times[rows],
                (mine.embeddings[rows], _unit(_between(theirs.times, theirs.embeddings, at[rows]))),
                (mine.places[rows], _between(theirs.times, theirs.places, at[rows])),
            )


_CLOCK_S = 1e-3  # timestamps are rounded to the stream's time base


def _between(times: Floats, values: NDArray[T], at: Floats) -> NDArray[T]:
    """Rows of `values` at other times, interpolated linearly."""
    after = np.clip(np.searchsorted(times, at, side="right"), 1, len(times) - 1)
    span = np.maximum(times[after] - times[after - 1], 1e-9)
    weight = np.clip((at - times[after - 1]) / span, 0.0, 1.0)[:, None].astype(values.dtype)
    found: NDArray[T] = values[after - 1] * (1 - weight) + values[after] * weight
    return found


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive faces that may be a segment."""

    changes: _Changes
    rows: slice
    shift: float
    """Seconds by which the other video is later."""
    evidence: float
    """As `Segment.evidence`."""

    def segment(self) -> Segment:
        return self.changes.segment(self.rows, self.shift, self.evidence)


def _stretch(
    one: Series,
    other: Series,
    near: _Near,
    shift: float,
    taken: Sequence[Segment],
) -> _Stretch | None:
    """The stretch with the most evidence at this shift in time.

    Means are those of the stretch, and the stretch depends on the means: both are found in turn.
    """
    pairs = list(_pairs(one, other, near, shift, taken))
    best: tuple[_Changes, slice] | None = None
    span: tuple[float, float] | None = None
    for _ in range(_ROUNDS):
        changes = _Changes.of(pairs)
        rows = None if changes is None else changes.stretch()
        if changes is None or rows is None:
            break
        times, before = changes.times[rows], span
        best, span = (changes, rows), (float(times[0]), float(times[-1]))
        if span == before:
            break
        pairs = [p.only((p.times >= span[0]) & (p.times <= span[1])) for p in pairs]
    return None if best is None else _Stretch(*best, shift, best[0].evidence(best[1]))


_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Changes:
    """How faces and their counterparts leave the means of their tracks, in order of time."""

    times: Floats
    tracks: NDArray[np.int64]
    """Which pair of tracks each face belongs to."""
    looks: tuple[Floats, Floats]
    places: tuple[Floats, Floats]

    @classmethod
    def of(cls, pairs: Sequence[_Pairs]) -> _Changes | None:
        """None if there are no two faces of one pair of tracks."""
        pairs = [pair for pair in pairs if len(pair.times) > 1]
        if not pairs:
            return None
        times = np.concatenate([pair.times for pair in pairs])
        order = np.argsort(times, kind="stable")
        numbers = np.repeat(np.arange(len(pairs)), [len(pair.times) for pair in pairs])

        def changes(values: Sequence[NDArray[np.floating]]) -> Floats:
            rows = [rows - rows.mean(axis=0) for rows in values]
            return np.concatenate(rows).astype(np.float64, copy=False)[order]

        looks = changes([p.looks[0] for p in pairs]), changes([p.looks[1] for p in pairs])
        mine, theirs = changes([p.places[0] for p in pairs]), changes([p.places[1] for p in pairs])
        mirrored = theirs * _MIRROR
        if (mine * mirrored).sum() > (mine * theirs).sum():
            theirs = mirrored
        return cls(times[order], numbers[order], looks, (mine, theirs))

    def stretch(self) -> slice | None:
        """The consecutive faces with the highest sum of log-likelihood ratios."""
        gains = _gains(LOOKS, *self.looks)
        gains += np.minimum(_gains(PLACE, *self.places), np.maximum(gains, 0))
        sums = np.concatenate([[0.0], np.cumsum(gains)])
        lowest = np.minimum.accumulate(sums)
        end = int(np.argmax(sums - lowest))
        if end == 0:
            return None
        start = int(np.flatnonzero(sums[: end + 1] == lowest[end])[-1])
        return slice(start, end)

    def evidence(self, rows: slice) -> float:
        """As `Segment.evidence`, of these faces."""
        times, tracks = self.times[rows], self.tracks[rows]
        free = len(times) - len(np.unique(tracks))  # each mean takes one
        seen = _evidence(LOOKS, self.looks[0][rows], self.looks[1][rows], tracks, free)
        moved = _evidence(PLACE, self.places[0][rows], self.places[1][rows], tracks, free)
        return seen + min(moved, seen)

    def segment(self, rows: slice, shift: float, evidence: float) -> Segment:
        times = self.times[rows]
        looks = self.looks[0][rows], self.looks[1][rows]
        places = self.places[0][rows], self.places[1][rows]
        return Segment(
            start_s=float(times[0]),
            end_s=float(times[-1]),
            offset_s=shift,
            faces=len(times),
            agreement=_correlation(*looks, noise=0.0),
            movement=_correlation(*places, noise=PLACE.noise),
            evidence=evidence,
            stretches=tuple(self._stretches(rows)),
        )

    def _stretches(self, rows: slice) -> Iterator[tuple[float, float]]:
        times, tracks = self.times[rows], self.tracks[rows]
        for number in np.unique(tracks):
            own = tracks == number
            looks = self.looks[0][rows][own], self.looks[1][rows][own]
            if _correlation(*looks, noise=LOOKS.noise) >= ALIKE:
                yield float(times[own].min()), float(times[own].max())


_MIRROR = np.array([-1.0, 1.0, 1.0])


def _correlation(mine: Floats, theirs: Floats, *, noise: float) -> float:
    floor = len(mine) * noise**2
    lengths = ((mine**2).sum() + floor) * ((theirs**2).sum() + floor)
    return float((mine * theirs).sum() / np.sqrt(max(lengths, 1e-24)))


def _gains(channel: Channel, mine: Floats, theirs: Floats) -> Floats:
    """Log-likelihood ratio of each face: correlated as in copies, against not at all (Gaussian)."""
    k, r, floor = channel.dimensions, channel.correlation, channel.noise**2
    own, others = (mine**2).sum(axis=1), (theirs**2).sum(axis=1)
    x, y = k / (own.mean() + floor), k / (others.mean() + floor)
    most = _OUTLIER * k
    squares = np.minimum(own * x, most) + np.minimum(others * y, most)
    products = np.clip((mine * theirs).sum(axis=1) * np.sqrt(x * y), -most, most)
    gains: Floats = (2 * r * products - r**2 * squares) / (2 * (1 - r**2)) - k / 2 * np.log(
        1 - r**2
    )
    return gains


_OUTLIER = 3.0
"""Mean squares beyond which a change counts no more: one jump must not decide."""


def _evidence(
    channel: Channel, mine: Floats, theirs: Floats, tracks: NDArray[np.int64], free: int
) -> float:
    """Log-likelihood ratio of all faces, at the correlation that they have."""
    correlation = max(_correlation(mine, theirs, noise=channel.noise), 0.0)
    repeats = _repeats(mine, tracks) * _repeats(theirs, tracks)
    independent = max(free, 0) * (1 - repeats) / (1 + repeats)
    return -0.5 * independent * channel.dimensions * float(np.log(max(1 - correlation**2, 1e-3)))


def _repeats(changes: Floats, tracks: NDArray[np.int64]) -> float:
    """Correlation of a change with the one before, 0 to 0.99.

    What a sample of two series is worth depends on the product of theirs (Bartlett 1946).
    """
    order = np.argsort(tracks, kind="stable")
    changes, tracks = changes[order], tracks[order]
    next_to = tracks[1:] == tracks[:-1]
    before, after = changes[:-1][next_to], changes[1:][next_to]
    lengths = (before**2).sum() * (after**2).sum()
    return float(np.clip((before * after).sum() / np.sqrt(max(lengths, 1e-24)), 0.0, 0.99))
