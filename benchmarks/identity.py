"""One person, one identity? Measured on labelled videos, against other ways to group faces.

    python -m benchmarks.identity [--cache FOLDER] [--data FOLDER] [--out FOLDER]

Half of the 60 photographed people choose every setting; the other half is reported. Faces are
extracted once a model and kept in the cache: the first run takes minutes, the next ones seconds.
Without labelled data, the demo's videos are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _methods as methods
from benchmarks._extraction import Extractions
from benchmarks._hard import half_of, hard_set, judge_hard
from benchmarks._labelled import Labelled, clip_set, demo_set, only, photo_set
from benchmarks._measures import Score
from benchmarks._methods import Grouping
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._page import Cell, Finding, page
from benchmarks._registry import same_as_registry
from benchmarks._settings import GRID, Setting, best, highest, judge, sweep
from benchmarks._slideshows import halves
from registry.charts import svg, themed
from registry.domain import Video
from registry.models import catalogue
from registry.models.curves import shipped_curve
from registry.models.entries import linkage_threshold

ORDERS, TABLES, NEAR = 5, 10, 0.05
"""Shuffled orders; CSVs that the videos come in; distance at which sensitivity is measured."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to group faces."""

    name: str
    group: Callable[[Sequence[Video], Setting], Grouping]
    families: tuple[tuple[Setting, ...], ...]
    """Settings that are tried; within a family the middle of the plateau counts."""


_COSINES = tuple((cosine,) for cosine in GRID)
CONSOLIDATION = Method(
    "plain rule + consolidation", lambda v, s: methods.consolidated(v, s[0]), (_COSINES,)
)
AVERAGE = Method("average linkage", lambda v, s: methods.average_linkage(v, s[0]), (_COSINES,))
METHODS = (
    Method("notebook's rule", lambda v, s: methods.notebook(v, s[0]), (((0.85,),),)),
    Method("plain rule", lambda v, s: methods.plain(v, s[0]), (((0.85,),),)),
    CONSOLIDATION,
    AVERAGE,
    Method(
        "DBSCAN",
        lambda v, s: methods.dbscan(v, s[0], int(s[1])),
        tuple(tuple((cosine, least) for cosine in GRID[::2]) for least in (1, 2, 3, 4)),
    ),
    Method(
        "HDBSCAN",
        lambda v, s: methods.hdbscan(v, int(s[0]), int(s[1])),
        tuple(tuple((least, n) for least in (2, 3, 4, 6, 9, 12)) for n in (1, 2, 3, 5)),
    ),
    Method(
        "Immich-like, its default",
        lambda v, s: methods.immich(v, 1 - s[0], int(s[1])),
        (((0.5, 3),),),
    ),
    Method(
        "Immich-like",
        lambda v, s: methods.immich(v, 1 - s[0], int(s[1])),
        (tuple((cosine, 3) for cosine in GRID[::2]),),
    ),
)


def main() -> None:
    """Measure, and write identity.md and identity.svg."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    findings = [_measure(s, options.data, options.cache) for s in sources(options.data)]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "identity.md").write_text(page(findings), encoding="utf-8")
    (options.out / "identity.svg").write_text(_plot(findings), encoding="utf-8")
    print(page(findings))


def _measure(source: str, data: Path, cache: Path) -> Finding:
    extractions = Extractions(
        cache, lambda: catalogue.load(source, device="cpu", cache=cache / "models")
    )
    if not (data / "photos").is_dir():
        shown = demo_set(cache, extractions)
        return _finding(extractions, shown, {"demo, tuned on itself": shown})
    photos = photo_set(data, cache, extractions)
    tuning, held = halves([p for v in photos for p in v.people if p])
    sets = {
        f"{len(held)} people not tuned on": only(photos, set(held).__contains__),
        f"all {len(held) + len(tuning)} people": photos,
        "clips of 9 people": clip_set(data, extractions),
    }
    finding = _finding(extractions, only(photos, set(tuning).__contains__), sets)
    marker = catalogue.load("sface", device="cpu", cache=cache / "models")
    clips = hard_set(data, cache, extractions, marker)
    curve = shipped_curve(extractions.model.info).curve
    for name, half in (("chosen on", True), ("not tuned on", False)):
        finding.hard[name] = judge_hard(
            half_of(clips, tuning=half),
            lambda shown: methods.consolidated(_videos(shown), finding.threshold, curve=curve),
        )
    return finding


def _finding(
    extractions: Extractions, tuning: Sequence[Labelled], sets: dict[str, list[Labelled]]
) -> Finding:
    info = extractions.model.info
    report = next(iter(sets.values()))
    finding = Finding(info.name, tuple(sets), threshold=linkage_threshold(info))
    for method in METHODS:
        chosen = _choose(method, tuning, best)
        fixed = len(method.families[0]) == 1
        how = "its own" if fixed else "tuned"
        scores = [judge(videos, method.group(_videos(videos), chosen)) for videos in sets.values()]
        finding.rows.append(Cell(method.name, chosen, how, tuple(scores)))
        if method is CONSOLIDATION:
            shipped = (finding.threshold,)
            scores = [
                judge(videos, method.group(_videos(videos), shipped)) for videos in sets.values()
            ]
            finding.rows.append(Cell(method.name, shipped, "shipped", tuple(scores)))
        elif not fixed:
            oracle = [_choose(method, videos, highest) for videos in sets.values()]
            scores = [
                judge(videos, method.group(_videos(videos), setting))
                for videos, setting in zip(sets.values(), oracle, strict=True)
            ]
            finding.rows.append(Cell(method.name, oracle[0], "oracle", tuple(scores)))
    finding.curves = {
        method.name: [s.f1 for s in _sweep(method, report, method.families[0])]
        for method in (CONSOLIDATION, AVERAGE)
    }
    finding.near = [_consolidated(report, finding.threshold + step) for step in (-NEAR, 0.0, NEAR)]
    for name, videos in sets.items():
        finding.orders[name] = [
            _consolidated(_shuffled(videos, seed), finding.threshold) for seed in range(ORDERS)
        ]
        finding.tables[name] = _consolidated(videos, finding.threshold, batches=TABLES)
        finding.counts[name] = (
            len(videos),
            sum(person is not None for v in videos for person in v.people),
            sum(person is None for v in videos for person in v.people),
        )
    finding.same = same_as_registry(_videos(report), info)
    return finding


def _choose(
    method: Method,
    videos: Sequence[Labelled],
    pick: Callable[[Sequence[Setting], Sequence[Score]], Setting],
) -> Setting:
    """The best of each family, and of those the best."""
    chosen = []
    for family in method.families:
        scores = _sweep(method, videos, family)
        setting = pick(family, scores)
        chosen.append((scores[family.index(setting)].f1, setting))
    return max(chosen, key=lambda pair: pair[0])[1]


def _sweep(method: Method, videos: Sequence[Labelled], family: Sequence[Setting]) -> list[Score]:
    plain = _videos(videos)
    return sweep(videos, lambda setting: method.group(plain, setting), family)


def _consolidated(videos: Sequence[Labelled], threshold: float, *, batches: int = 1) -> Score:
    return judge(videos, methods.consolidated(_videos(videos), threshold, batches=batches))


def _videos(videos: Sequence[Labelled]) -> list[Video]:
    return [labelled.video for labelled in videos]


def _shuffled(videos: Sequence[Labelled], seed: int) -> list[Labelled]:
    order = np.random.default_rng(seed).permutation(len(videos))
    return [videos[i] for i in order]


def _plot(findings: Sequence[Finding]) -> str:
    """The F1 of each model and method by threshold, above 0.8, as SVG; upright: what was chosen."""
    import altair as alt

    values = [
        {"model": finding.model, "method": name, "threshold": at, "F1": value}
        for finding in findings
        for name, f1 in finding.curves.items()
        for at, value in zip(GRID, f1, strict=True)
        if value >= 0.8
    ]
    chosen = [{"model": finding.model, "threshold": finding.threshold} for finding in findings]
    models = alt.Scale(domain=[finding.model for finding in findings], range="category")
    colour = alt.Color("model:N", title=None, scale=models)
    y = alt.Y("F1:Q", title="B-cubed F1", scale=alt.Scale(domain=[0.8, 1.0], nice=False))
    x = alt.X("threshold:Q", title="threshold (cosine)", scale=alt.Scale(zero=False))
    dash = alt.StrokeDash("method:N", title=None)
    curves = alt.Chart(alt.InlineData(values=values)).mark_line()
    marks = alt.Chart(alt.InlineData(values=chosen)).mark_rule()
    title = f"B-cubed F1 against threshold: {findings[0].sets[0]}"
    return svg(
        themed(
            alt.layer(
                curves.encode(x=x, y=y, color=colour, strokeDash=dash),
                marks.encode(x=x, color=colour),
            ).properties(width=640, height=300, title=title, description=title)
        )
    )


if __name__ == "__main__":
    main()
