"""Sample videos: a camera moves slowly over photographs, encoded as telephones and sites do it.

Everything is computed, nothing is drawn by chance but the grain, whose seed is fixed: the same
versions of NumPy, OpenCV and PyAV write the same bytes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from registry.demo.cast import FPS, MISSING, PROBES, VIDEOS, DemoVideo, Shot, Window
from registry.demo.photos import PhotoName, photo
from registry.domain import Image
from registry.errors import RegistryError

CSV_COLUMNS = ("Video URL", "Performance", "Views")

_GRAIN = 1.5
"""Standard deviation of the grain, grey levels: a sensor indoors."""
_DRIFT = 0.05
"""The light comes and goes by so much of itself."""
_SHIFTS = 64
"""px by which the sheet of grain can be shifted each way."""
_SEED = 1969
_SWAY = 0.006
"""A hand moves the camera by so much of the window's height."""


def build_videos(folder: Path, videos: Sequence[DemoVideo] = VIDEOS) -> None:
    """Write videos (H.264 in MP4, 30 frames/s) into a folder; `videos` says who is in which.

    Raises `ImageError` if a photograph is not where its package had it, `RegistryError` if the
    folder cannot be written.
    """
    # Warping and encoding leave the interpreter lock alone, so threads suffice.
    with _writing(folder), ThreadPoolExecutor(2) as pool:
        folder.mkdir(parents=True, exist_ok=True)
        list(pool.map(lambda video: _encode(video, folder / video.file), videos))


def write_csv(path: Path, base_url: str) -> None:
    """Write the table of the videos: URL, performance and views; one row's video is not there.

    Raises `RegistryError` if the file cannot be written.
    """
    rows = [(video.file, video.performance, video.views) for video in VIDEOS]
    rows.insert(len(rows) // 2, MISSING)
    with _writing(path), path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(CSV_COLUMNS)
        table.writerows((f"{base_url}/{name}", rate, views) for name, rate, views in rows)


def write_probe(path: Path, person: str) -> None:
    """Write a still (JPEG, 600 x 600 px) to look a person up with.

    `person` is one of `PROBES`. Raises as `build_videos` does.
    """
    shot = PROBES[person]
    still = _view(_sharp(shot.photo), shot.start, (600, 600), shot.roll)
    _, encoded = cv2.imencode(".jpg", still)
    with _writing(path):
        path.write_bytes(encoded.tobytes())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as exc:
        raise RegistryError(
            f"{path} cannot be written: {exc.strerror or exc}; run the demo in a folder of your own"
        ) from exc


def frames(video: DemoVideo) -> Iterator[Image]:
    """The pictures of a video, BGR uint8 (H, W, 3), before they are encoded."""
    width, height = video.size
    random = np.random.default_rng(_SEED)
    # One sheet of grain, looked at from another corner each time, passes for fresh grain.
    sheet = random.normal(0, _GRAIN, (height + _SHIFTS, width + _SHIFTS, 1)).repeat(3, axis=2)
    sheet = sheet.astype(np.int16)
    for shot in video.shots:
        image = _sharp(shot.photo)
        count = round(shot.seconds * FPS)
        for number in range(count):
            seconds = number / FPS
            window = _window(shot, number / (count - 1), seconds)
            view = _view(image, window, video.size, shot.roll)
            light = 1 + _DRIFT * math.sin(2 * math.pi * seconds / 3.7)
            x, y = random.integers(_SHIFTS, size=2)
            grain = np.ascontiguousarray(sheet[y : y + height, x : x + width])
            lit = cv2.convertScaleAbs(view, alpha=light)
            yield np.asarray(cv2.add(lit, grain, dtype=cv2.CV_8U), np.uint8)


def _window(shot: Shot, progress: float, seconds: float) -> Window:
    """Where the camera looks; `progress` runs from 0 to 1 over the shot."""
    eased = progress * progress * (3 - 2 * progress)
    start, end = shot.start, shot.end
    # A zoom looks even if the height changes by equal factors, not by equal amounts.
    height = start.height * (end.height / start.height) ** eased
    return Window(
        start.x + (end.x - start.x) * eased + _SWAY * height * math.sin(1.9 * seconds),
        start.y + (end.y - start.y) * eased + _SWAY * height * math.sin(1.3 * seconds + 1),
        height,
    )


@cache
def _sharp(name: PhotoName) -> Image:
    """A photograph with an unsharp mask of one pixel: enlarging it will soften it."""
    image = photo(name)
    return np.asarray(
        cv2.addWeighted(image, 1.5, cv2.GaussianBlur(image, (0, 0), 1), -0.5, 0), np.uint8
    )


def _view(image: Image, window: Window, size: tuple[int, int], roll: float) -> Image:
    """The window of a photograph, turned by `roll` and enlarged to `size` (width, height)."""
    width, height = size
    scale = height / window.height
    move = cv2.getRotationMatrix2D((window.x, window.y), roll, scale)
    move[:, 2] += np.array([width / 2 - window.x, height / 2 - window.y])
    view = cv2.warpAffine(
        image, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(view, np.uint8)


def _encode(video: DemoVideo, path: Path) -> None:
    # Without the macroblock tree: with frames that are not a multiple of 128 px wide, it makes
    # x264 write other bytes for the same pictures from one run to the next.
    x264 = {"crf": str(video.crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    # bitexact: no date and no library version in the file.
    container = av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"})
    with container:
        stream = container.add_stream("libx264", rate=FPS, options=x264)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = video.size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames(video)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            frame.time_base = Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
