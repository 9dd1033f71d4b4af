"""Sampling every tenth frame: `VideoReader` beside PyAV and OpenCV, in one run.

    python -m benchmarks.decode [--every 10] [--seconds 20] [--rounds 3] [FILE ...]

It makes a video and reads it, and then the files that are named. Its own: 1080p, x264 at its
defaults, a camera with a noisy sensor that pans and zooms over a photo, and a cut every three
seconds. Each way of reading runs in turn, round after round, and its best round counts: other work
on the machine slows all of them. Speed is source frames a second; CPU is seconds of all threads
together. Before that, the frames are compared: with PyAV's to the last bit, with OpenCV's to what
its other chroma filter explains.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from ingest.frames import MediaLimits, Sampling, VideoReader
from ingest.frames.container import open_video
from ingest.frames.packet_selection import select_packets
from registry.domain import Image

Read = Callable[[Path, int], Iterator[Image]]

SIZE = (1920, 1080)
FPS = 30
SHOT_S = 3
NOISE = 2.0
"""Standard deviation in levels of 255, of each pixel in each frame: a phone indoors."""
CLOSE_ENOUGH = 3.0
"""Mean difference to OpenCV's pixels, in levels of 255: its conversion interpolates chroma."""


def ours(path: Path, every: int) -> Iterator[Image]:
    with VideoReader(path, sampling=Sampling(every=every)) as reader:
        for frame in reader:
            yield frame.image


def ours_with_cuts(path: Path, every: int) -> Iterator[Image]:
    sampling = Sampling(every, max_gap_s=1.0, cuts=True)
    with VideoReader(path, sampling=sampling) as reader:
        for frame in reader:
            yield frame.image


def pyav(path: Path, every: int, threads: int = 1) -> Iterator[Image]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO"
        for index, frame in enumerate(file.decode(stream)):
            if index % every == 0:
                yield frame.to_ndarray(format="bgr24", threads=1).astype(np.uint8, copy=False)


def pyav_two_threads(path: Path, every: int) -> Iterator[Image]:
    return pyav(path, every, threads=2)


def opencv_read(path: Path, every: int) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(path))
    index = 0
    while True:
        more, image = capture.read()
        if not more:
            break
        if index % every == 0:
            yield image.astype(np.uint8, copy=False)
        index += 1
    capture.release()


def opencv_grab(path: Path, every: int) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(path))
    index = 0
    while capture.grab():
        if index % every == 0:
            yield capture.retrieve()[1].astype(np.uint8, copy=False)
        index += 1
    capture.release()


WAYS: dict[str, Read] = {
    "VideoReader": ours,
    "VideoReader, gaps and cuts": ours_with_cuts,
    "PyAV, all frames": pyav,
    "PyAV, all frames, two threads": pyav_two_threads,
    "OpenCV read()": opencv_read,
    "OpenCV grab(), retrieve()": opencv_grab,
}


def make_video(path: Path, seconds: float) -> Path:
    """Write the benchmark's own video."""
    from skimage import data

    photo = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)  # type: ignore[no-untyped-call]
    wall = np.hstack([photo, photo[:, ::-1], photo, photo[:, ::-1]])
    wall = cv2.resize(wall, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, NOISE, (SIZE[1] + 64, SIZE[0] + 64)).round().astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * FPS)):
            scene = _camera(wall.astype(np.uint8, copy=False), number / FPS)
            x, y = rng.integers(0, 64, 2)
            image = scene + noise[y : y + SIZE[1], x : x + SIZE[0], None]
            image = np.clip(image, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _camera(wall: Image, time_s: float) -> Image:
    """What a camera sees of a wall: it pans and zooms, and jumps at each cut."""
    shot = time_s // SHOT_S
    height, width = wall.shape[:2]
    seen = height * (0.62 + 0.2 * math.sin(0.2 * time_s + shot))
    x = (width - seen * 16 / 9) * (0.5 + 0.5 * math.sin(0.15 * time_s + 2.1 * shot))
    y = (height - seen) * (0.5 + 0.5 * math.cos(0.2 * time_s + 1.3 * shot))
    scale = SIZE[1] / seen
    matrix = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])
    return cv2.warpAffine(wall, matrix, SIZE, flags=cv2.INTER_AREA).astype(np.uint8, copy=False)


def compare(path: Path, every: int) -> int:
    """Check that all ways give the same frames. Returns how many."""
    count = 0
    for count, (one, other, third) in enumerate(
        zip(ours(path, every), pyav(path, every), opencv_grab(path, every), strict=True), start=1
    ):
        if not np.array_equal(one, other):
            raise SystemExit(f"{path}: sample {count - 1} differs from PyAV's")
        difference = float(cv2.absdiff(one, third).mean())
        if difference > CLOSE_ENOUGH:
            raise SystemExit(f"{path}: sample {count - 1} is {difference:.1f} off OpenCV's")
    return count


def measure(path: Path, every: int, rounds: int) -> None:
    """Compare, time and print."""
    limits = MediaLimits()
    with path.open("rb") as file, open_video(file, limits) as source:
        codec = source.stream.codec_context
        selection = select_packets(source, Sampling(every=every), limits)
        print(f"{path.name}: {codec.name} {codec.width} x {codec.height}, ", end="")
    with av.open(str(path)) as container:
        frames = sum(1 for packet in container.demux(video=0) if packet.size)
    fed = frames if selection is None else int(selection.decode.sum())
    samples = compare(path, every)
    print(f"{frames} packets, {fed} of them decoded, {samples} samples the same in all ways")
    wall = dict.fromkeys(WAYS, math.inf)
    cpu = dict.fromkeys(WAYS, math.inf)
    for _ in range(rounds):
        for name, way in WAYS.items():
            started, spent = time.perf_counter(), time.process_time()
            for _image in way(path, every):
                pass
            wall[name] = min(wall[name], time.perf_counter() - started)
            cpu[name] = min(cpu[name], time.process_time() - spent)
    for name in WAYS:
        slower, dearer = wall[name] / wall["VideoReader"], cpu[name] / cpu["VideoReader"]
        print(
            f"  {name:30} {frames / wall[name]:7.0f} frames/s  {cpu[name]:6.2f} s CPU"
            f"   x{slower:.2f} time, x{dearer:.2f} CPU"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Sampling frames: VideoReader, PyAV, OpenCV.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = make_video(Path(folder) / "own-1080p.mp4", chosen.seconds)
        for path in [own, *chosen.files]:
            measure(path, chosen.every, chosen.rounds)


if __name__ == "__main__":
    main()
