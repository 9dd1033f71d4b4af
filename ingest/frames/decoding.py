"""Decodes the sampled frames of a stream, from all of its packets or from selected ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import av
import numpy as np

from ingest.frames.container import MAX_REORDER_DEPTH, PacketReader, VideoSource
from ingest.frames.damage import DamageTracker
from ingest.frames.image_conversion import ImageConverter
from ingest.frames.interface import MediaLimits
from ingest.frames.packet_selection import PacketSelection
from registry.domain import Image

_MAX_DISORDER_S = 1
"""Times that step back by more begin anew; a decoder that sorts 16 frames steps back by less."""


class SelectionFailedError(Exception):
    """The decoder did not give what the selection of packets foresaw: decode all of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled frame, before it is known how long it stands for."""

    index: int
    time_s: float
    image: Image


@dataclass(slots=True)
class StreamSummary:
    """What is known of a stream after decoding; filled in on the way."""

    frames: int = 0
    """Damaged ones included."""
    intact_frames: int = 0
    end_s: float = 0.0
    """When the last intact frame ends: seconds from the first frame."""
    missing_s: float = 0.0
    """How much earlier the file ends than it states."""
    is_incomplete: bool = False
    """The container could not be read to its end."""
    error: str = ""
    """libav's last error message."""

    def finish(self, packets: PacketReader) -> None:
        """Take over how the file ended."""
        self.missing_s = packets.missing_s
        self.is_incomplete = bool(packets.error)
        self.error = self.error or packets.error


def decode_selected(
    source: VideoSource, selection: PacketSelection, limits: MediaLimits, summary: StreamSummary
) -> Iterator[Sample]:
    """The sampled frames, from selected packets.

    Raises:
        SelectionFailedError: the stream is damaged, or otherwise not as foreseen.
        MediaError: it is over a limit.
    """
    converter = ImageConverter(source.stream, limits)
    codec = source.stream.codec_context
    if codec.name == "h264":
        codec.reorder_depth = min(selection.reorder_depth, MAX_REORDER_DEPTH)
    numbers: dict[int | None, int] = {}
    """Of the sampled frames that are in the decoder, by presentation time."""
    expected = iter(np.sort(selection.number[selection.number >= 0]).tolist())
    packets = PacketReader(source)
    for position, packet in enumerate(chain(packets, [None])):
        if packet is not None:
            if position >= len(selection.pts) or packet.pts != selection.pts[position]:
                raise SelectionFailedError
            if not selection.decode[position]:
                continue
            if selection.number[position] >= 0:
                numbers[packet.pts] = int(selection.number[position])
        try:
            frames = codec.decode(packet)
        except av.FFmpegError as exc:
            raise SelectionFailedError from exc
        for frame in frames:
            if frame.is_corrupt:
                raise SelectionFailedError
            limits.check_pixels(frame.width, frame.height)
            number = numbers.pop(frame.pts, None)
            if number is None or frame.pts is None:
                continue
            if number != next(expected, None):
                raise SelectionFailedError
            time_s = float((frame.pts - selection.first_pts) * source.time_base)
            yield Sample(number, time_s, converter.convert(frame))
    if next(expected, None) is not None:
        raise SelectionFailedError
    summary.frames = summary.intact_frames = selection.frames
    duration = selection.last_duration or source.frame_ticks
    end = selection.last_pts - selection.first_pts + duration
    summary.end_s = float(end * source.time_base)
    summary.finish(packets)


def decode_all(
    source: VideoSource,
    every: int,
    limits: MediaLimits,
    summary: StreamSummary,
    *,
    after: int = -1,
) -> Iterator[Sample]:
    """Every `every`-th frame, from all packets. Damaged frames are counted and left out.

    `after`: frames up to this number are decoded, but not returned.

    Raises:
        MediaError: the stream is over a limit.
    """
    converter = ImageConverter(source.stream, limits)
    codec = source.stream.codec_context
    clock = FrameClock(source.time_base, source.frame_ticks)
    # A temporal unit of AV1 shows exactly one frame (AV1 7.5).
    damage = DamageTracker(each_packet_has_a_frame=codec.codec.canonical_name == "av1")
    packets = PacketReader(source)
    for position, packet in enumerate(chain(packets, [None])):
        limits.check_frames(position)
        packet_pts = packet.pts if packet is not None and source.has_presentation_times else None
        if packet is not None:
            damage.add_packet(packet_pts, is_key=packet.is_keyframe, shown=not packet.is_discard)
            if packet.is_corrupt and source.marks_corruption:
                damage.mark_damaged(packet_pts)
        try:
            frames = codec.decode(packet)
        except av.FFmpegError as exc:
            summary.error = exc.strerror or str(exc)
            if packet is not None:
                damage.mark_damaged(packet_pts)
                summary.frames += packet_pts is None
            continue
        for frame in frames:
            limits.check_pixels(frame.width, frame.height)
            frame_pts = frame.pts if source.has_presentation_times else None
            damaged, is_intact = damage.take_frame(frame_pts, is_corrupt=frame.is_corrupt)
            if not is_intact:
                summary.frames += frame_pts is None
                continue
            for pts in damaged:
                clock.skip(pts)
            index = summary.frames + len(damaged)
            summary.frames = index + 1
            summary.intact_frames += 1
            time_s = clock.advance(frame.pts if source.has_presentation_times else frame.dts)
            limits.check_duration(time_s)
            summary.end_s = clock.end(frame.duration or source.frame_ticks)
            if index % every == 0 and index > after:
                yield Sample(index, time_s, converter.convert(frame))
    summary.frames += len(damage.take_rest())
    summary.finish(packets)


class FrameClock:
    """Converts presentation times to seconds from the first frame that never decrease.

    Times are exact where the container has them. Frames without one follow each other at the
    stream's nominal rate. Where times step back by more than `_MAX_DISORDER_S` (recordings that
    were joined), the clock continues from the frame before; where by less (times in decoding
    order), it stands still.
    """

    def __init__(self, time_base: Fraction, frame_ticks: int) -> None:
        """`time_base`: seconds in a tick; `frame_ticks`: from frame to frame, 0 if not known."""
        self._time_base = time_base
        self._frame_ticks = frame_ticks or max(1, round(Fraction(1, 25) / time_base))
        self._max_disorder = _MAX_DISORDER_S / time_base
        self._origin: int | None = None
        self._latest: int | None = None
        """Ticks since the origin."""

    def skip(self, pts: int | None) -> None:
        """Note a frame that cannot be shown: it may be the first, from which time is counted."""
        if self._latest is None and pts is not None:
            self._origin = pts if self._origin is None else min(self._origin, pts)

    def advance(self, pts: int | None) -> float:
        """Move to the next frame, and return when it is shown."""
        self.skip(pts)
        latest = self._latest or 0
        following = latest + self._frame_ticks if self._latest is not None else 0
        if pts is None:
            ticks = following
        else:
            if self._origin is None or latest - (pts - self._origin) > self._max_disorder:
                self._origin = pts - following
            ticks = max(latest, pts - self._origin)
        self._latest = ticks
        return float(ticks * self._time_base)

    def end(self, duration: int) -> float:
        """When the latest frame ends; `duration` in ticks."""
        return float(((self._latest or 0) + duration) * self._time_base)
