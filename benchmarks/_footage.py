"""Videos for the benchmark of footage: real clips, what can be made of them, and copies of them.

A source is one take, or one photograph. Two videos are the same footage if they share a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream

from registry.domain import Image

SIGNERS: Mapping[str, Sequence[str]] = {
    "A": ("again", "brother", "help", "no", "student", "yes"),
    "B": ("bird", "milk", "please", "sorry", "thanks"),
    "C": ("book", "learn", "school", "walk"),
    "D": ("eat", "night", "sister"),
    "E": ("hungry", "want"),
}
"""The clips of each of five people, one camera and one wall for all."""

JOINED: Mapping[str, str] = {
    "long_A1": "again brother help",
    "long_A2": "no student yes",
    "long_B1": "bird milk",
    "long_B2": "please sorry thanks",
    "long_C1": "book learn",
    "long_C2": "school walk",
    "long_D1": "eat night",
    "reel_A": "again brother help no student yes",
    "reel_B": "bird milk please sorry thanks",
    "reel_C": "book learn school walk",
    "reel_D": "eat night sister",
    "talk_AB1": "again bird help milk",
    "talk_AB2": "no please yes sorry",
    "talk_CD1": "book eat learn",
    "talk_CD2": "school night walk",
}
"""Clips one after the other: of one person, and of two who take turns, as in an interview."""

BESIDE: Mapping[str, tuple[str, str]] = {
    "two_AC1": ("again", "book"),
    "two_AC2": ("yes", "learn"),
    "two_BD1": ("please", "sister"),
    "two_BD2": ("sorry", "night"),
}
"""Two clips side by side in one frame."""

OTHERS: Mapping[str, tuple[str, float]] = {
    "gif_walk": ("face-demographics-walking-and-pause.gif", 12.5),
    "gif_fm": ("head-pose-face-detection-female-and-male.gif", 12.5),
    "gif_m": ("head-pose-face-detection-male.gif", 12.5),
    "hamilton": ("short_hamilton_clip.mp4", 29.97),
}
"""Files with their frames a second."""

FPS = 30.0
_SLOWER = 3
INTRO_FRAMES = 60


@dataclass(frozen=True, slots=True)
class Base:
    """A video to make copies of."""

    name: str
    frames: Callable[[], list[Image]]
    sources: frozenset[str]
    fps: float = FPS
    speed: float = 1.0

    @property
    def short(self) -> bool:
        """Whether it is a clip of two seconds."""
        return self.name.startswith("short")


@dataclass(frozen=True, slots=True)
class Copy:
    """What is done to a video: filters of FFmpeg, and how it is encoded."""

    filters: str = ""
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=lambda: {"crf": "18"})


ORIGINAL = Copy()
COPIES: Mapping[str, Copy] = {
    "low bit rate (x264, CRF 30)": Copy(options={"crf": "30"}),
    "very low bit rate (CRF 38)": Copy(options={"crf": "38"}),
    "other codec (VP9, 250 kbit/s)": Copy(
        codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "b": "250k"}
    ),
    "25 frames a second": Copy("fps=25"),
    "scaled to three quarters": Copy("scale=-2:ih*0.75"),
    "cropped by 10 %": Copy("crop=iw*0.9:ih*0.9:iw*0.03:ih*0.04"),
    "cropped by 20 %": Copy("crop=iw*0.8:ih*0.8:iw*0.12:ih*0.06"),
    "mirrored": Copy("hflip"),
    "letterboxed": Copy("pad=iw:ih*1.4:0:ih*0.2"),
    "cropped, scaled, 25 fps, CRF 28": Copy(
        "crop=iw*0.9:ih*0.9:iw*0.05:ih*0.03,scale=-2:360,fps=25", options={"crf": "28"}
    ),
    "the same, CRF 33": Copy(
        "crop=iw*0.9:ih*0.9:iw*0.05:ih*0.03,scale=-2:360,fps=25", options={"crf": "33"}
    ),
}
THIRD, INTRO = "middle third", "middle third after an intro"
QUICK = ("25 frames a second", "cropped by 20 %", "mirrored")
"""The copies that are made of short clips."""


def bases(data: Path) -> Iterator[Base]:
    """The videos of `data/videos`, and what is put together from them."""

    @cache
    def clip(name: str) -> list[Image]:
        return frames_of(data / "videos" / "asl_gestures" / f"{name}.mkv")

    def joined(names: Sequence[str], times: int = 1) -> Callable[[], list[Image]]:
        return lambda: [frame for name in names for frame in clip(name) for _ in range(times)]

    def beside(one: str, other: str) -> Callable[[], list[Image]]:
        return lambda: [
            np.concatenate(pair, axis=1) for pair in zip(clip(one), clip(other), strict=False)
        ]

    for signer, names in SIGNERS.items():
        for name in names:
            yield Base(f"short_{signer}_{name}", joined([name]), frozenset({name}))
        for name in names[:3]:
            slow = joined([name], _SLOWER)
            yield Base(f"slow_{signer}_{name}", slow, frozenset({name}), speed=1 / _SLOWER)
    for title, text in JOINED.items():
        yield Base(title, joined(text.split()), frozenset(text.split()))
    for title, two in BESIDE.items():
        yield Base(title, beside(*two), frozenset(two))
    for title, (file, fps) in OTHERS.items():
        path = data / "videos" / file
        yield Base(title, partial(frames_of, path), frozenset({title}), fps)


def frames_of(path: Path) -> list[Image]:
    """All frames of a video, BGR uint8."""
    with av.open(str(path)) as file:
        return [
            frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
            for frame in file.decode(file.streams.video[0])
        ]


def middle_third(frames: Sequence[Image]) -> list[Image]:
    """As a cut-down has it."""
    third = len(frames) // 3
    return list(frames[third : 2 * third])


def introduced(frames: Sequence[Image], intro: Sequence[Image]) -> list[Image]:
    """The frames after two seconds of something else, brought to their size."""
    height, width = frames[0].shape[:2]
    resized = [cv2.resize(frame, (width, height)).astype(np.uint8) for frame in intro]
    return [*resized[:INTRO_FRAMES], *frames]


def slides(photos: Sequence[Path], seconds: float, *, zoom: float = 0.0) -> list[Image]:
    """Photographs one after the other, each of them still, or slowly enlarged by `zoom`."""
    shown: list[Image] = []
    for path in photos:
        photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if photo is None:
            raise SystemExit(f"{path} is not an image.")
        photo = cv2.resize(photo, (480, 480), interpolation=cv2.INTER_CUBIC)
        count = round(seconds * FPS)
        for number in range(count):
            scale = 1 + zoom * number / count
            turn = cv2.getRotationMatrix2D((240, 240), 0, scale)
            shown.append(cv2.warpAffine(photo, turn, (480, 480)).astype(np.uint8))
    return shown


def write(path: Path, frames: Sequence[Image], fps: float, copy: Copy = ORIGINAL) -> Path:
    """Encode frames as a video; nothing happens if it is there."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    height, width = frames[0].shape[:2]
    graph = _graph(copy.filters, width, height)
    with av.open(str(aside), "w") as file:
        writer = _Writer(file, graph, copy)
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            frame.pts, frame.time_base = round(1000 * number / fps), _MILLISECOND
            graph.push(frame)
            writer.drain()
        graph.push(None)
        writer.drain()
        writer.close()
    aside.rename(path)
    return path


_MILLISECOND = Fraction(1, 1000)


def _graph(filters: str, width: int, height: int) -> Graph:
    graph = Graph()
    pixels = av.VideoFormat("bgr24", width, height)
    last = graph.add_buffer(width=width, height=height, format=pixels, time_base=_MILLISECOND)
    even = "crop=floor(iw/2)*2:floor(ih/2)*2,format=yuv420p"
    for part in filter(None, [*filters.split(","), *even.split(",")]):
        name, _, arguments = part.partition("=")
        following = graph.add(name, arguments or None)
        last.link_to(following)
        last = following
    last.link_to(sink := graph.add("buffersink"))
    assert sink is not None
    graph.configure()
    return graph


class _Writer:
    """What comes out of a graph, encoded."""

    def __init__(self, file: av.container.OutputContainer, graph: Graph, copy: Copy) -> None:
        self._file, self._graph, self._copy = file, graph, copy
        self._stream: VideoStream | None = None

    def drain(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            assert frame.pts is not None
            assert frame.time_base is not None
            if self._stream is None:
                self._stream = self._opened(frame)
            frame.pts = round(float(frame.pts * frame.time_base) * 1000)
            frame.time_base = _MILLISECOND
            self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        assert self._stream is not None
        self._file.mux(self._stream.encode(None))

    def _opened(self, frame: av.VideoFrame) -> VideoStream:
        quick = {"preset": "veryfast"} if self._copy.codec == "libx264" else {}
        options = {"threads": "1", **quick, **self._copy.options}
        stream = self._file.add_stream(self._copy.codec, rate=30, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        stream.codec_context.time_base = _MILLISECOND
        return stream
