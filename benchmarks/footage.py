"""Are copies of a video found, and are different videos of the same people left alone?

    python -m benchmarks.footage [--cache FOLDER] [--data FOLDER]

Copies of real clips are made (encoded again, scaled, cropped, mirrored, cut down), and every pair
of videos is compared as `videos duplicates` compares them. Videos and faces are kept in the cache:
the first run takes an hour, the next ones two minutes.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

from benchmarks import _footage as made
from benchmarks._extraction import Extractions, source_digest
from benchmarks._footage import Base
from benchmarks._options import CACHE, data_folder, sources
from benchmarks._photos import embedded
from registry.core import contract as contracts
from registry.core.opening import open_registry
from registry.domain import Box, Face, Image, Media, ModelInfo, Quality, Status, Video
from registry.footage import overlap
from registry.footage.alignment import FaceTrack, shared_segments
from registry.footage.duplicates import duplicate_videos
from registry.footage.overlap import Overlap, Recording, compare
from registry.models import catalogue
from registry.settings import load_settings
from registry.urls import Url

EVERY = 10
"""The registry's default."""
BOTH = "a clip and a video that holds it"
_SLIDES = 12
"""Photographs that are each in two slide shows."""


@dataclass(frozen=True, slots=True)
class Named:
    """A video with what is known about it."""

    base: Base
    copy: str
    """What was done to it; empty: nothing."""
    recording: Recording


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    options = parser.parse_args()
    if not (options.data / "videos" / "asl_gestures").is_dir():
        print(f"nothing measured: there are no clips in {options.data}")
        return
    for source in sources(options.data):
        _measure(source, options.data, options.cache)
    print("\ncost: " + _cost())


def _measure(source: str, data: Path, cache: Path) -> None:
    extractions = Extractions(
        cache, lambda: catalogue.load(source, device="cpu", cache=cache / "models")
    )
    folder = cache / "videos" / f"footage-{source_digest('benchmarks/_footage.py')}"
    videos = list(_videos(data, folder, extractions))
    print(f"\n## {extractions.model.info.name}: {len(videos)} videos\n")
    print("| copy | of 4 to 14 s | of 1.6 to 3.7 s |")
    print("|---|---|---|")
    for what, found in _copies(videos).items():
        print(f"| {what} | {_counted(found[False])} | {_counted(found[True])} |")
    pairs, highest, milliseconds = _different(videos)
    false = sum(evidence >= overlap.LIKELY for evidence in highest)
    top = ", ".join(f"{evidence:.1f}" for evidence in highest[:5])
    print(f"\n{pairs} pairs of different videos: {false} listed; highest evidence {top} nats")
    print(f"{milliseconds:.1f} ms a comparison")
    for what, (listed, of, evidence) in _slide_shows(data, folder, extractions).items():
        print(f"{what}: {listed} of {of} listed; highest evidence {evidence:.1f}")
    print(f"takes with the same poses at the same moments: {_same_poses(data, cache, source)}")


def _videos(data: Path, folder: Path, extractions: Extractions) -> Iterator[Named]:
    intro: list[Image] = []
    for base in made.bases(data):
        copies = {"": made.ORIGINAL}
        copies |= {n: c for n, c in made.COPIES.items() if not base.short or n in made.QUICK}
        for what, copy in copies.items():
            path = folder / f"{base.name}{_slug(what)}.mp4"
            if not path.is_file():
                made.write(path, base.frames(), base.fps, copy)
            yield _named(base, what, path, extractions)
        if base.short:
            continue
        for what in (made.THIRD, made.INTRO):
            path = folder / f"{base.name}{_slug(what)}.mp4"
            if what == made.INTRO and base.name == "hamilton":
                continue  # the intro is of this video
            if not path.is_file():
                frames = made.middle_third(base.frames())
                if what == made.INTRO:
                    intro = intro or made.frames_of(data / "videos" / made.OTHERS["hamilton"][0])
                    frames = made.introduced(frames, intro)
                made.write(path, frames, base.fps)
            yield _named(base, what, path, extractions)


def _slug(what: str) -> str:
    return f"@{re.sub(r'[^a-z0-9]+', '-', what.lower()).strip('-')}" if what else ""


def _named(base: Base, what: str, path: Path, extractions: Extractions) -> Named:
    return Named(base, what, _extracted(path, extractions))


def _extracted(path: Path, extractions: Extractions) -> Recording:
    return _recording(extractions.of(path, f"{path.parent.name}/{path.stem}", every=EVERY))


def _recording(video: Video) -> Recording:
    faces: dict[int, list[Face]] = defaultdict(list)
    for face in video.faces:
        faces[face.track].append(face)
    return Recording(video.media.duration_s, tuple(_track(group) for group in faces.values()))


def _track(faces: Sequence[Face]) -> FaceTrack:
    return FaceTrack.of(
        np.array([face.time_s for face in faces]),
        np.stack([face.embedding for face in faces]),
        np.array([[f.box.x1, f.box.y1, f.box.x2, f.box.y2] for f in faces]),
    )


# --- what is the same ---------------------------------------------------------------------------


def _copies(videos: Sequence[Named]) -> dict[str, dict[bool, list[Overlap | None]]]:
    """What was found for each kind of copy, by whether the video is a short clip."""
    found: dict[str, dict[bool, list[Overlap | None]]] = defaultdict(lambda: defaultdict(list))
    originals = [video for video in videos if not video.copy]
    by_name = {video.base.name: video for video in originals}
    for video in videos:
        if video.copy:
            original = by_name[video.base.name]
            pair = compare(original.recording, video.recording)
            found[video.copy][video.base.short].append(pair)
    for one, other in combinations(originals, 2):
        if one.base.sources & other.base.sources and one.base.speed == other.base.speed:
            short = one.base.short or other.base.short
            found[BOTH][short].append(compare(one.recording, other.recording))
    return found


def _counted(found: Sequence[Overlap | None]) -> str:
    if not found:
        return "-"
    listed = [pair for pair in found if pair is not None]
    certain = sum(pair.certain for pair in listed)
    return f"{len(listed)} of {len(found)} ({certain} certain)"


# --- what is not --------------------------------------------------------------------------------


def _different(videos: Sequence[Named]) -> tuple[int, list[float], float]:
    """How many pairs of different footage there are, the evidence of each, and ms a comparison.

    The evidence comes highest first.
    """
    compared = [v for v in videos if v.copy in ("", *made.QUICK[:2])]
    evidence: list[float] = []
    pairs, began = 0, time.perf_counter()
    for one, other in combinations(compared, 2):
        if (one.copy and other.copy) or one.base.sources & other.base.sources:
            continue
        if one.base.name.startswith("gif") and other.base.name.startswith("gif"):
            continue  # made of the same recordings
        pairs += 1
        evidence.append(_evidence(one.recording, other.recording))
    return pairs, sorted(evidence, reverse=True), 1000 * (time.perf_counter() - began) / pairs


def _evidence(one: Recording, other: Recording) -> float:
    """Of the best segment, whatever its agreement; 0 where nothing is worth a closer look."""
    first, second = sorted((one, other), key=len)
    if not first.faces or not second.faces:
        return 0.0
    found = shared_segments(first.faces, second.faces, least=0.0, further=np.inf)
    return found[0].evidence if found else 0.0


def _slide_shows(
    data: Path, folder: Path, extractions: Extractions
) -> dict[str, tuple[int, int, float]]:
    """Photographs in two slide shows each: pairs listed, pairs, and the highest evidence."""
    people = sorted(path for path in (data / "photos").iterdir() if path.is_dir())
    photos = [sorted(person.glob("*.jpg"))[:2] for person in people[: 3 * _SLIDES]]
    shows = {
        "one photograph in two slide shows of three": (1.5, 0.0, True, None),
        "one still photograph, encoded twice": (6.0, 0.0, False, "25"),
        "one photograph, enlarged slowly and faster": (6.0, 0.2, False, None),
        "one photograph in two slide shows of three, all enlarged slowly": (3.0, 0.2, True, None),
    }
    found = {}
    for number, (what, (seconds, zoom, three, crf)) in enumerate(shows.items()):
        pairs = []
        for i in range(_SLIDES):
            shared, before, after = photos[i][0], photos[i + _SLIDES], photos[i + 2 * _SLIDES]
            sides = [[before[k], shared, after[k]] if three else [shared] for k in range(2)]
            recordings = []
            for k, side in enumerate(sides):
                path = folder / f"slides{number}_{i}_{k}.mp4"
                if not path.is_file():
                    frames = made.slides(side, seconds, zoom=zoom if three else zoom * (1 + k))
                    options = {"crf": crf} if crf and k else {"crf": "18"}
                    made.write(path, frames, made.FPS, made.Copy(options=options))
                recordings.append(_extracted(path, extractions))
            pairs.append(recordings)
        evidence = [_evidence(*pair) for pair in pairs]
        listed = sum(compare(*pair) is not None for pair in pairs)
        found[what] = (listed, len(pairs), max(evidence))
    return found


_FRAMES, _HELD, _NOISE, _ROUNDS = 200, 4, 0.3, 5


def _same_poses(data: Path, cache: Path, source: str) -> str:
    """How often two simulated takes are listed that change between three poses at the same moments.

    Each is made of three of six photographs of a person: the worst of all ways to divide them.
    """
    faces = embedded(
        data,
        cache,
        Path(source).name,
        lambda: catalogue.load(source, device="cpu", cache=cache / "models"),
    )
    random = np.random.default_rng(0)
    listed, agreement, takes = 0, [0.0], 0
    for person in np.unique(faces.people):
        vectors = faces.vectors[faces.people == person][:6]
        if len(vectors) < 6:
            continue
        three, others = _most_alike(vectors)
        for _ in range(_ROUNDS):
            states = np.repeat(random.integers(0, 3, _FRAMES), _HELD)[:_FRAMES]
            one, other = (_take(p, states, random) for p in (three, others))
            pair = shared_segments(one, other, least=0.0, further=np.inf)
            agreement += [segment.agreement for segment in pair]
            listed += compare(Recording(67, one), Recording(67, other)) is not None
            takes += 1
    top = np.quantile(agreement, 0.95)
    return f"{listed} of {takes} listed; agreement {top:.2f} (95 %), {max(agreement):.2f} at most"


def _most_alike(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def alike(order: tuple[int, ...]) -> float:
        one, other = vectors[list(order[:3])], vectors[list(order[3:])]
        one, other = one - one.mean(axis=0), other - other.mean(axis=0)
        return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))

    best = max(permutations(range(6)), key=alike)
    return vectors[list(best[:3])], vectors[list(best[3:])]


def _take(
    poses: np.ndarray, states: np.ndarray, random: np.random.Generator
) -> tuple[FaceTrack, ...]:
    """One track of 200 faces, three a second, that holds each pose for 1.3 s or longer."""
    dimension = poses.shape[1]
    noise = random.normal(0, _NOISE / np.sqrt(dimension), (len(states), dimension))
    vectors = poses[states] + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    middle = 200 + np.cumsum(random.normal(0, 0.5, (len(states), 2)), axis=0)
    boxes = np.hstack([middle - 50, middle + 50])
    times = np.arange(len(states)) / 3
    return (FaceTrack.of(times, vectors.astype(np.float32), boxes),)


# --- cost ---------------------------------------------------------------------------------------

_PEOPLE, _VIDEOS, _LENGTH, _DIMENSION = 200, 2000, 90, 128


def _cost() -> str:
    """Time of `videos duplicates` for 2,000 videos of 30 s, ten of each of 200 people."""
    with tempfile.TemporaryDirectory() as home, open_registry(load_settings(home=home)) as registry:
        model = ModelInfo("benchmark", "0" * 64, _DIMENSION, 0.4)
        registry.establish(
            contracts.new(model, "benchmark", threshold=0.85, every=EVERY, primary_metric="Views")
        )
        for video in _many():
            registry.records.put(video)
        registry.reindex()
        began = time.perf_counter()
        found = duplicate_videos(registry)
        seconds = time.perf_counter() - began
    each = 1000 * seconds / _VIDEOS
    return (
        f"{_VIDEOS} videos of {_LENGTH} faces: {seconds:.1f} s, {each:.1f} ms a video; "
        f"{len(found)} pairs listed"
    )


def _many() -> Iterator[Video]:
    random = np.random.default_rng(0)
    people = random.normal(size=(_PEOPLE, _DIMENSION))
    people /= np.linalg.norm(people, axis=1, keepdims=True)
    for number in range(_VIDEOS):
        look = people[number % _PEOPLE] + random.normal(0, 0.3 / np.sqrt(_DIMENSION), _DIMENSION)
        changes = random.normal(0, 0.4 / np.sqrt(_DIMENSION), (_LENGTH, _DIMENSION))
        vectors = look + changes
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        name = f"{number:08x}-0000-5000-8000-000000000000"
        yield Video(
            video_id=name,
            url=Url(f"https://example.com/{number}.mp4"),
            metrics={"Views": float(number)},
            status=Status.DONE,
            faces=tuple(_face(name, i, v) for i, v in enumerate(vectors.astype(np.float32))),
            media=Media(duration_s=_LENGTH / 3, width=640, height=480, frames_sampled=_LENGTH),
            run="benchmark",
        )


def _face(video: str, number: int, vector: np.ndarray) -> Face:
    return Face(
        face_id=f"{video[:8]}-{number:04x}-5000-8000-000000000001",
        frame=EVERY * number,
        position=0,
        time_s=number / 3,
        span_s=1 / 3,
        box=Box(100.0, 100.0, 200.0 + number % 7, 200.0 + number % 5),
        landmarks=np.zeros((5, 2), np.float32),
        det_score=0.9,
        quality=Quality(0.8),
        track=0,
        crop=f"crops/{video}/{number}_0.jpg",
        crop_digest="0" * 64,
        embedding=vector,
        identity_id=f"{int(video[:8], 16) % _PEOPLE:08x}-0000-5000-8000-00000000000f",
    )


if __name__ == "__main__":
    main()
