"""The accuracies `exact` and `fast` side by side: time, agreement, and who is found.

    python -m benchmarks.accuracy [--part agreement] [--part clean] [--part hard] [--model NAME]
        [--data FOLDER] [--cache FOLDER] [--json FILE]

    agreement  the frames of the shared clips and the photographs: processor time of a frame and of
               a face on one thread, the share of equal detections, the cosine of the embeddings
    clean      identities of slideshows of the photographs, and of the clips of 9 people
    hard       identities of clips of small, dark and covered faces

Both accuracies take turns in one process. Identities are those of consolidation with the shipped
threshold, as in `benchmarks.identity`, whose cache of extracted faces is used. Tables are printed
in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import _methods as methods
from benchmarks._extraction import Extractions
from benchmarks._hard import FOUR, HardFootage
from benchmarks._labelled import Labelled, clip_set, photo_set
from benchmarks._machine import machine, sentence, write_json
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._settings import judge
from ingest.frames import MediaLimits, Sampling, VideoReader
from registry.domain import Detection, Image, Vectors
from registry.faces.boxes import overlap
from registry.faces.quality import assess, founds
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.models.curves import shipped_curve
from registry.models.entries import linkage_threshold
from registry.settings import Accuracy

PARTS = ("agreement", "clean", "hard")
EVERY = 10
SAME_FACE = 0.5
"""Overlap (intersection over union) from which two boxes are compared as one face."""
EQUAL = 0.99
"""Overlap from which they count as equal."""
PARITY = 0.999
"""Cosine that two ways to compute an embedding are wanted to have."""


def images(data: Path) -> dict[str, list[Image]]:
    """The sampled frames of the clips, and the photographs."""
    frames: list[Image] = []
    for path in sorted((data / "videos").rglob("*")):
        if path.suffix in (".mkv", ".mp4", ".gif"):
            with VideoReader(path, sampling=Sampling(EVERY), limits=MediaLimits()) as reader:
                frames += [frame.image for frame in reader]
    read = [cv2.imread(str(path)) for path in sorted((data / "photos").rglob("*.jpg"))]
    photos = [np.asarray(photo, np.uint8) for photo in read if photo is not None]
    return {"clips": frames, "photographs": photos}


def timed(model: FaceModel, image: Image) -> tuple[list[Detection], Vectors, float, float]:
    """Faces and embeddings, and the processor seconds that each took."""
    started = time.process_time()
    found = model.detect(image)
    detected = time.process_time()
    chips = model.align(image, found)
    aligned = time.process_time()
    vectors = model.embed(chips)
    return found, vectors, detected - started, time.process_time() - aligned


def agreement(models: dict[Accuracy, FaceModel], frames: Sequence[Image]) -> dict[str, Any]:
    """How fast each accuracy is, and how far `fast` is from `exact`."""
    seconds = {name: [0.0, 0.0] for name in models}
    faces = dict.fromkeys(models, 0)
    overlaps: list[float] = []
    cosines: list[float] = []
    good: list[float] = []
    for image in frames:
        seen = {}
        for name, model in models.items():
            found, vectors, detecting, embedding = timed(model, image)
            seconds[name][0] += detecting
            seconds[name][1] += embedding
            faces[name] += len(found)
            seen[name] = found, vectors
        found, vectors = seen["exact"]
        others, other_vectors = seen["fast"]
        free = set(range(len(others)))
        chips = models["exact"].align(image, found)
        for face, vector, chip in zip(found, vectors, chips, strict=True):
            near = [(overlap(face.box, others[number].box), number) for number in free]
            shared, number = max(near, default=(0.0, -1))
            if shared < SAME_FACE:
                overlaps.append(0.0)
                continue
            free.remove(number)
            overlaps.append(shared)
            cosines.append(float(vector @ other_vectors[number]))
            if founds(assess(image, face, chip, model=models["exact"].info.name)):
                good.append(cosines[-1])
    return {
        "frames": len(frames),
        "faces": faces,
        "detect_ms": {n: 1e3 * s[0] / max(1, len(frames)) for n, s in seconds.items()},
        "embed_ms": {n: 1e3 * s[1] / max(1, faces[n]) for n, s in seconds.items()},
        "equal": float(np.mean(np.array(overlaps) >= EQUAL)) if overlaps else None,
        "lost": overlaps.count(0.0),
        "new": faces["fast"] - len(cosines),
        "all": spread_of(np.array(cosines)),
        "good": spread_of(np.array(good)),
    }


def spread_of(cosines: NDArray[np.float64]) -> dict[str, Any]:
    """Least, first percentile and median, and how many are below `PARITY`."""
    if not len(cosines):
        return {"faces": 0}
    return {
        "faces": len(cosines),
        "min": float(cosines.min()),
        "p1": float(np.percentile(cosines, 1)),
        "median": float(np.median(cosines)),
        "below": int((cosines < PARITY).sum()),
    }


def identities(
    source: str, part: str, accuracy: Accuracy, data: Path, cache: Path
) -> list[dict[str, Any]]:
    """Precision and recall of consolidated identities."""
    extractions = Extractions(
        cache if accuracy == "exact" else cache / accuracy,
        lambda: catalogue.load(source, device="cpu", cache=cache / "models", accuracy=accuracy),
    )
    sets: dict[str, list[Labelled]]
    if part == "clean":
        sets = {
            "slideshows of 60 people": photo_set(data, cache, extractions),
            "clips of 9 people": clip_set(data, extractions),
        }
    else:
        marker = catalogue.load("sface", device="cpu", cache=cache / "models")
        clips = HardFootage(data, cache, extractions, marker).clips()
        sets = {
            "plain, small, dark, sunglasses": [c.labelled for c in clips if c.kind in FOUR],
            **{kind: [c.labelled for c in clips if c.kind == kind] for kind in ("mask",)},
        }
    info = extractions.model.info
    rows = []
    for name, shown in sets.items():
        videos = [labelled.video for labelled in shown]
        grouping = methods.consolidated(videos, linkage_threshold(info), shipped_curve(info))
        found = judge(shown, grouping)
        rows.append(
            {
                "set": name,
                "accuracy": accuracy,
                "videos": len(videos),
                "faces": sum(len(video.faces) for video in videos),
                "precision": found.precision,
                "recall": found.recall,
                "f1": found.f1,
                "wrong": found.wrong,
            }
        )
    return rows


def agreement_table(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """One table in Markdown."""

    def cosines(values: dict[str, Any]) -> str:
        if not values["faces"]:
            return "-"
        return (
            f"{values['min']:.4f} / {values['p1']:.4f} / {values['median']:.6f}; "
            f"{values['below']} of {values['faces']}"
        )

    lines = [
        f"**{name}**",
        "",
        "| | " + " | ".join(found) + " |",
        "|---|" + "---|" * len(found),
    ]

    def both(values: dict[str, float], digits: int = 1) -> str:
        return f"{values['exact']:.{digits}f}, {values['fast']:.{digits}f}"

    columns = [
        [
            f"{one['frames']}; {both(one['faces'], 0)}",
            both(one["detect_ms"]),
            both(one["embed_ms"]),
            f"{100 * one['equal']:.1f} %",
            f"{one['lost']}; {one['new']}",
            cosines(one["all"]),
            cosines(one["good"]),
        ]
        for one in found.values()
    ]
    labels = (
        "images; faces: exact, fast",
        "detection, ms an image: exact, fast",
        "embedding, ms a face: exact, fast",
        f"detections with IoU of at least {EQUAL}",
        "faces lost; new",
        f"cosine of all: min / p1 / median; below {PARITY}",
        "cosine of good faces: the same",
    )
    for label, *cells in zip(labels, *columns, strict=True):
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def identity_table(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """One table in Markdown."""
    lines = [
        f"**{name}**",
        "",
        "| set | accuracy | videos | faces | B-cubed precision | recall | F1 | wrong merges |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['set']} | {r['accuracy']} | {r['videos']} | {r['faces']} | {r['precision']:.4f} | "
        f"{r['recall']:.4f} | {r['f1']:.4f} | {r['wrong']} |"
        for r in rows
    ]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this (repeatable)")
    parser.add_argument("--model", action="append", help="only this, by name (repeatable)")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not (given.data / "photos").is_dir():
        print("Skipped: the shared data is not here (FACE_REGISTRY_TEST_DATA).")
        return 0
    where = machine()
    print(f"`python -m benchmarks.accuracy`, {sentence(where)}, one thread.", flush=True)
    results: dict[str, Any] = {}
    for source in sources(given.data):
        name = Path(source).name
        if name not in (given.model or [name]):
            continue
        load = partial(catalogue.load, source, device="cpu", cache=given.cache / "models")
        for part in given.part or PARTS:
            if part == "agreement":
                both: dict[Accuracy, FaceModel] = {
                    accuracy: load(threads=1, accuracy=accuracy) for accuracy in get_args(Accuracy)
                }
                found = {kind: agreement(both, shown) for kind, shown in images(given.data).items()}
                results[f"{name} {part}"] = found
                lines = agreement_table(name, found)
            else:
                rows = []
                for accuracy in get_args(Accuracy):
                    rows += identities(source, part, accuracy, given.data, given.cache)
                results[f"{name} {part}"] = rows
                lines = identity_table(f"{name}, {part}", rows)
            print("", *lines, sep="\n", flush=True)
    write_json(given.json, {"benchmark": "accuracy", "machine": where, "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
