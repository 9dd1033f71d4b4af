"""Does a calibrated threshold have the rate that it says, on people whom it has not seen?

    python -m benchmarks.calibration [--cache FOLDER] [--data FOLDER] [--out FOLDER]

Three questions: photographs in thirds (one third gives the model's curve, the next is the registry,
the last is judged by), a hundred times; a real registry of the videos of half of the people, judged
by the other half; and clips of people in one studio, who are more alike than the curve says.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from qdrant_client import QdrantClient

from benchmarks._extraction import Extractions
from benchmarks._hard_page import machine
from benchmarks._labelled import Labelled, clip_set, only, photo_set
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._photos import Embedded, embedded
from benchmarks._slideshows import halves
from registry.blobs.folder import FolderStore
from registry.calibration.measurement import Measurement, calibrate
from registry.calibration.thresholds import ThresholdEstimate, estimate_threshold
from registry.core import contract as contracts
from registry.core.registry import Registry
from registry.domain import ModelInfo
from registry.faces.quality import founds
from registry.faces.rates import Curve, fit
from registry.models import catalogue
from registry.models.curves import shipped_curve
from registry.people.corrections import merge
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.terminal import rate

REPEATS = 100
_TARGETS = (1e-2, 1e-3)
_COUPLES = (10, 40, 190)
"""Pairs of people side by side in the registry; 190 are all of twenty people."""


def main() -> None:
    """Measure, and write calibration.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = ["# Calibration", "", f"`python -m benchmarks.calibration`, {machine()}."]
    for source in sources(options.data):
        lines += _measure(source, options.data, options.cache)
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    (options.out / "calibration.md").write_text(text, encoding="utf-8")
    print(text)


def _measure(source: str, data: Path, cache: Path) -> list[str]:
    extractions = Extractions(
        cache, lambda: catalogue.load(source, device="cpu", cache=cache / "models")
    )
    info = extractions.model.info
    photos = embedded(data, cache, Path(source).name, lambda: extractions.model)
    lines = ["", f"## {info.name}", "", "Photographs, 20 people each; FAR on the last third:", ""]
    lines += [
        "| target | pairs of people (worth) | threshold | FAR, median (5 % to 95 %) | in its "
        "interval | threshold in its interval | FAR, not calibrated |",
        "|---|---|---|---|---|---|---|",
        *(_thirds(photos, target, couples) for target in _TARGETS for couples in _COUPLES),
    ]
    videos = photo_set(data, cache, extractions)
    tuning, held = halves([p for v in videos for p in v.people if p])
    lines += ["", *_halves(info, videos, tuning, held)]
    lines += ["", *_clips(_faces(clip_set(data, extractions)), shipped_curve(info).curve)]
    return lines


def _thirds(photos: Embedded, target: float, couples: int) -> str:
    random = np.random.default_rng(1)
    people = np.unique(photos.people)
    estimates: list[ThresholdEstimate] = []
    rates, plain, within = [], [], 0
    for _ in range(REPEATS):
        one, two, three = np.array_split(random.permutation(people), 3)
        curve = fit(photos.strangers(one).similarities)
        pairs = [(min(a, b), max(a, b)) for a, b in combinations(two.tolist(), 2)]
        chosen = {pairs[i] for i in random.permutation(len(pairs))[:couples]}
        estimate = estimate_threshold(photos.strangers(two, chosen), curve, target)
        judged = photos.strangers(three).similarities
        rates.append(float((judged >= estimate.threshold).mean()))
        plain.append(float((judged >= curve.similarity(target)).mean()))
        within += estimate.low <= float(np.quantile(judged, 1 - target)) <= estimate.high
        estimates.append(estimate)
    held = sum(e.far_low <= r <= e.far_high for e, r in zip(estimates, rates, strict=True))
    worth = np.mean([e.support.independent for e in estimates])
    threshold = np.median([e.threshold for e in estimates])
    return (
        f"| {rate(target)} | {couples} ({worth:.0f}) | {threshold:.3f} | {_spread(rates)} | "
        f"{held} of {REPEATS} | {within} of {REPEATS} | {_spread(plain)} |"
    )


def _spread(rates: Sequence[float]) -> str:
    low, middle, high = np.quantile(rates, (0.05, 0.5, 0.95))
    return f"{middle:.1e} ({low:.1e} to {high:.1e})"


def _halves(
    info: ModelInfo, videos: Sequence[Labelled], tuning: Sequence[str], held: Sequence[str]
) -> list[str]:
    """A registry of one half's videos, calibrated; the other half's good faces judge it."""
    lines = [
        "Videos made of photographs: a registry of one half of the people, judged by the other:",
        "",
        "| registry of | pairs of people (worth) | target | lookup threshold (95 %) | FAR (95 %) "
        "| FAR on the other half | at the shipped threshold | false rejects, merged |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, ours, others in (("first half", tuning, held), ("second half", held, tuning)):
        mine = only(videos, set(ours).__contains__)
        judged = _faces(only(videos, set(others).__contains__)).strangers(np.arange(len(others)))
        with tempfile.TemporaryDirectory() as home, _registry(Path(home), info, mine) as registry:
            measured = [calibrate(registry, target=target) for target in (1e-2, 1e-3, 1e-4)]
            lines += [_row(name, one, judged.similarities) for one in measured]
    return lines


def _row(name: str, measurement: Measurement, judged: np.ndarray) -> str:
    at, rejected = measurement.faces.estimate, measurement.rejected_across
    missed = "-" if rejected is None else f"{rejected.rate:.1%} of {rejected.people} people"
    return (
        f"| {name} | {at.support.of_people} ({at.support.independent:.0f}) | {rate(at.target)} | "
        f"{at.threshold:.3f} ({at.low:.3f} to {at.high:.3f}) | {rate(at.far)} ({rate(at.far_low)} "
        f"to {rate(at.far_high)}) | {(judged >= at.threshold).mean():.1e} | "
        f"{at.shipped:.3f}: {(judged >= at.shipped).mean():.1e} | {missed} |"
    )


def _registry(home: Path, info: ModelInfo, videos: Sequence[Labelled]) -> Registry:
    """A registry in which a person merged what is one person, each one's videos two by two."""
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    registry = Registry(load_settings(home=home), FolderStore(home / "objects"), store)
    registry.establish(
        contracts.new(info, info.name, threshold=0.85, every=4, primary_metric="Performance")
    )
    of: dict[str, list[str]] = defaultdict(list)
    for labelled in videos:
        video = registry.commit(labelled.video)
        for face, person in zip(video.faces, labelled.people, strict=True):
            if person and founds(face.quality) and face.identity_id not in of[person]:
                of[person].append(face.identity_id)
    for identities in of.values():
        if len(identities) > 1:
            merge(registry, identities)
    return registry


def _faces(videos: Sequence[Labelled]) -> Embedded:
    """The good faces of labelled people."""
    known = [
        (face.embedding, person)
        for labelled in videos
        for face, person in zip(labelled.video.faces, labelled.people, strict=True)
        if person and founds(face.quality)
    ]
    _, numbers = np.unique([person for _, person in known], return_inverse=True)
    return Embedded(np.stack([vector for vector, _ in known]).astype(np.float64), numbers)


def _clips(faces: Embedded, curve: Curve) -> list[str]:
    """Every five of the people are the registry, and the others judge it."""
    everybody = np.unique(faces.people)
    splits = list(combinations(everybody.tolist(), 5))
    lines = [
        f"Clips of {len(everybody)} people in two studios: five are the registry (10 pairs), the "
        f"other four judge it, in all {len(splits)} ways:",
        "",
        "| target | threshold, median (5 % to 95 %) | FAR, mean | in its interval | below it | "
        "at the shipped threshold |",
        "|---|---|---|---|---|---|",
    ]
    for target in (1e-2, 1e-3, 1e-4):
        estimates = [
            estimate_threshold(faces.strangers(np.array(five)), curve, target) for five in splits
        ]
        rests = [faces.strangers(np.setdiff1d(everybody, five)).similarities for five in splits]
        pairs = list(zip(estimates, rests, strict=True))
        rates = [float((rest >= f.threshold).mean()) for f, rest in pairs]
        plain = [float((rest >= f.shipped).mean()) for f, rest in pairs]
        held = sum(e.far_low <= r <= e.far_high for e, r in zip(estimates, rates, strict=True))
        below = sum(r < e.far_low for e, r in zip(estimates, rates, strict=True))
        low, middle, high = np.quantile([e.threshold for e in estimates], (0.05, 0.5, 0.95))
        lines.append(
            f"| {rate(target)} | {middle:.3f} ({low:.3f} to {high:.3f}) | {np.mean(rates):.1e} | "
            f"{held} of {len(splits)} | {below} | {estimates[0].shipped:.3f}: "
            f"{np.mean(plain):.1e} |"
        )
    return lines


if __name__ == "__main__":
    main()
