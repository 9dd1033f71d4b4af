"""Decodes a stream: all of it, or the packets of a selection. Both give the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import av
import numpy as np

from ingest.frames.base import MediaLimits
from ingest.frames.clock import Clock
from ingest.frames.container import (
    DEEPEST_REORDER,
    PacketReader,
    Source,
    check_duration,
    check_frames,
    check_pixels,
)
from ingest.frames.damage import Damage
from ingest.frames.packet_selection import PacketSelection
from ingest.frames.picture import Developer
from registry.domain import Image


class Surprise(Exception):
    """The decoder does not do what was foreseen: decode in full, on one thread."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled frame, before it is known how long it stands for."""

    index: int
    time_s: float
    image: Image


@dataclass(slots=True)
class Findings:
    """What one pass through a stream found; complete at its end."""

    frames: int = 0
    """Damaged ones included."""
    sound: int = 0
    end_s: float = 0.0
    """When the last sound frame ends: seconds from the first."""
    missing_s: float = 0.0
    """How much earlier the file ends than it states; 0 if it does not."""
    broke_off: bool = False
    """The container could not be read to its end."""
    error: str = ""
    """The last thing that libav had to say."""


def decode_selected(
    source: Source, selection: PacketSelection, limits: MediaLimits, found: Findings
) -> Iterator[Sample]:
    """The sampled frames of a stream, decoding selected packets only.

    Raises:
        Surprise: the stream is damaged, or otherwise not as the selection foresaw.
        MediaError: it is over a limit.
    """
    developer = Developer(source.stream, limits)
    codec = source.stream.codec_context
    if codec.name == "h264":
        codec.reorder_depth = min(selection.reorder_depth, DEEPEST_REORDER)
    waiting: dict[int | None, int] = {}
    numbers = iter(np.sort(selection.number[selection.number >= 0]).tolist())
    packets = PacketReader(source)
    for position, packet in enumerate(chain(packets, [None])):
        if packet is not None:
            if position >= len(selection.pts) or packet.pts != selection.pts[position]:
                raise Surprise
            if not selection.decode[position]:
                continue
            if selection.number[position] >= 0:
                waiting[packet.pts] = int(selection.number[position])
        try:
            frames = codec.decode(packet)
        except av.FFmpegError as exc:
            raise Surprise from exc
        for frame in frames:
            if frame.is_corrupt:
                raise Surprise
            check_pixels(frame.width, frame.height, limits)
            index = waiting.pop(frame.pts, None)
            if index is None or frame.pts is None:
                continue
            if index != next(numbers, None):
                raise Surprise
            time_s = float((frame.pts - selection.first_pts) * source.time_base)
            yield Sample(index, time_s, developer.develop(frame))
    if next(numbers, None) is not None:
        raise Surprise
    found.frames = found.sound = selection.frames
    end = selection.last_pts - selection.first_pts + (selection.last_duration or source.interval)
    found.end_s = float(end * source.time_base)
    _note_end(found, packets)


def in_full(
    source: Source,
    every: int,
    limits: MediaLimits,
    found: Findings,
    *,
    after: int = -1,
    strict: bool = False,
) -> Iterator[Sample]:
    """Every `every`-th frame of a stream, decoding all of it; damaged frames are passed over.

    Args:
        after: frames up to this index are decoded, but not given again.
        strict: give up at the first damage. With several threads, errors come late: they name
            another packet than the damaged one.

    Raises:
        Surprise: the stream is damaged, and `strict`.
        MediaError: it is over a limit.
    """
    developer = Developer(source.stream, limits)
    codec = source.stream.codec_context
    clock = Clock(source.time_base, source.interval)
    # A temporal unit of AV1 shows exactly one frame (AV1 7.5).
    damage = Damage(one_each=codec.codec.canonical_name == "av1")
    packets = PacketReader(source)
    for position, packet in enumerate(chain(packets, [None])):
        check_frames(position, limits)
        entering = packet.pts if packet is not None and source.stamped else None
        if packet is not None:
            damage.enter(entering, key=packet.is_keyframe, shown=not packet.is_discard)
            if packet.is_corrupt and source.marks_damage:
                damage.hit(entering)
        try:
            frames = codec.decode(packet)
        except av.FFmpegError as exc:
            if strict:
                raise Surprise from exc
            found.error = exc.strerror or str(exc)
            if packet is not None:
                damage.hit(entering)
                found.frames += entering is None
            continue
        for frame in frames:
            check_pixels(frame.width, frame.height, limits)
            leaving = frame.pts if source.stamped else None
            lost, sound = damage.leave(leaving, corrupt=frame.is_corrupt)
            if not sound:
                if strict:
                    raise Surprise
                found.frames += leaving is None
                continue
            for pts in lost:
                clock.lost(pts)
            index = found.frames + len(lost)
            found.frames = index + 1
            found.sound += 1
            time_s = clock.at(frame.pts if source.stamped else frame.dts)
            check_duration(time_s, limits)
            found.end_s = clock.end(frame.duration or source.interval)
            if index % every == 0 and index > after:
                yield Sample(index, time_s, developer.develop(frame))
    found.frames += len(damage.rest())
    _note_end(found, packets)


def _note_end(found: Findings, packets: PacketReader) -> None:
    found.missing_s = packets.missing_s
    found.broke_off = bool(packets.error)
    found.error = found.error or packets.error
