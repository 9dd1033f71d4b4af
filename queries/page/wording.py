"""The answer in words: the headline of a page, and numbers as they are read. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from queries.figures import figure
from registry.terminal import count

VERDICTS = (
    "clearly above",
    "leaning above",
    "cannot tell",
    "leaning below",
    "clearly below",
    "too few",
)
"""In the order of the table."""
_TWICE = 1.995
"""Ratio from which "times as much" is said instead of a percentage."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one person, and of one value of `--by`, for one metric; NaN: not known."""

    metric: str
    weight: str
    n: int
    mean: float
    total: float
    median: float
    difference: float
    """From the videos without the person; with `log` a ratio minus one, as `low` and `high`."""
    low: float
    high: float
    p: float
    q: float
    verdict: str
    shrunk: float
    shrunk_low: float
    shrunk_high: float
    shared_credit: float
    shared_low: float
    shared_high: float
    adjusted: float
    inseparable_from: str
    log: bool
    identity_low: float = math.nan
    """The lowest mean over plausible joins and splits of identities; likewise `identity_high`."""
    identity_high: float = math.nan

    @property
    def others(self) -> float:
        """The mean of the videos without the person."""
        if self.log:
            return self.mean / (1 + self.difference) if self.difference > -1 else math.nan
        return self.mean - self.difference

    @property
    def ratio(self) -> float:
        """`mean` by `others`; NaN where that means nothing."""
        return self.mean / self.others if self.others > 0 and self.mean >= 0 else math.nan

    def difference_text(self) -> str:
        """`+2.4` or, of ratios, `+86 %`; empty if it is not known."""
        if not math.isfinite(self.difference):
            return ""
        return signed(self.difference, *self._digits())

    def interval_text(self) -> str:
        """`+1.5 to +3.3`; empty if there is none."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return ""
        digits = self._digits()
        return f"{signed(self.low, *digits)} to {signed(self.high, *digits)}"

    def spoken(self) -> str:
        """The difference and its interval, for screen readers."""
        if not self.difference_text():
            return ""
        interval = self.interval_text()
        likely = f", likely {interval}" if interval else ""
        return f"difference {self.difference_text()}{likely}"

    def credit_text(self) -> str:
        """The shared credit with its interval; empty if it is not known."""
        if not math.isfinite(self.shared_credit):
            return ""
        digits = self._digits(self.shared_low, self.shared_high)
        ends = f"{signed(self.shared_low, *digits)} to {signed(self.shared_high, *digits)}"
        return f"{signed(self.shared_credit, *digits)} ({ends})"

    def identity_text(self) -> str:
        """The range of the mean over plausible joins and splits; empty if it was not asked for."""
        if not (math.isfinite(self.identity_low) and math.isfinite(self.identity_high)):
            return ""
        return f"{figure(self.identity_low)} to {figure(self.identity_high)}"

    def adjusted_text(self) -> str:
        """The adjusted difference; empty if it was not asked for."""
        return signed(self.adjusted, *self._digits()) if math.isfinite(self.adjusted) else ""

    def _digits(self, low: float = math.nan, high: float = math.nan) -> tuple[int, bool]:
        low, high = (self.low, self.high) if math.isnan(low) else (low, high)
        width = (high - low) / 2
        if not math.isfinite(width):
            width = abs(self.difference) / 10
        return decimals(100 * width if self.log else width), self.log


def decimals(half_width: float) -> int:
    """Decimals that an interval of this half width deserves.

    Two digits of it up to 3.54, else one: the rule of the Particle Data Group (Review of Particle
    Physics, 5.3), so that rounding is small beside the interval.
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return 2
    power = math.floor(math.log10(half_width))
    leading = half_width / 10.0**power
    return max(0, (1 if leading <= 3.54 else 0) - power)


def signed(value: float, digits: int, ratio: bool) -> str:
    """A difference with its sign: `+2.4`, `-12`, `+86 %`."""
    shown = 100 * value if ratio else value
    text = f"{shown:+,.{min(digits, 8)}f}"
    plain = text[1:] if not text.strip("+-0.,") else text
    return f"{plain} %" if ratio else plain


@dataclass(frozen=True, slots=True)
class Answer:
    """The question answered."""

    headline: str
    lead: tuple[str, ...]
    """Sentences: how sure that is, and how many others are sure."""


def answer(rows: Sequence[tuple[str, str, Measured]], videos: int) -> Answer:
    """What the table says, for a reader who stops after ten seconds.

    Args:
        rows: what a person is called, the value of `--by` or "", and the numbers of the metric.
        videos: how many were selected.
    """
    if not rows:
        return Answer("Nobody is in these videos", (f"{count(videos, 'video')} were selected.",))
    metric = rows[0][2].metric
    clear = [row for row in rows if row[2].verdict.startswith("clearly")]
    best = max(
        clear, key=lambda row: (row[2].verdict == "clearly above", _strength(row[2])), default=None
    )
    counted = _counts([row[2].verdict for row in rows], grouped=any(row[1] for row in rows))
    if best is None:
        leaning = [row for row in rows if row[2].verdict.startswith("leaning")]
        if all(row[2].verdict == "too few" for row in rows):
            return Answer(
                f"There are too few videos to say whose {metric} is higher",
                (
                    "A comparison needs at least three videos with a person and three without.",
                    counted,
                ),
            )
        hint = "Nobody’s interval excludes zero."
        if leaning:
            who, group, one = max(leaning, key=lambda row: _strength(row[2]))
            hint = (
                f"The closest is {_with(who, group)}, {one.verdict} ({one.difference_text()}); "
                f"among {count(len(rows), 'comparison')} that can be chance."
            )
        return Answer(f"No person clearly stands out in {metric}", (hint, counted, _CAREFUL))
    who, group, one = best
    return Answer(_headline(who, group, one), (_likely(one, videos, group), counted, _CAREFUL))


_CAREFUL = (
    "These are associations: who is in a video, when, and with which budget is somebody’s choice, "
    "so the person need not be the cause."
)


def _headline(who: str, group: str, one: Measured) -> str:
    ratio = one.ratio
    if not math.isfinite(ratio):
        higher = "higher" if one.difference > 0 else "lower"
        size = one.difference_text().lstrip("+-")
        return f"{one.metric} is {size} {higher} in {_with(who, group)} than in the others"
    if ratio >= _TWICE:
        return (
            f"{_capital(_with(who, group))} have {ratio:,.2g} times the {one.metric} of the others"
        )
    more = "more" if ratio >= 1 else "less"
    share = f"{abs(100 * (ratio - 1)):.0f} %"
    return f"{_capital(_with(who, group))} have {share} {more} {one.metric} than the others"


def _likely(one: Measured, videos: int, group: str) -> str:
    others = f" ({group})" if group else f"; the other {videos - one.n:,} do not"
    shows = "shows" if one.n == 1 else "show"
    means = "Geometric mean" if one.log else "Mean"
    return (
        f"{count(one.n, 'video')} {shows} this person{others}. {means} {figure(one.mean)} against "
        f"{figure(one.others)}: a difference of {one.difference_text()}, likely between "
        f"{one.interval_text().replace(' to ', ' and ')}."
    )


def _counts(verdicts: Sequence[str], *, grouped: bool) -> str:
    """How many people have which verdict: `Of 24 people, 2 are clearly above; …`."""
    found = Counter(verdicts)
    parts = [
        f"{found[one]} {'is' if found[one] == 1 else 'are'} {one}"
        for one in ("clearly above", "clearly below", "leaning above", "leaning below")
        if found[one]
    ]
    if found["cannot tell"]:
        parts.append(f"for {found['cannot tell']} these videos cannot tell")
    if found["too few"]:
        parts.append(
            f"{found['too few']} {'has' if found['too few'] == 1 else 'have'} too few videos"
        )
    noun = ("comparison", "comparisons") if grouped else ("person", "people")
    return f"Of {count(len(verdicts), *noun)}, {'; '.join(parts)}."


def _strength(one: Measured) -> float:
    return one.shrunk if math.isfinite(one.shrunk) else -math.inf


def _with(who: str, group: str) -> str:
    return f"videos with “{who}”" + (f" ({group})" if group else "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
