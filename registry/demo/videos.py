"""Sample videos: slow camera movements over photographs, encoded as telephones and web sites do.

The photographs come from installed packages (insightface and scikit-image), so the demo downloads
nothing and the project contains none. The same versions of NumPy, OpenCV and PyAV write the same
bytes: the only random numbers, of the grain, have a fixed seed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from registry.demo.cast import (
    FPS,
    MISSING,
    PROBES,
    VIDEOS,
    CameraView,
    DemoVideo,
    PhotoName,
    Shot,
)
from registry.domain import Image
from registry.errors import ImageError, RegistryError

CSV_COLUMNS = ("Video URL", "Performance", "Views")

_PHOTOS: dict[PhotoName, tuple[str, str]] = {
    "table": ("insightface", "insightface/data/images/t1.jpg"),
    "astronaut": ("scikit-image", "skimage/data/astronaut.png"),
    "rocket": ("scikit-image", "skimage/data/rocket.jpg"),
}
"""The package that contains a photograph, and its path there. `table`: six people side by side,
1280 x 886 px. `astronaut`: one person, 512 x 512 px. `rocket`: nobody, 640 x 427 px."""
_GRAIN = 1.5
"""Standard deviation of the grain in grey levels, as of a sensor indoors."""
_DRIFT = 0.05
"""Amplitude of slow changes of brightness, as a share of the brightness."""
_SHIFTS = 64
"""px by which the noise image is shifted at most in each direction."""
_SEED = 1969
_SWAY = 0.006
"""Amplitude of the movements of a hand-held camera, as a share of the view's height."""


def build_videos(folder: Path, videos: Sequence[DemoVideo] = VIDEOS) -> None:
    """Write videos (H.264 in MP4, 30 frames/s) into a folder.

    Raises `ImageError` if a photograph is not in its package, `RegistryError` if the folder cannot
    be written.
    """
    # Warping and encoding release the global interpreter lock, so threads suffice.
    with _writing(folder), ThreadPoolExecutor(2) as pool:
        folder.mkdir(parents=True, exist_ok=True)
        list(pool.map(lambda video: _encode(video, folder / video.file), videos))


def write_csv(path: Path, base_url: str) -> None:
    """Write the table of the videos: URL, performance and views. The video of one row is missing.

    Raises `RegistryError` if the file cannot be written.
    """
    rows = [(video.file, video.performance, video.views) for video in VIDEOS]
    rows.insert(len(rows) // 2, MISSING)
    with _writing(path), path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(CSV_COLUMNS)
        table.writerows((f"{base_url}/{name}", rate, views) for name, rate, views in rows)


def write_probe(path: Path, person: str) -> None:
    """Write a photo (JPEG, 600 x 600 px) of a person in `PROBES`, to look up.

    Raises what `build_videos` raises.
    """
    shot = PROBES[person]
    still = _crop(_sharpened(shot.photo), shot.start, (600, 600), shot.roll)
    _, encoded = cv2.imencode(".jpg", still)
    with _writing(path):
        path.write_bytes(encoded.tobytes())


def read_photo(package: str, path: str) -> Image:
    """Read an image file of an installed package: BGR uint8 (H, W, 3).

    Raises `ImageError` if it does not exist or is not an image.
    """
    try:
        encoded = Path(str(distribution(package).locate_file(path))).read_bytes()
    except (PackageNotFoundError, OSError) as exc:
        raise ImageError(
            f"The package {package} does not contain {path}, which the demo needs. Install the "
            "versions in requirements/cpu.txt."
        ) from exc
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{path} of the package {package} is not an image. Reinstall {package}.")
    return np.asarray(image, np.uint8)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as exc:
        raise RegistryError(
            f"{path} cannot be written ({exc.strerror or exc}). Run the demo in a folder of your "
            "own."
        ) from exc


def draw_frames(video: DemoVideo) -> Iterator[Image]:
    """Yield the frames of a video, BGR uint8 (H, W, 3), before encoding."""
    width, height = video.size
    random = np.random.default_rng(_SEED)
    # One noise image, shifted at random for each frame, looks like independent noise.
    noise = random.normal(0, _GRAIN, (height + _SHIFTS, width + _SHIFTS, 1)).repeat(3, axis=2)
    noise = noise.astype(np.int16)
    for shot in video.shots:
        image = _sharpened(shot.photo)
        count = round(shot.seconds * FPS)
        for number in range(count):
            seconds = number / FPS
            view = _move_camera(shot, number / (count - 1), seconds)
            picture = _crop(image, view, video.size, shot.roll)
            light = 1 + _DRIFT * math.sin(2 * math.pi * seconds / 3.7)
            x, y = random.integers(_SHIFTS, size=2)
            grain = np.ascontiguousarray(noise[y : y + height, x : x + width])
            lit = cv2.convertScaleAbs(picture, alpha=light)
            yield np.asarray(cv2.add(lit, grain, dtype=cv2.CV_8U), np.uint8)


def _move_camera(shot: Shot, progress: float, seconds: float) -> CameraView:
    """The view at a moment of a shot; `progress` runs from 0 to 1."""
    eased = progress * progress * (3 - 2 * progress)
    start, end = shot.start, shot.end
    # A zoom looks steady if the height changes by equal factors, not by equal amounts.
    height = start.height * (end.height / start.height) ** eased
    return CameraView(
        start.x + (end.x - start.x) * eased + _SWAY * height * math.sin(1.9 * seconds),
        start.y + (end.y - start.y) * eased + _SWAY * height * math.sin(1.3 * seconds + 1),
        height,
    )


@cache
def _sharpened(name: PhotoName) -> Image:
    """A photograph after an unsharp mask of one pixel, because enlarging it blurs it."""
    image = read_photo(*_PHOTOS[name])
    return np.asarray(
        cv2.addWeighted(image, 1.5, cv2.GaussianBlur(image, (0, 0), 1), -0.5, 0), np.uint8
    )


def _crop(image: Image, view: CameraView, size: tuple[int, int], roll: float) -> Image:
    """Cut the view out of a photograph, rotated by `roll` and scaled to `size` (width, height)."""
    width, height = size
    scale = height / view.height
    move = cv2.getRotationMatrix2D((view.x, view.y), roll, scale)
    move[:, 2] += np.array([width / 2 - view.x, height / 2 - view.y])
    cut = cv2.warpAffine(
        image, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(cut, np.uint8)


def _encode(video: DemoVideo, path: Path) -> None:
    # Without mbtree: if the width is not a multiple of 128 px, it makes x264 write different bytes
    # for the same frames in each run.
    x264 = {"crf": str(video.crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    # bitexact: the file contains no date and no library version.
    container = av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"})
    with container:
        stream = container.add_stream("libx264", rate=FPS, options=x264)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = video.size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(draw_frames(video)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            frame.time_base = Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
