"""Decodes the sampled frames of a stream, from all of its packets or from selected ones."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.video.frame import VideoFrame

from ingest.frames.container import MAX_REORDER_DEPTH, PacketReader, VideoSource
from ingest.frames.damage import DamageTracker
from ingest.frames.image_conversion import ImageConverter
from ingest.frames.interface import MediaLimits, Sampling
from ingest.frames.packet_selection import PacketSelection
from ingest.frames.sampling import CutDetector, Schedule
from registry.domain import Image

_MAX_DISORDER_S = 1
"""Times that step back by more begin anew; a decoder that sorts 16 frames steps back by less."""

_MAX_PRIMING_S = Fraction(1, 10)
"""Sound that begins at most this much before the first frame counts as beginning with it. Encoders
put up to 48 ms in front that players skip (2,112 samples of AAC at 44.1 kHz, Apple TN2258), and
MPEG-TS delays frames until they are sorted."""


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
    """When the last intact frame ends: seconds from the beginning."""
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
    source: VideoSource,
    selection: PacketSelection,
    limits: MediaLimits,
    summary: StreamSummary,
    *,
    cuts: bool = False,
    audio_s: Fraction | None = None,
) -> Iterator[Sample]:
    """The sampled frames, from selected packets.

    Args:
        source: the open file.
        selection: the packets.
        limits: what is refused.
        summary: is filled in.
        cuts: whether frames behind cuts are sampled.
        audio_s: when the sound begins, on the clock of the packets.

    Raises:
        SelectionFailedError: the stream is damaged, or otherwise not as foreseen.
        MediaError: it is over a limit.
    """
    converter = ImageConverter(source.stream, limits)
    codec = source.stream.codec_context
    if codec.name == "h264":
        codec.reorder_depth = min(selection.reorder_depth, MAX_REORDER_DEPTH)
    detector = CutDetector() if cuts else None
    wanted = selection.candidates if cuts else selection.due
    positions: dict[int | None, int] = {}
    """Of the packets of wanted frames that are in the decoder, by presentation time."""
    expected = iter(np.sort(selection.number[wanted]).tolist())
    clock = FrameClock(source.time_base, source.frame_ticks, audio_s)
    clock.skip(selection.first_pts)
    packets = PacketReader(source)
    for position, packet in enumerate(chain(packets, [None])):
        if packet is not None:
            if position >= len(selection.pts) or packet.pts != selection.pts[position]:
                raise SelectionFailedError
            if not selection.decode[position]:
                continue
            if wanted[position]:
                positions[packet.pts] = position
        try:
            frames = codec.decode(packet)
        except av.FFmpegError as exc:
            raise SelectionFailedError from exc
        for frame in frames:
            if frame.is_corrupt:
                raise SelectionFailedError
            limits.check_pixels(frame.width, frame.height)
            selected = positions.pop(frame.pts, None)
            if selected is None or frame.pts is None:
                continue
            number = int(selection.number[selected])
            if number != next(expected, None):
                raise SelectionFailedError
            sampled = bool(selection.due[selected])
            if detector is not None:
                sampled = detector.update(converter.preview(frame), due=sampled)
            if sampled:
                yield Sample(number, clock.advance(frame.pts), converter.convert(frame))
    if next(expected, None) is not None:
        raise SelectionFailedError
    summary.frames = summary.intact_frames = selection.frames
    duration = selection.last_duration or source.frame_ticks
    clock.advance(selection.last_pts)
    summary.end_s = clock.end(duration)
    summary.finish(packets)


def decode_all(
    source: VideoSource,
    sampling: Sampling,
    limits: MediaLimits,
    summary: StreamSummary,
    *,
    after: int = -1,
    candidates: Container[int] | None = None,
    audio_s: Fraction | None = None,
) -> Iterator[Sample]:
    """The sampled frames, from all packets. Damaged frames are counted and left out.

    Args:
        source: the open file.
        sampling: which frames are sampled.
        limits: what is refused.
        summary: is filled in.
        after: frames up to this number are decoded, but not returned.
        candidates: numbers of the frames before which cuts are looked for; None: all. With those
            of a selection, the frames are the same as from selected packets.
        audio_s: when the sound begins, on the clock of the packets.

    Raises:
        MediaError: the stream is over a limit.
    """
    converter = ImageConverter(source.stream, limits)
    schedule = Schedule(sampling, source.time_base)
    detector = CutDetector() if sampling.cuts else None
    held: _Held | None = None

    def is_sampled(frame: _Held, following: int) -> bool:
        sampled = schedule.is_due(frame.index, frame.ticks, following)
        if detector is not None and (candidates is None or frame.index in candidates):
            sampled = detector.update(converter.preview(frame.picture), due=sampled)
        return sampled and frame.index > after

    for frame in _decode_intact(source, limits, summary, audio_s):
        if held is not None and is_sampled(held, frame.ticks):
            yield Sample(held.index, held.time_s, converter.convert(held.picture))
        held = frame
    if held is not None and is_sampled(held, held.end):
        yield Sample(held.index, held.time_s, converter.convert(held.picture))


@dataclass(frozen=True, slots=True)
class _Held:
    """A decoded frame that is not converted yet."""

    index: int
    ticks: int
    """When it is shown, from the first frame."""
    end: int
    """When it ends if no other frame follows, in ticks."""
    time_s: float
    picture: VideoFrame


def _decode_intact(
    source: VideoSource,
    limits: MediaLimits,
    summary: StreamSummary,
    audio_s: Fraction | None,
) -> Iterator[_Held]:
    """The frames that are not damaged."""
    codec = source.stream.codec_context
    clock = FrameClock(source.time_base, source.frame_ticks, audio_s)
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
            duration = frame.duration or source.frame_ticks
            summary.end_s = clock.end(duration)
            yield _Held(index, clock.ticks, clock.ticks + duration, time_s, frame)
    summary.frames += len(damage.take_rest())
    summary.finish(packets)


class FrameClock:
    """Converts presentation times to seconds from the beginning that never decrease.

    A player begins with the first frame, wherever the clock of the stream stands then, or with the
    sound if that begins earlier.

    Times are exact where the container has them. Frames without one follow each other at the
    stream's nominal rate. Where times step back by more than `_MAX_DISORDER_S` (recordings that
    were joined), the clock continues from the frame before; where by less (times in decoding
    order), it stands still.
    """

    def __init__(
        self, time_base: Fraction, frame_ticks: int, audio_s: Fraction | None = None
    ) -> None:
        """Before the first frame.

        Args:
            time_base: seconds in a tick.
            frame_ticks: from frame to frame, 0 if not known.
            audio_s: when the sound begins, in seconds; None if there is none.
        """
        self._time_base = time_base
        self._frame_ticks = frame_ticks or max(1, round(Fraction(1, 25) / time_base))
        self._max_disorder = _MAX_DISORDER_S / time_base
        self._origin: int | None = None
        self._latest: int | None = None
        """Ticks since the origin."""
        self._audio_s = audio_s
        self._late_s = Fraction(0)
        """Seconds of sound before the first frame."""

    @property
    def ticks(self) -> int:
        """When the latest frame is shown, in ticks from the first."""
        return self._latest or 0

    def skip(self, pts: int | None) -> None:
        """Note a frame that cannot be shown: it may be the first, from which time is counted."""
        if self._latest is None and pts is not None:
            self._origin = pts if self._origin is None else min(self._origin, pts)

    def advance(self, pts: int | None) -> float:
        """Move to the next frame, and return when it is shown."""
        self.skip(pts)
        if self._latest is None and self._origin is not None and self._audio_s is not None:
            late_s = self._origin * self._time_base - self._audio_s
            self._late_s = late_s if late_s > _MAX_PRIMING_S else Fraction(0)
        latest = self._latest or 0
        following = latest + self._frame_ticks if self._latest is not None else 0
        if pts is None:
            ticks = following
        else:
            if self._origin is None or latest - (pts - self._origin) > self._max_disorder:
                self._origin = pts - following
            ticks = max(latest, pts - self._origin)
        self._latest = ticks
        return float(ticks * self._time_base + self._late_s)

    def end(self, duration: int) -> float:
        """When the latest frame ends; `duration` in ticks."""
        return float((self.ticks + duration) * self._time_base + self._late_s)
