"""Do intervals cover, and are verdicts right? `face_registry.statistics.performance`, simulated.

    python -m benchmarks.statistics [--worlds N] [--only TEXT]

Each line is one kind of world. `cover` is the share of 95 % intervals that hold the true difference
between the expected values of the videos with and without a person; `wrong` counts worlds in which
anybody is called "clearly" above or below on the wrong side, or without any difference. Welch
intervals with the false discovery rate at 5 % are the baseline. Worlds are drawn from fixed seeds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from queries.statistics.performance import performance


@dataclass(frozen=True)
class Kind:
    """One kind of world."""

    people: int
    videos: int
    metric: str
    effect: float = 0.0
    """Standard deviation of what people contribute, on the scale of the metric's link."""
    sigma: float = 0.8
    beside: float = 0.0
    """Mean number of further people in a video."""
    scale: str = "linear"
    weighted: bool = False
    even: bool = False
    """Whether everybody is equally frequent; otherwise the k-th person has 1 / k."""

    @property
    def label(self) -> str:
        parts = [f"{self.people:,} people, {self.videos:,} videos", self.metric, self.scale]
        if self.metric == "lognormal" and self.sigma != 0.8:
            parts.append(f"sigma {self.sigma}")
        if self.weighted:
            parts.append("weighted")
        if self.beside:
            parts.append(f"{1 + self.beside:g} people a video")
        if self.even:
            parts.append("even")
        parts.append(f"effects {self.effect:g}" if self.effect else "no effects")
        return ", ".join(parts)


NULL = Kind(30, 120, "lognormal")
KINDS = (
    *(replace(NULL, scale=scale) for scale in ("linear", "log")),
    *(replace(NULL, metric=name) for name in ("normal", "t(3)", "counts", "zero-inflated")),
    replace(NULL, metric="binomial", weighted=True),
    replace(NULL, sigma=1.5),
    *(replace(NULL, effect=0.4, scale=scale) for scale in ("linear", "log")),
    *(replace(NULL, effect=0.8, scale=scale) for scale in ("linear", "log")),
    *(replace(NULL, metric=m, effect=0.4) for m in ("normal", "t(3)", "counts", "zero-inflated")),
    replace(NULL, metric="binomial", weighted=True, effect=0.4),
    replace(NULL, metric="binomial", effect=0.4),
    replace(NULL, sigma=1.5, effect=0.4),
    replace(NULL, beside=1.0, effect=0.4),
    replace(NULL, beside=1.0, effect=0.4, scale="log"),
    Kind(5, 20, "lognormal"),
    Kind(5, 20, "lognormal", effect=0.4),
    Kind(5, 60, "lognormal", effect=0.4),
    Kind(20, 200, "lognormal", effect=0.4, even=True),
    Kind(100, 500, "lognormal"),
    Kind(100, 500, "lognormal", effect=0.4),
    Kind(100, 500, "binomial", effect=0.4, weighted=True),
    Kind(1000, 5000, "lognormal"),
    Kind(1000, 5000, "lognormal", effect=0.4),
    Kind(1000, 5000, "binomial", effect=0.4, weighted=True),
)


@dataclass(frozen=True)
class World:
    appearances: pd.DataFrame
    videos: pd.DataFrame
    expected: np.ndarray
    incidence: np.ndarray


def draw(kind: Kind, rng: np.random.Generator) -> World:
    """Draw a world: columns `metric` and `weight`, and what each video is expected to achieve."""
    n, people = kind.videos, kind.people
    share = np.ones(people) if kind.even else 1 / np.arange(1, people + 1)
    share /= share.sum()
    incidence = np.zeros((n, people))
    incidence[np.arange(n), rng.choice(people, n, p=share)] = 1
    extra = np.repeat(np.arange(n), rng.poisson(kind.beside, n))
    incidence[extra, rng.choice(people, len(extra), p=share)] = 1
    link = incidence @ (kind.effect * rng.normal(size=people))
    weight = np.round(np.exp(rng.normal(6, 1, n))) + 1
    if kind.metric == "lognormal":
        expected = np.exp(1 + link + kind.sigma**2 / 2)
        value = np.exp(1 + link + kind.sigma * rng.normal(size=n))
    elif kind.metric == "binomial":
        expected = 1 / (1 + np.exp(3 - link))
        value = rng.binomial(weight.astype(int), expected) / weight
    elif kind.metric == "counts":
        expected = np.exp(1 + link)
        value = rng.poisson(expected * rng.gamma(0.7, 1 / 0.7, n)).astype(float)
    elif kind.metric == "zero-inflated":
        expected = 0.3 * np.exp(1 + link)
        value = rng.poisson(np.exp(1 + link)) * (rng.random(n) < 0.3).astype(float)
    else:
        noise = rng.normal(size=n) if kind.metric == "normal" else rng.standard_t(3, n)
        expected, value = 5 + link, 5 + link + kind.sigma * noise
    video, person = np.nonzero(incidence)
    return World(
        pd.DataFrame({"person": person, "video": video}),
        pd.DataFrame({"video": np.arange(n), "metric": value, "weight": weight}),
        expected,
        incidence,
    )


def truth(kind: Kind, world: World, people: np.ndarray) -> np.ndarray:
    """The difference of each person: between expected values, the noise left out."""
    own = world.incidence[:, people]
    w = world.videos["weight"].to_numpy() if kind.weighted else np.ones(len(own))
    value = np.log(world.expected) if kind.scale == "log" else world.expected
    with np.errstate(invalid="ignore"):
        inside = (w * value) @ own / (w @ own)
        outside = (w * value) @ (1 - own) / (w @ (1 - own))
    difference = np.expm1(inside - outside) if kind.scale == "log" else inside - outside
    return np.asarray(difference)


def welch(kind: Kind, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Differences that Welch's test calls clear at a false discovery rate of 5 %; 0 for others."""
    value = world.videos["metric"].to_numpy()
    value = np.log(value) if kind.scale == "log" else value
    own = world.incidence.astype(bool)
    people = np.flatnonzero((own.sum(0) >= 5) & ((~own).sum(0) >= 5))
    sides = np.zeros(len(people))
    if len(people):
        tests = [
            stats.ttest_ind(value[own[:, i]], value[~own[:, i]], equal_var=False) for i in people
        ]
        p = np.array([np.nan_to_num(test.pvalue, nan=1.0) for test in tests])
        clear = stats.false_discovery_control(p) <= 0.05
        sides = np.where(clear, np.sign([test.statistic for test in tests]), 0)
    return people, sides


def measure(kind: Kind, worlds: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng(1)
    covered, few, tested, wrong, right, welch_wrong, welch_right = [], [], 0, 0, 0, 0, 0
    began = time.process_time()
    spent = 0.0
    for _ in range(worlds):
        world = draw(kind, rng)
        began = time.process_time()
        weight = "weight" if kind.weighted else None
        found = performance(
            world.appearances, world.videos, "metric", weight=weight, scale=kind.scale
        )
        spent += time.process_time() - began
        real = truth(kind, world, found["person"].to_numpy())
        real = np.where(np.abs(real) < 1e-9, 0, real)
        known = found["difference"].notna().to_numpy()
        inside = (found["low"].to_numpy() <= real) & (real <= found["high"].to_numpy())
        covered += inside[known].tolist()
        few += inside[known & (found["n"].to_numpy() <= 5)].tolist()
        tested += int(known.sum())
        side = found["verdict"].map({"clearly above": 1, "clearly below": -1}).fillna(0).to_numpy()
        wrong += bool(((side != 0) & (side != np.sign(real))).any())
        right += int(((side != 0) & (side == np.sign(real))).sum())
        if not kind.weighted:
            people, sides = welch(kind, world)
            actual = truth(kind, world, people)
            actual = np.sign(np.where(np.abs(actual) < 1e-9, 0, actual))
            welch_wrong += bool(((sides != 0) & (sides != actual)).any())
            welch_right += int(((sides != 0) & (sides == actual)).sum())
    cover = f"{np.mean(covered):.1%}" if covered else "-"
    small = f"{np.mean(few):.1%}" if len(few) >= 100 else "-"
    baseline = "- | -" if kind.weighted else f"{welch_wrong} | {welch_right / worlds:.2f}"
    return (
        f"| {kind.label} | {worlds} | {tested / worlds:.1f} | {cover} | {small} | {wrong} | "
        f"{right / worlds:.2f} | {baseline} | {spent / worlds * 1000:.0f} |"
    )


def main() -> None:
    """Simulate and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=400, help="of each kind; fewer of large ones")
    parser.add_argument("--only", default="", help="only kinds whose label contains this")
    options = parser.parse_args()
    print(
        "| worlds | number | answers | cover | cover, up to 5 videos | wrong | right | "
        "Welch: wrong | right | ms |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        if options.only in kind.label:
            worlds = options.worlds if kind.people <= 100 else max(options.worlds // 8, 1)
            print(measure(kind, worlds), flush=True)


if __name__ == "__main__":
    main()
