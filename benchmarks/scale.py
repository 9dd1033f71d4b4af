"""How the registry's own work grows with the number of videos; no video is decoded.

    python -m benchmarks.scale [--videos 1000 5000] [--commits 100] [--engines 20000] [--folder DIR]
        [--json PATH]

Registries of synthetic videos are filled with all but the last videos at once. After another
opening, these are committed as an ingest commits them, with their crops. What follows is measured
as a command does it: the end of an ingest, lookups, averages, a report, `status`, opening the
registry again and closing it. Vector engines are compared on the faces of so many videos
(`--engines`: how many vectors). All times of the first table are processor time of this process,
user and system, so other jobs on the machine change them little. Importing pandas and SciPy is not
part of them. The recall of lookups is the share of those with a neighbour at the rule's cosine
whose nearest face is the one that comparing with all faces finds.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import _engines
from benchmarks._synthetic import FACES, Synthetic, contract, fill, put_crops
from queries.averages import averages
from queries.report import report
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Video
from registry.faces.matching import similarities_to_earlier
from registry.footage.duplicates import duplicate_videos
from registry.people import joining
from registry.settings import load_settings
from registry.store.edge_shard import bytes_on_disk
from registry.system.process import PeakMemory
from registry.upkeep.status import status

T = TypeVar("T")
LOOKUPS = 200
ROW = (
    "| {videos:,} | {faces:,} | {identities:,} | {commit_ms[0]} / {commit_ms[1]} | {nearest_ms} "
    "| {load_s} | {evidence_first_s} | {evidence_s} | {copies_s} | {optimize_s} | {close_s} "
    "| {lookup_ms[0]} / {lookup_ms[1]} | {recall[0]} of {recall[1]} | {averages_s} | {report_s} "
    "| {status_s} | {reopen_s} | {peak_mb} | {index_mb} |"
)
HEAD = (
    "| videos | faces | identities | commit, median / mean, ms | finding neighbours, ms "
    "| loading the faces, s "
    "| likely duplicates, all videos, s | only new ones, s | copies, s | optimize, s | close, s "
    "| lookup p50 / p99, ms | recall | averages, s | report, s "
    "| status, s | reopen, s | peak memory, MB | index on disk, MB |\n" + "|---" * 19 + "|"
)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--engines", type=int, default=20_000, help="vectors; 0: leave them out")
    parser.add_argument(
        "--folder", type=Path, help="where registries are made (a temporary folder)"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    print(f"{machine}; {FACES} faces a video\n\n{HEAD}")
    sizes, engines = [], []
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for count in given.videos:
            sizes.append(_size(Path(name) / str(count), count, given.commits))
            print(ROW.format(**sizes[-1]), flush=True)
            shutil.rmtree(Path(name) / str(count))
        for one in sizes:
            print(
                f"\n{one['videos']:,} videos, ms a commit in tenths: {one['commit_ms_in_tenths']}"
            )
        if given.engines:
            print(
                f"\n{given.engines:,} vectors\n\n| engine | build, s | p50, ms | p99, ms | recall |"
            )
            print("|---|---|---|---|---|")
            engines = _compare(given.engines, Path(name))
    if given.json:
        body = {"machine": machine, "sizes": sizes, "engines": engines}
        given.json.write_text(json.dumps(body, indent=1))


def _size(home: Path, count: int, commits: int) -> dict[str, Any]:
    """All measurements of a registry of `count` videos."""
    synthetic = Synthetic(max(400, count // 10))
    with open_registry(load_settings(home=home)) as registry:
        registry.establish(contract())
        fill(registry, synthetic, count - commits)
    return measured(home, synthetic, count, commits)


def measured(home: Path, synthetic: Synthetic, count: int, commits: int) -> dict[str, Any]:
    """The measurements of a registry that has all but the last `commits` of `count` videos."""
    import_module("queries.statistics.performance")
    timed = _Timed()
    with open_registry(load_settings(home=home)) as registry:
        timed("load", registry.index.count_faces)
        timed("evidence_first", lambda: _look_for_duplicates(registry))
        last = list(synthetic.videos(commits, count - commits))
        for video in last:
            put_crops(registry, video)
        commit = [_milliseconds(lambda video=video: registry.commit(video)) for video in last]  # type: ignore[misc]
        timed("settle", registry.settle)
        timed("evidence", lambda: _look_for_duplicates(registry))
        read = {video.video_id for video in last}
        timed("copies", lambda: duplicate_videos(registry, among=read))
        timed("optimize", registry.index.optimize)
        lookup, recall = _lookups(registry, synthetic)
        nearest = [_nearest(registry, video) for video in synthetic.videos(20, count)]
        timed("close", registry.close)
    again = timed("reopen", lambda: _opened(home))
    table = timed("averages", lambda: averages(again))
    timed("report", lambda: report(again))
    document = timed("status", lambda: status(again))
    identities, faces = document["identities"]["total"], document["faces"]
    assert identities >= len(table) and faces == count * FACES
    again.close()
    return {
        "videos": count,
        "faces": faces,
        "identities": identities,
        "commit_ms": [round(float(one), 1) for one in (np.median(commit), np.mean(commit))],
        "commit_ms_in_tenths": [round(float(t.mean()), 1) for t in np.array_split(commit, 10)],
        "recall": recall,
        "nearest_ms": round(float(np.median(nearest)), 1),
        "lookup_ms": [round(float(np.percentile(lookup, p)), 1) for p in (50, 99)],
        "peak_mb": _peak_mb(),
        "index_mb": bytes_on_disk(home / "index") // 1_000_000,
        **{f"{name}_s": round(seconds, 2) for name, seconds in timed.seconds.items()},
    }


class _Timed:
    """Calls functions, and keeps how much processor time each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        started = time.process_time()
        result = work()
        self.seconds[name] = time.process_time() - started
        return result


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def _look_for_duplicates(registry: Registry) -> None:
    """As at the end of an ingest: what is new since the last look is read."""
    joining.look_for_duplicates(registry)


def _opened(home: Path) -> Registry:
    registry = open_registry(load_settings(home=home))
    _ = registry.index
    return registry


def _nearest(registry: Registry, video: Video) -> float:
    """Milliseconds to find the neighbours of all faces of a new video, as a commit does."""
    embeddings = np.stack([face.embedding for face in video.faces])
    own = similarities_to_earlier(embeddings, video.faces)
    return _milliseconds(lambda: registry.index.nearest(video.video_id, embeddings, own))


def _lookups(registry: Registry, synthetic: Synthetic) -> tuple[list[float], tuple[int, int]]:
    """Milliseconds of each lookup of one face; how many of how many found the nearest first."""
    times, right, matched = [], 0, 0
    index = registry.index
    rows = synthetic.queries(LOOKUPS)
    index.similar_faces(rows[:1], limit=50)  # reads what the engine keeps in memory from then on
    for row in rows:
        started = time.process_time()
        [found] = index.similar_faces(row[None], limit=50)
        times.append((time.process_time() - started) * 1000)
        [[nearest]] = index.similar_faces(row[None], limit=1, exact=True)
        if nearest.similarity >= registry.contract.threshold:
            matched += 1
            right += found[0].face.face_id == nearest.face.face_id
    return times, (right, matched)


def _compare(count: int, folder: Path) -> list[dict[str, Any]]:
    synthetic = Synthetic(max(400, count // 180))
    videos = synthetic.videos(-(-count // FACES))
    vectors = np.array([face.embedding for video in videos for face in video.faces])[:count]
    found = []
    for one in _engines.compare(vectors, synthetic.queries(LOOKUPS), folder / "engines"):
        if isinstance(one, str):
            print(f"| {one} | | | | |", flush=True)
            continue
        print(
            f"| {one.name} | {one.build_s:.1f} | {one.p50_ms:.2f} | {one.p99_ms:.2f} "
            f"| {one.recall:.4f} |",
            flush=True,
        )
        found.append(asdict(one))
    return found


def _peak_mb() -> int:
    return PeakMemory().bytes() // 2**20


if __name__ == "__main__":
    main()
