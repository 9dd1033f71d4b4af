"""Real videos for tests, written with PyAV: small, quick, and each frame can tell its number."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import OutputContainer
from av.video.stream import VideoStream

from registry.domain import Image

Colour = tuple[int, int, int]
"""Blue, green, red: 0 to 255."""

_BITS, _BLOCK = 10, 8
"""A frame's number is written into its top edge: ten blocks of 8 × 16 px, black or white."""

_QUICK: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "veryfast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}
"""What makes an encoder quick and quiet; the caller's options are added."""


def write_video(
    path: Path,
    pictures: Iterable[Image] | Callable[[int], Colour],
    *,
    frames: int | None = None,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    fps: int | Fraction = 30,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    hflip: bool = False,
    pix_fmt: str = "yuv420p",
    pixel_shape: Fraction | None = None,
    colour_range: int | None = None,
    colour_space: int | None = None,
    options: Mapping[str, str] | None = None,
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
    audio_s: float = 0.0,
) -> Path:
    """Encode pictures into a video file; skip the test by name if the encoder is not built in.

    Args:
        path: the file; its suffix chooses the container, unless `container` does.
        pictures: BGR images of one size, or a function from frame number to one colour.
        frames: how many; all images, or 30 flat colours, if not told.
        size: width and height of flat colours, px.
        times: presentation time of each frame in ticks of `time_base`; one tick a frame if None.
        rotation: degrees by which players turn the picture counterclockwise (display matrix).
        hflip: whether they mirror it, too.
        pixel_shape: width of a pixel by its height.
        colour_range: 1 limited, 2 full (libav's numbers).
        colour_space: 1 BT.709, 5 BT.601 (libav's numbers).
        options: of the encoder.
        audio_s: seconds of silence beside the pictures; no audio stream if 0.
    """
    require_encoder(codec, pix_fmt)
    if callable(pictures):
        pictures, frames = _flat(pictures, size), 30 if frames is None else frames
    images = islice(pictures, frames)
    first = next(images)
    with (
        _scheduled_as_before(),
        av.open(str(path), "w", format=container, options=dict(container_options or {})) as file,
    ):
        stream = file.add_stream(codec, rate=fps, options=_options(codec, options or {}))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        base = time_base or 1 / Fraction(fps)
        context = stream.codec_context
        context.time_base = base
        if pixel_shape is not None:
            context.sample_aspect_ratio = pixel_shape
        context.color_range = colour_range or 0
        context.colorspace = colour_space or 2
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip)
        sound = file.add_stream("aac", rate=16_000, layout="mono") if audio_s else None
        for number, image in enumerate(chain([first], images)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            if colour_range or colour_space:
                frame = frame.reformat(
                    format=pix_fmt,
                    src_color_range=2,
                    dst_color_range=colour_range or 1,
                    dst_colorspace=colour_space or 5,
                )
            frame.pts = number if times is None else times[number]
            frame.time_base = base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            _write_silence(file, sound, audio_s)
    return path


def remuxed(
    source: Path,
    target: Path,
    *,
    shift: int = 0,
    presentation: bool = True,
    options: dict[str, str] | None = None,
) -> None:
    """Copy the packets of a video of 30 frames a second to another container, undecoded.

    Args:
        shift: frames by which they are shown later; with `avoid_negative_ts=disabled` among the
            muxer's `options`, MP4 cuts away by an edit list what comes before zero.
        presentation: False puts decoding times where presentation times belong.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        assert stream.time_base is not None
        ticks = round(shift / (30 * stream.time_base))
        for packet in old.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            packet.dts += ticks
            packet.pts = packet.pts + ticks if presentation else packet.dts
            packet.stream = copy
            new.mux(packet)


def require_encoder(codec: str, pix_fmt: str = "") -> None:
    """Skip the test, by name, if this build of PyAV cannot write the codec in these pixels."""
    try:
        formats = Codec(codec, "w").video_formats
    except av.FFmpegError:
        pytest.skip(f"PyAV is built without the encoder {codec}")
    if pix_fmt and formats and pix_fmt not in {known.name for known in formats}:
        pytest.skip(f"PyAV is built with an encoder {codec} that does not write {pix_fmt}")


def numbered(frames: int, size: tuple[int, int] = (96, 64), *, seed: int = 0) -> Iterator[Image]:
    """Textured pictures that pan, cut now and then, and carry their number: see `number_of`.

    `size`: width and height in px, at least 80 × 32.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    sheets = [_texture(rng, width + 64, height + 64) for _ in range(3)]
    for number in range(frames):
        sheet = sheets[number // 23 % len(sheets)]
        x, y = 2 * number % 64, number % 64
        image = sheet[y : y + height, x : x + width].copy()
        for bit in range(_BITS):
            image[:16, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 * (number >> bit & 1)
        yield image


def another_file(video: bytes, number: int) -> bytes:
    """The bytes of an MP4 file with the same pictures, and another content: a box of free space."""
    box = b"free" + number.to_bytes(8, "big")
    return video + (len(box) + 4).to_bytes(4, "big") + box


def number_of(image: Image) -> int:
    """The number that a picture of `numbered` carries, after any lossy encoding."""
    strip = image[4:12, : _BITS * _BLOCK].mean(axis=(0, 2)).reshape(_BITS, _BLOCK)
    return sum(int(bright > 127) << bit for bit, bright in enumerate(strip[:, 2:-2].mean(axis=1)))


def _texture(rng: np.random.Generator, width: int, height: int) -> Image:
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def _flat(colour: Callable[[int], Colour], size: tuple[int, int]) -> Iterator[Image]:
    number = 0
    while True:
        yield np.full((size[1], size[0], 3), colour(number), dtype=np.uint8)
        number += 1


@contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """SVT-AV1 makes the thread that calls it a real-time one where it may, which is as root.

    It stays one, and so does every process that it starts: any that spins then stops all others.
    """
    if sys.platform == "linux":
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        try:
            yield
        finally:
            if os.sched_getscheduler(0) != policy:
                os.sched_setscheduler(0, policy, parameters)
    else:
        yield


def _options(codec: str, given: Mapping[str, str]) -> dict[str, str]:
    options = dict(_QUICK.get(codec, {}))
    for name, value in given.items():
        joined = name.endswith("-params") and name in options
        options[name] = f"{options[name]}:{value}" if joined else value
    return options


def _write_silence(file: OutputContainer, stream: AudioStream, seconds: float) -> None:
    samples = np.zeros((1, 1024), dtype=np.float32)
    for start in range(0, int(16_000 * seconds), 1024):
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
