"""Strangers looked up: how many are taken for somebody on record, against the rate that is stated?

    python -m benchmarks.strangers [--model NAME]... [--cache FOLDER] [--data FOLDER] [--out FOLDER]

Half of the photographed people are ingested and consolidated as a user would do it, and each
photograph of the other half is looked up, as it is and spoilt in several ways; then the other way
round. Writes `results/strangers.md`, with the models that were measured before and are in the
cache.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks import _hard_pictures as pictures
from benchmarks._extraction import Extractions
from benchmarks._hard_page import machine
from benchmarks._labelled import Labelled, only, photo_set
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._slideshows import Photo, halves, photographs
from queries.answers import Probe
from queries.lookup import Gallery, open_gallery
from queries.photos import load_photo
from registry.core import contract as contracts
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Image
from registry.faces.quality import rates_hold
from registry.faces.rates import identification_rate
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.people import joining

HEIGHTS = (125, 48, 24, 15)
"""px. Of the face; 125 is its height in the photographs as they are."""
SPOILT = ("dark", "glasses", "mask", "pixelated")
"""Kinds of the hard set (`benchmarks/_hard_pictures.py`)."""
STATED = (0.05, 0.01, 0.001)
"""FPIR (false-positive identification rates) of which the photographs with no more are counted."""


@dataclass(slots=True)
class Tally:
    """What became of the photographs of one kind."""

    kind: str
    photos: int = 0
    found: int = 0
    """With a face."""
    good: int = 0
    """With a face for which rates hold."""
    matched: int = 0
    leads: int = 0
    """With a lead and no match."""
    expected: float = 0.0
    """Sum of the stated FPIR at the threshold over the photographs with a good face."""
    stated: dict[float, int] = field(default_factory=lambda: dict.fromkeys(STATED, 0))
    """Matches whose stated FPIR is no more than this."""

    def add(self, probe: Probe | None, gallery: Gallery) -> None:
        """Count one photograph: its labelled face, if it was found."""
        self.photos += 1
        if probe is None:
            return
        self.found += 1
        if rates_hold(probe.quality):
            self.good += 1
            rate = gallery.stated_rate(gallery.threshold, probe.quality)
            self.expected += identification_rate(rate, gallery.appearances)
        for best in probe.matches[:1]:
            fpir = best.false_positive_identification_rate
            if best.lead or fpir is None:
                self.leads += 1
                continue
            self.matched += 1
            for limit in STATED:
                self.stated[limit] += fpir <= limit


def main() -> None:
    """Measure, and write strangers.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--model", action="append", help="only this, by name (repeatable)")
    options = parser.parse_args()
    if not (options.data / "photos").is_dir():
        raise SystemExit(f"{options.data} has no photos. FACE_REGISTRY_TEST_DATA names the folder.")
    marker = catalogue.load("sface", device="cpu", cache=options.cache / "models")
    results = options.cache / "results"
    results.mkdir(parents=True, exist_ok=True)
    text = "\n".join(_head())
    for source in sources(options.data):
        name = Path(source).name
        kept = results / f"strangers-{name}.md"
        if name in (options.model or [name]):
            table = "\n".join(_measure(source, options.data, options.cache, marker))
            kept.write_text(table, encoding="utf-8")
        if kept.is_file():
            text += "\n" + kept.read_text(encoding="utf-8")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "strangers.md").write_text(text, encoding="utf-8")
    print(text)


def _measure(source: str, data: Path, cache: Path, marker: FaceModel) -> list[str]:
    """The rows of one model."""
    extractions = Extractions(
        cache, lambda: catalogue.load(source, device="cpu", cache=cache / "models")
    )
    model = extractions.model
    shown = photo_set(data, cache, extractions)
    photos = photographs(data / "photos")
    tallies: dict[str, Tally] = {}
    known = []
    for people in halves([photo.person for photo in photos]):
        videos = only(shown, set(people).__contains__)
        with (
            tempfile.TemporaryDirectory() as home,
            _registry(Path(home), videos, model, source) as registry,
        ):
            gallery = open_gallery(registry, top=1, threshold=None, provisional=False)
            known.append((gallery.identities, gallery.appearances, gallery.threshold))
            for photo in photos:
                if photo.person not in people:
                    for kind, image in _spoilt(photo, marker):
                        tally = tallies.setdefault(kind, Tally(kind))
                        tally.add(_labelled_probe(gallery, image), gallery)
    said = "; ".join(
        f"{identities} identities in {appearances} videos can answer, at {threshold:g}"
        for identities, appearances, threshold in known
    )
    return [
        f"## {model.info.name}",
        "",
        f"{said}. {machine()}.",
        "",
        "| photographs | number | with a face | with a good one | taken for somebody | stated "
        "| leads only | " + " | ".join(f"stated {limit:.1%} or less" for limit in STATED) + " |",
        "|---|---|---|---|---|---|---|" + "---|" * len(STATED),
        *(_row(tally) for tally in tallies.values()),
        "",
    ]


def _row(tally: Tally) -> str:
    share = tally.matched / tally.good if tally.good else 0.0
    stated = tally.expected / tally.good if tally.good else 0.0
    below = " | ".join(str(count) for count in tally.stated.values())
    return (
        f"| {tally.kind} | {tally.photos} | {tally.found} | {tally.good} "
        f"| {tally.matched} ({share:.1%}) | {stated:.1%} | {tally.leads} | {below} |"
    )


def _head() -> list[str]:
    return [
        "# Strangers",
        "",
        "`python -m benchmarks.strangers`. Half of the people are on record, in short videos made",
        "of photographs; each photograph of the other half is looked up, and the other way round.",
        "Of the photographs with a good face: the share that is taken for somebody, and the",
        "false-positive identification rate (FPIR) that is stated at the threshold. A poor face",
        "gets leads only. The last columns count the matches that are stated to be so rare.",
        "",
    ]


def _registry(home: Path, videos: Sequence[Labelled], model: FaceModel, source: str) -> Registry:
    """A consolidated registry of these videos."""
    registry = open_registry(home=home)
    info = model.info
    registry.establish(
        contracts.new(info, source, threshold=0.85, every=10, primary_metric="Performance")
    )
    with registry.writing():
        for labelled in videos:
            registry.commit(labelled.video)
    joining.consolidate(registry)
    return registry


def _spoilt(photo: Photo, marker: FaceModel) -> Iterator[tuple[str, Image]]:
    """The photograph in several sizes, and spoilt in several ways."""
    image = pictures.read_photo(photo.path, enlarged=False)
    for height in HEIGHTS:
        side = round(image.shape[0] * height / HEIGHTS[0])
        smaller = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        yield f"{height} px", np.asarray(smaller, np.uint8)
    large = pictures.read_photo(photo.path)
    marks = pictures.landmarks_of(large, marker)
    for kind in pictures.KINDS:
        if kind.name in SPOILT:
            random = pictures.random_of(f"{photo.path.stem}-{kind.name}")
            yield kind.name, kind.spoil(large, marks, random)


def _labelled_probe(gallery: Gallery, image: Image) -> Probe | None:
    """The face in the middle; None if there is none."""
    answer = gallery.answer(load_photo(image, "BGR"))
    middle = np.array(image.shape[1::-1]) / 2
    near = {
        float(np.abs(probe.detection.landmarks.mean(axis=0) - middle).max()): probe
        for probe in answer.faces
    }
    closest = min(near, default=np.inf)
    return near[closest] if closest <= pictures.NEAR * image.shape[0] else None


if __name__ == "__main__":
    main()
