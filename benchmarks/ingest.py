"""Ingest against the limit of the hardware, InsightFace's own loop and the notebook's steps.

    python -m benchmarks.ingest [--times 1 6] [--rounds 3] [--json FILE] [--workers N]

The videos are the 20 clips and the stage clip of the shared data, `--times` copies of each under
other names. All candidates take turns in one run:

- ours: `face-registry ingest` into a new registry, from the start of the program to its end;
- the limit: the processor time that bare decoding, detection, alignment and embedding take, each
  alone on one thread in a warm process, divided by the number of processors. Nothing that does
  this work on these processors can be faster;
- InsightFace's loop: OpenCV skips to every tenth frame, `FaceAnalysis.get` looks at it; nothing is
  stored;
- the notebook's steps: every frame is decoded, a model is loaded for each video, crops are written,
  and each face is compared with all earlier people one by one.

It prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._machine import (
    adopt_orphans,
    machine,
    processors,
    sentence,
    spread,
    wait_for_orphans,
    write_json,
)
from benchmarks._options import data_folder, sources

EVERY = 10
"""Every tenth frame, as in the notebook and by default."""
GOALS = {21: {"limit": 0.65, "loop": 1.5}, 126: {"limit": 0.85, "loop": 2.0}}
"""By number of videos: least share of the limit, least speed against InsightFace's loop."""
_SAME = 0.85
_FACES = 4
"""Faces embedded at once where only the limit is measured: about those of a frame or two."""


def clips(data: Path) -> list[Path]:
    """The videos, once."""
    found = sorted((data / "videos" / "asl_gestures").glob("*.mkv"))
    return [*found, data / "videos" / "short_hamilton_clip.mp4"]


def notebook(videos: Sequence[Path], model: str, out: Path) -> dict[str, Any]:
    """The steps of the notebook that preceded this project."""
    import cv2
    from insightface.app import FaceAnalysis
    from sklearn.metrics.pairwise import cosine_similarity

    people: list[Any] = []
    faces = 0
    for video in videos:
        app = FaceAnalysis(model, allowed_modules=["detection", "recognition"])
        app.prepare(ctx_id=0, det_thresh=0.5)
        capture, number = cv2.VideoCapture(str(video)), 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            for face in app.get(frame) if number % EVERY == 0 else ():
                faces += 1
                x1, y1, x2, y2 = (max(0, int(edge)) for edge in face.bbox)
                cv2.imwrite(str(out / f"{video.stem}_{number}_{faces}.jpg"), frame[y1:y2, x1:x2])
                vector = face.embedding
                if not any(cosine_similarity([vector], [one])[0][0] >= _SAME for one in people):
                    people.append(vector)
            number += 1
        capture.release()
    return {"faces": faces, "people": len(people)}


def loop(videos: Sequence[Path], model: str, out: Path) -> dict[str, Any]:
    """InsightFace's plain use: load once, look at every tenth frame, keep nothing."""
    import cv2
    from insightface.app import FaceAnalysis

    app = FaceAnalysis(model, allowed_modules=["detection", "recognition"])
    app.prepare(ctx_id=0, det_thresh=0.5)
    faces = 0
    for video in videos:
        capture, number = cv2.VideoCapture(str(video)), 0
        while capture.grab():
            if number % EVERY == 0:
                faces += len(app.get(capture.retrieve()[1]))
            number += 1
        capture.release()
    return {"faces": faces}


def limit(videos: Sequence[Path], model: str, out: Path) -> dict[str, Any]:
    """Processor seconds of each bare stage."""
    import cv2
    import numpy as np

    from ingest.frames import MediaLimits, Sampling, VideoReader
    from registry.models import catalogue

    cv2.setNumThreads(1)
    loaded = catalogue.load(model, device="cpu", cache=out, threads=1)
    times = [time.process_time()]
    frames = []
    for video in videos:
        with VideoReader(video, sampling=Sampling(EVERY), limits=MediaLimits()) as reader:
            frames += [frame.image for frame in reader]
    times.append(time.process_time())
    found = [loaded.detect(frame) for frame in frames]
    times.append(time.process_time())
    chips = [
        chip
        for frame, faces in zip(frames, found, strict=True)
        for chip in loaded.align(frame, faces)
    ]
    times.append(time.process_time())
    for start in range(0, len(chips), _FACES):
        loaded.embed(np.stack(chips[start : start + _FACES]))
    times.append(time.process_time())
    stages = [after - before for before, after in itertools.pairwise(times)]
    names = ("decode", "detect", "align", "embed")
    return {"frames": len(frames), "faces": len(chips), **dict(zip(names, stages, strict=True))}


CHILDREN: dict[str, Callable[[Sequence[Path], str, Path], dict[str, Any]]] = {
    "notebook": notebook,
    "loop": loop,
    "limit": limit,
}


def timed(command: Sequence[str]) -> dict[str, Any]:
    """Run a command that prints JSON: its seconds, processor seconds with children, and answer."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    adopt_orphans()
    before, started = os.times(), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    wait_for_orphans()
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:8])} failed:\n{done.stderr[-3000:]}")
    used = after.children_user + after.children_system - before.children_user
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    return {"seconds": seconds, "cpu": used - before.children_system, "answer": answer}


def ours(table: Path, model: str, *options: str) -> dict[str, Any]:
    """`face-registry ingest` into a new registry."""
    with tempfile.TemporaryDirectory() as folder:
        code = "from registry.cli import main; main()"
        return timed(
            [sys.executable, "-c", code, "--home", f"{folder}/home", "ingest", str(table),
             "--model", model, "--json", *options]
        )  # fmt: skip


def child(kind: str, model: str, folder: Path) -> dict[str, Any]:
    """One of the other candidates, in a process of its own."""
    return timed([sys.executable, "-m", "benchmarks.ingest", "--child", kind, model, str(folder)])


def another_file(video: bytes, suffix: str, number: int) -> bytes:
    """The same video in a file of another content, which has to be read as well.

    An element that players skip is added: `Void` of Matroska, the box `free` of MP4.
    """
    if suffix == ".mkv":
        return video + b"\xec\x81" + bytes([number])
    return video + (9).to_bytes(4, "big") + b"free" + bytes([number])


def copies(folder: Path, times: int) -> Path:
    """Copy the videos, and write their table."""
    rows = ["Video URL,Performance"]
    for number in range(times):
        for clip in clips(data_folder()):
            target = folder / f"{number:02}_{clip.name}"
            target.write_bytes(another_file(clip.read_bytes(), clip.suffix, number))
            rows.append(f"{target.name},{len(rows)}")
    table = folder / "videos.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def measure(times: int, rounds: int, options: Sequence[str], *, peers: bool) -> dict[str, Any]:
    """All candidates in turn, `rounds` times."""
    models = sources(data_folder())
    todo: dict[str, Callable[[], dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = copies(folder, times)
        for model in models:
            label = Path(model).name
            todo[f"ours, {label}"] = lambda model=model: ours(table, model, *options)  # type: ignore[misc]
            todo[f"limit, {label}"] = lambda model=model: child("limit", model, folder)  # type: ignore[misc]
        if len(models) > 1 and peers:
            todo["InsightFace's loop"] = lambda: child("loop", models[1], folder)
            if times == 1:
                todo["notebook's steps"] = lambda: child("notebook", models[1], folder)
        found: dict[str, list[dict[str, Any]]] = {label: [] for label in todo}
        for _ in range(rounds):
            for label, run in todo.items():
                found[label].append(run())
                last = found[label][-1]
                print(f"{times} x, {label}: {last['seconds']:.1f} s", file=sys.stderr, flush=True)
    return {"times": times, "videos": times * len(clips(data_folder())), "found": found}


def table_of(measured: dict[str, Any]) -> list[str]:
    """One table in Markdown."""
    found, videos = measured["found"], measured["videos"]
    loop_s = [row["seconds"] for row in found.get("InsightFace's loop", ())]
    goal = GOALS.get(videos, {})
    lines = [
        f"{videos} videos. A cell: median (least to most).",
        "",
        "| | seconds | processor seconds | share of the limit | against InsightFace's loop |",
        "|---|---|---|---|---|",
    ]
    for label, rows in found.items():
        if label.startswith("limit"):
            stages = [sum(row["answer"][s] for s in STAGES) for row in rows]
            seconds = spread([total / processors() for total in stages])
            parts = ", ".join(
                f"{stage} {statistics.median(row['answer'][stage] for row in rows):.1f}"
                for stage in STAGES
            )
            lines.append(f"| {label} | {seconds} | {spread(stages)}: {parts} | | |")
            continue
        took = [row["seconds"] for row in rows]
        model = label.removeprefix("ours, ")
        share = against = ""
        if f"limit, {model}" in found:
            limits = [
                sum(row["answer"][s] for s in STAGES) / processors()
                for row in found[f"limit, {model}"]
            ]
            reached = [100 * low / high for low, high in zip(limits, took, strict=True)]
            wanted = f", goal {100 * goal['limit']:.0f} %" if goal else ""
            share = f"{spread(reached, 0)} %{wanted}"
        if loop_s and (model != "sface" or not label.startswith("ours")):
            factor = [theirs / mine for theirs, mine in zip(loop_s, took, strict=True)]
            wanted = f", goal {goal['loop']:g}" if goal and label.startswith("ours") else ""
            against = f"{spread(factor, 2)}{wanted}"
        cpu = spread([row["cpu"] for row in rows])
        lines.append(f"| {label} | {spread(took)} | {cpu} | {share} | {against} |")
    return lines


STAGES = ("decode", "detect", "align", "embed")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 6])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-peers", action="store_true", help="only ours and the limit")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kind, model, folder = given.child
        videos = sorted(path for path in Path(folder).iterdir() if path.suffix != ".csv")
        with tempfile.TemporaryDirectory() as out:
            print(json.dumps(CHILDREN[kind](videos, model, Path(out))))
        return 0
    if not clips(data_folder())[-1].is_file():
        print("Skipped: the shared data is not here (FACE_REGISTRY_TEST_DATA).")
        return 0
    options = [] if given.workers is None else ["--workers", str(given.workers)]
    where = machine()
    print(f"`python -m benchmarks.ingest`, {sentence(where)}, {given.rounds} rounds.", flush=True)
    results = []
    for times in given.times:
        results.append(measure(times, given.rounds, options, peers=not given.no_peers))
        print("", *table_of(results[-1]), sep="\n", flush=True)
    write_json(given.json, {"benchmark": "ingest", "machine": where, "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
