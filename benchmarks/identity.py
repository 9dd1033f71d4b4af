"""One person, one identity? Measured on labelled videos, against other ways to group faces.

    python -m benchmarks.identity [--model NAME]... [--part NAME]...
        [--cache FOLDER] [--data FOLDER] [--out FOLDER]

Half of the 60 photographed people choose every setting; the other half is reported. Faces are
extracted once a model and kept in the cache: the first run takes minutes, the next ones seconds.
The parts can be run one after the other; the page shows what is in the cache, and when it was
measured:

    clean      photographs as slideshows, and clips
    hard       each person in seven clips: plain, small, dark, in sunglasses, masked, spoilt
    turned     eighteen such sets of other photographs: 2,520 clips, extracted in an hour
    siblings   pairs of people who are alike

Without labelled data, the demo's videos are measured.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _methods as methods
from benchmarks import _siblings as siblings
from benchmarks._extraction import Extractions
from benchmarks._hard import (
    FOUR,
    ORDERS,
    TURNS,
    HardClip,
    HardFootage,
    HardResult,
    half_of,
    judge_hard,
    judge_turned,
)
from benchmarks._hard_page import HardFinding
from benchmarks._labelled import Labelled, clip_set, demo_set, only, photo_set
from benchmarks._measures import Score
from benchmarks._methods import Grouping
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._page import Cell, Finding, ModelFindings, page
from benchmarks._registry import same_as_registry
from benchmarks._settings import GRID, Setting, best, highest, judge, sweep
from benchmarks._slideshows import halves
from registry.charts import svg, themed
from registry.domain import Video
from registry.models import catalogue
from registry.models.curves import ModelCurve, shipped_curve
from registry.models.entries import linkage_threshold

ORDERS_TRIED, TABLES, NEAR = 5, 10, 0.05
"""Shuffled orders; CSVs that the videos come in; distance at which sensitivity is measured."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to group faces."""

    name: str
    group: Callable[[Sequence[Video], Setting, ModelCurve], Grouping]
    """From videos, a setting, and what is known of the model."""
    families: tuple[tuple[Setting, ...], ...]
    """Settings that are tried; within a family the middle of the plateau counts."""


_COSINES = tuple((cosine,) for cosine in GRID)
CONSOLIDATION = Method(
    "plain rule + consolidation", lambda v, s, c: methods.consolidated(v, s[0], c), (_COSINES,)
)
AVERAGE = Method("average linkage", lambda v, s, _: methods.average_linkage(v, s[0]), (_COSINES,))
METHODS = (
    Method("notebook's rule", lambda v, s, _: methods.notebook(v, s[0]), (((0.85,),),)),
    Method("plain rule", lambda v, s, _: methods.plain(v, s[0]), (((0.85,),),)),
    CONSOLIDATION,
    AVERAGE,
    Method(
        "DBSCAN",
        lambda v, s, _: methods.dbscan(v, s[0], int(s[1])),
        tuple(tuple((cosine, least) for cosine in GRID[::2]) for least in (1, 2, 3, 4)),
    ),
    Method(
        "HDBSCAN",
        lambda v, s, _: methods.hdbscan(v, int(s[0]), int(s[1])),
        tuple(tuple((least, n) for least in (2, 3, 4, 6, 9, 12)) for n in (1, 2, 3, 5)),
    ),
    Method(
        "Immich-like, its default",
        lambda v, s, _: methods.immich(v, 1 - s[0], int(s[1])),
        (((0.5, 3),),),
    ),
    Method(
        "Immich-like",
        lambda v, s, _: methods.immich(v, 1 - s[0], int(s[1])),
        (tuple((cosine, 3) for cosine in GRID[::2]),),
    ),
)


PARTS = ("clean", "hard", "turned", "siblings")


def main() -> None:
    """Measure, and write identity.md and identity.svg."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this (repeatable)")
    parser.add_argument("--model", action="append", help="only this, by name (repeatable)")
    options = parser.parse_args()
    results = options.cache / "results"
    results.mkdir(parents=True, exist_ok=True)
    findings = []
    for source in sources(options.data):
        name = Path(source).name
        wanted = options.part or PARTS if name in (options.model or [name]) else ()
        for part in wanted:
            found = _measure(source, options.data, options.cache, part)
            if found is not None:
                (results / f"identity-{name}-{part}.pickle").write_bytes(pickle.dumps(found))
        kept = {part: results / f"identity-{name}-{part}.pickle" for part in PARTS}
        findings.append(
            ModelFindings(
                name,
                {part: pickle.loads(p.read_bytes()) for part, p in kept.items() if p.is_file()},
            )
        )
    options.out.mkdir(parents=True, exist_ok=True)
    text = page(findings)
    (options.out / "identity.md").write_text(text, encoding="utf-8")
    if all("clean" in found.parts for found in findings):
        clean = [found.parts["clean"] for found in findings]
        (options.out / "identity.svg").write_text(_plot(clean), encoding="utf-8")
    print(text)


def _measure(source: str, data: Path, cache: Path, part: str) -> Finding | HardFinding | None:
    """What one part finds; None if it needs labelled data and there is none."""
    extractions = Extractions(
        cache, lambda: catalogue.load(source, device="cpu", cache=cache / "models")
    )
    labelled = (data / "photos").is_dir()
    if part == "clean":
        return _clean(extractions, data if labelled else None, cache)
    if not labelled:
        return None
    marker = catalogue.load("sface", device="cpu", cache=cache / "models")
    footage = HardFootage(data, cache, extractions, marker)
    info = extractions.model.info
    curve, threshold = shipped_curve(info), linkage_threshold(info)

    def consolidated(shown: Sequence[Labelled]) -> Grouping:
        return methods.consolidated(_videos(shown), threshold, curve)

    found = HardFinding()
    if part == "hard":
        clips = footage.clips()
        for half in (True, False):
            result = judge_hard(half_of(clips, tuning=half), consolidated)
            found.rows.append((f"consolidation, {threshold:g} (shipped)", _HALVES[half], result))
        for method in METHODS:
            if method is not CONSOLIDATION:
                found.rows.append(_hard_row(method, clips, curve))
    elif part == "turned":
        sets = [footage.clips(order, turn) for order in ORDERS for turn in range(TURNS)]
        for half in (True, False):
            halves_of = [half_of(clips, tuning=half) for clips in sets]
            found.rows.append(("", _HALVES[half], judge_turned(halves_of, consolidated)))
        found.rows.append(("", "all", judge_turned(sets, consolidated)))
    else:
        clips = footage.all_plain()
        alike = siblings.judge_pairs(siblings.most_alike(clips), consolidated)
        found.rows.append(("most alike", "all", alike))
        for half in (True, False):
            made = siblings.made_alike(clips, siblings.ACROSS[info.name], tuning=half)
            alike = siblings.judge_pairs(made, consolidated)
            found.rows.append(("made alike", _HALVES[half], alike))
    return found


_HALVES = {True: "half that chose", False: "other half"}


def _hard_row(
    method: Method, clips: Sequence[HardClip], curve: ModelCurve
) -> tuple[str, str, HardResult]:
    """Another method, at the setting that is best on the half that chooses, on the other half."""
    tuning = [clip.labelled for clip in half_of(clips, tuning=True) if clip.kind in FOUR]
    setting = _choose(method, tuning, best, curve)
    values = ", ".join(f"{value:g}" for value in setting)
    how = "its own" if len(method.families[0]) == 1 else "tuned"
    result = judge_hard(
        half_of(clips, tuning=False), lambda shown: method.group(_videos(shown), setting, curve)
    )
    return f"{method.name}, {values} ({how})", _HALVES[False], result


def _clean(extractions: Extractions, data: Path | None, cache: Path) -> Finding:
    if data is None:
        shown = demo_set(cache, extractions)
        return _finding(extractions, shown, {"demo, tuned on itself": shown})
    photos = photo_set(data, cache, extractions)
    tuning, held = halves([p for v in photos for p in v.people if p])
    sets = {
        f"{len(held)} people not tuned on": only(photos, set(held).__contains__),
        f"all {len(held) + len(tuning)} people": photos,
        "clips of 9 people": clip_set(data, extractions),
    }
    return _finding(extractions, only(photos, set(tuning).__contains__), sets)


def _finding(
    extractions: Extractions, tuning: Sequence[Labelled], sets: dict[str, list[Labelled]]
) -> Finding:
    info = extractions.model.info
    curve, shipped = shipped_curve(info), (linkage_threshold(info),)
    report = next(iter(sets.values()))
    finding = Finding(info.name, tuple(sets), threshold=shipped[0])

    def consolidated(videos: Sequence[Labelled], step: float = 0.0, batches: int = 1) -> Score:
        grouping = methods.consolidated(_videos(videos), shipped[0] + step, curve, batches=batches)
        return judge(videos, grouping)

    for method in METHODS:
        chosen = _choose(method, tuning, best, curve)
        fixed = len(method.families[0]) == 1
        how = "its own" if fixed else "tuned"
        scores = [judge(v, method.group(_videos(v), chosen, curve)) for v in sets.values()]
        finding.rows.append(Cell(method.name, chosen, how, tuple(scores)))
        if method is CONSOLIDATION:
            scores = [judge(v, method.group(_videos(v), shipped, curve)) for v in sets.values()]
            finding.rows.append(Cell(method.name, shipped, "shipped", tuple(scores)))
        elif not fixed:
            oracle = [_choose(method, videos, highest, curve) for videos in sets.values()]
            scores = [
                judge(videos, method.group(_videos(videos), setting, curve))
                for videos, setting in zip(sets.values(), oracle, strict=True)
            ]
            finding.rows.append(Cell(method.name, oracle[0], "oracle", tuple(scores)))
    finding.curves = {
        method.name: [s.f1 for s in _sweep(method, report, method.families[0], curve)]
        for method in (CONSOLIDATION, AVERAGE)
    }
    finding.near = [consolidated(report, step) for step in (-NEAR, 0.0, NEAR)]
    for name, videos in sets.items():
        finding.orders[name] = [
            consolidated(_shuffled(videos, seed)) for seed in range(ORDERS_TRIED)
        ]
        finding.tables[name] = consolidated(videos, batches=TABLES)
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
    curve: ModelCurve,
) -> Setting:
    """The best of each family, and of those the best."""
    chosen = []
    for family in method.families:
        scores = _sweep(method, videos, family, curve)
        setting = pick(family, scores)
        chosen.append((scores[family.index(setting)].f1, setting))
    return max(chosen, key=lambda pair: pair[0])[1]


def _sweep(
    method: Method, videos: Sequence[Labelled], family: Sequence[Setting], curve: ModelCurve
) -> list[Score]:
    plain = _videos(videos)
    return sweep(videos, lambda setting: method.group(plain, setting, curve), family)


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
