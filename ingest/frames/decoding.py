"""Decodes a stream: all of it, or the packets of a plan. Both give the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import av
from av.packet import Packet

from ingest.frames.base import MediaLimits
from ingest.frames.clock import Clock
from ingest.frames.container import (
    DEEPEST_REORDER,
    Source,
    check_duration,
    check_frames,
    check_pixels,
)
from ingest.frames.damage import Damage
from ingest.frames.picture import Developer
from ingest.packets.h264 import H264Headers
from ingest.packets.hevc import HevcHeaders
from ingest.packets.nal import Headers, Unproven
from ingest.packets.plan import Plan, Survey
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


class _Packets:
    """The packets of a video stream, and how the file ended."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._end_s = 0.0
        self.error = ""

    def __iter__(self) -> Iterator[Packet[Any]]:
        """In decoding order. An error of the container ends them: what came before it is good."""
        stream = self._source.stream
        try:
            for packet in self._source.container.demux():
                if packet.size == 0:
                    continue  # a gap of AVI, or PyAV's sign to flush: both would end the decoder
                self._note_end(packet)
                if packet.stream_index == stream.index:
                    yield packet
        except IndexError:
            pass  # PyAV, at the end of a file in which streams turned up on the way
        except (av.FFmpegError, OSError) as exc:
            self.error = exc.strerror or str(exc)

    def _note_end(self, packet: Packet[Any]) -> None:
        start = packet.dts if packet.pts is None else packet.pts
        if start is not None:
            end = (start + (packet.duration or 0)) * packet.time_base
            self._end_s = max(self._end_s, float(end))

    @property
    def missing_s(self) -> float:
        """Seconds between the end of all streams, sound too, and the end that the file states."""
        stated = self._source.stated_end_s
        return 0.0 if stated is None else max(0.0, stated - self._end_s)


def survey(source: Source, every: int, limits: MediaLimits) -> Plan | None:
    """Which packets of a stream have to be decoded; None if that cannot be told for certain."""
    headers: Headers
    codec = source.stream.codec_context
    try:
        if codec.name == "h264":
            headers = H264Headers(codec.extradata or b"")
        elif codec.name == "hevc":
            headers = HevcHeaders(codec.extradata or b"")
        else:
            return None
        found = Survey()
        for packet in _Packets(source):
            if packet.is_corrupt or packet.has_sidedata("new_extradata"):
                raise Unproven("a packet that is damaged, or changes the decoder's parameters")
            unit = headers.read(bytes(packet))
            found.add(unit, packet.pts, packet.duration or 0, shown=not packet.is_discard)
            check_frames(len(found), limits)
        plan = found.plan(every)
    except Unproven:
        return None
    check_duration(float((plan.last - plan.first) * source.time_base), limits)
    return plan


def planned(
    source: Source, plan: Plan, every: int, limits: MediaLimits, found: Findings
) -> Iterator[Sample]:
    """Every `every`-th frame of a stream, decoding the packets of a plan only.

    Raises:
        Surprise: the stream is damaged, or otherwise not as the plan foresaw.
        MediaError: it is over a limit.
    """
    developer = Developer(source.stream, limits)
    codec = source.stream.codec_context
    if codec.name == "h264":
        codec.reorder_depth = min(plan.reorder, DEEPEST_REORDER)
    waiting: dict[int | None, int] = {}
    due = 0
    packets = _Packets(source)
    for position, packet in enumerate(chain(packets, [None])):
        if packet is not None:
            if position >= len(plan.pts) or packet.pts != plan.pts[position]:
                raise Surprise
            if not plan.feed[position]:
                continue
            if plan.number[position] >= 0:
                waiting[packet.pts] = int(plan.number[position])
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
            if index != due:
                raise Surprise
            due += every
            time_s = float((frame.pts - plan.first) * source.time_base)
            yield Sample(index, time_s, developer.develop(frame))
    if due < plan.frames:
        raise Surprise
    found.frames = found.sound = plan.frames
    end = plan.last - plan.first + (plan.duration or source.interval)
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
    packets = _Packets(source)
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


def _note_end(found: Findings, packets: _Packets) -> None:
    found.missing_s = packets.missing_s
    found.broke_off = bool(packets.error)
    found.error = found.error or packets.error
