"""Opens a file of unknown origin as a video, and as nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ingest.frames.base import MediaLimits
from ingest.frames.kinds import instead
from registry.errors import MediaError

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "gif",
    "apng",
    "mpegts",
    "mpeg",
    "flv",
    "ogg",
    "asf",
)
"""The containers that are opened: single files that hold their pictures themselves. No playlists
(hls, dash, concat), which name other files; no series of images (image2), named by a pattern."""

_STATE_THEIR_LENGTH = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf"})
"""Those whose header says how long the file should be. Elsewhere libavformat estimates it from what
is there."""

_HEADERLESS = frozenset({"mpegts", "mpeg", "flv"})
"""Those that name their streams in passing. PyAV can limit what libav decodes on opening only for
streams that a header names: a 423 kB FLV of 12,000 × 12,000 pixels took 615 MB."""

DEEPEST_REORDER = 16
"""Frames that an H.264 decoder may have to hold back to sort them (A.3.1 h, MaxDpbFrames). Opening
finds the number out by decoding; where that is not done, the largest is right, too."""

_BUFFER = 256 * 1024
"""Bytes read at once: a 20 MB file was read in 26 ms; in 27 ms with PyAV's own 32 kB."""

_NOT_PICTURES_IN_MOTION = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True)
class Source:
    """An open video file."""

    container: InputContainer
    stream: VideoStream
    time_base: Fraction
    """Seconds a tick."""
    interval: int
    """Ticks from frame to frame at the stream's own rate; 0 if it names none."""
    stated_end_s: float | None
    """When the file should end, on the clock of its packets; None if it does not say."""

    @property
    def headerless(self) -> bool:
        """The container names its streams in passing: it must not be opened with `probe`."""
        return self.container.format.name in _HEADERLESS

    @property
    def stamped(self) -> bool:
        """Packets carry presentation times. AVI's do not: it counts them in decoding order."""
        return self.container.format.name != "avi"

    @property
    def marks_damage(self) -> bool:
        """Packets that libav calls corrupt are. In MPEG-TS, seams are called so, too."""
        return self.container.format.name != "mpegts"


class _Nameless:
    """The bytes of a file without its name.

    libav guesses what a file is from its name as well (`x.m3u8` is a playlist, `a%03d.jpg` a series
    of files, `concat:a|b` a protocol). What has no name is taken for what it holds.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a video that names another file")


@contextmanager
def opened(
    file: BinaryIO,
    limits: MediaLimits,
    *,
    index: int | None = None,
    threads: int = 1,
    probe: bool = False,
) -> Iterator[Source]:
    """The video stream of a file, checked against the limits as far as its header tells.

    Args:
        index: of the stream, to open the same again; None to choose one.
        threads: of the decoder.
        probe: let libav decode the first frames, to find out what headers leave open, such as how
            many frames have to be held back to sort them. Not where `Source.headerless`.

    Raises:
        MediaError: the file is no video, or over a limit.
    """
    with _parsed(file, limits, probe=probe) as container:
        stream = _pictures(container, index)
        codec = stream.codec_context
        if codec.name == "h264" and not probe:
            codec.reorder_depth = DEEPEST_REORDER
        codec.options = {"max_pixels": str(limits.max_pixels)}
        codec.thread_count = threads
        codec.thread_type = "AUTO" if threads > 1 else "NONE"
        time_base = stream.time_base or Fraction(1, 1000)
        check_pixels(codec.width, codec.height, limits)
        check_duration(float((container.duration or 0) / av.time_base), limits)
        check_duration(float((stream.duration or 0) * time_base), limits)
        rate = stream.average_rate or stream.guessed_rate
        interval = round(1 / (rate * time_base)) if rate else 0
        yield Source(
            container=container,
            stream=stream,
            time_base=time_base,
            interval=interval,
            stated_end_s=_stated_end(container),
        )


def _parsed(file: BinaryIO, limits: MediaLimits, *, probe: bool) -> InputContainer:
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    options = {
        # Against what libav does by itself: fetch what a playlist names, read 300 formats, allocate
        # whatever a header asks for.
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(limits.max_pixels),
    }
    if not probe:
        options["codec_whitelist"] = "none"
    try:
        return av.open(
            _Nameless(file),
            mode="r",
            options=options,
            io_open=_refuse,
            metadata_errors="replace",  # a title in Latin-1 is no reason to fail
            buffer_size=_BUFFER,
        )
    except (av.FFmpegError, OSError, ValueError) as exc:
        raise MediaError(f"the file cannot be opened: {instead(head)}") from exc


def _pictures(container: InputContainer, index: int | None) -> VideoStream:
    """The stream of this index; if None, the default one, the largest of several, no cover.

    libav's own choice depends on how far it has looked into the streams.
    """
    streams = [s for s in container.streams.video if not s.disposition & _NOT_PICTURES_IN_MOTION]
    if index is not None:
        streams = [s for s in streams if s.index == index]
    decodable = [s for s in streams if _codec(s) is not None]
    if decodable:
        return max(decodable, key=_preference)
    if streams:
        raise MediaError("the video is in a codec that cannot be decoded here")
    kind = "audio only" if container.streams.audio else "without pictures"
    raise MediaError(f"the file is {kind}: no video stream in it")


def _codec(stream: VideoStream) -> VideoCodecContext | None:
    """PyAV's type leaves out that it is None where libav has no decoder."""
    return stream.codec_context


def _preference(stream: VideoStream) -> tuple[bool, int, int]:
    default = bool(stream.disposition & Disposition.default)
    return default, stream.codec_context.width * stream.codec_context.height, -stream.index


def _stated_end(container: InputContainer) -> float | None:
    if container.format.name not in _STATE_THEIR_LENGTH or not container.duration:
        return None
    # Matroska and FLV count from zero and MP4 from its first frame: the earlier end is meant.
    return float(min(0, container.start_time or 0) + container.duration) / av.time_base


class PacketReader:
    """The packets of a video stream, and how the file ended."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ends: dict[int, int] = {}
        """In ticks, by stream."""
        self.error = ""

    def __iter__(self) -> Iterator[Packet[Any]]:
        """In decoding order. An error of the container ends them: what came before it is good."""
        stream = self._source.stream
        try:
            for packet in self._source.container.demux():
                if packet.size == 0:
                    continue  # a gap of AVI, or PyAV's sign to flush: both would end the decoder
                index, start = packet.stream_index, packet.pts
                if start is None:
                    start = packet.dts or 0
                end = start + (packet.duration or 0)
                if end > self._ends.get(index, 0):
                    self._ends[index] = end
                if index == stream.index:
                    yield packet
        except IndexError:
            pass  # PyAV, at the end of a file in which streams turned up on the way
        except (av.FFmpegError, OSError) as exc:
            self.error = exc.strerror or str(exc)

    @property
    def missing_s(self) -> float:
        """Seconds between the end of all streams, sound too, and the end that the file states."""
        stated, streams = self._source.stated_end_s, self._source.container.streams
        if stated is None:
            return 0.0
        ends = (ticks * (streams[index].time_base or 0) for index, ticks in self._ends.items())
        return max(0.0, stated - float(max(ends, default=0)))


def check_pixels(width: int, height: int, limits: MediaLimits) -> None:
    """Raises `MediaError` for a picture larger than the limits allow; px."""
    if width * height > limits.max_pixels:
        raise MediaError(
            f"the video is {width} × {height} pixels large: over the limit of "
            f"{limits.max_pixels} pixels a frame"
        )


def check_duration(seconds: float, limits: MediaLimits) -> None:
    """Raises `MediaError` for a video longer than the limits allow."""
    if seconds > limits.max_duration_s:
        raise MediaError(
            f"the video is {seconds / 3600:.1f} hours long: over the limit of "
            f"{limits.max_duration_s / 3600:g} hours"
        )


def check_frames(frames: int, limits: MediaLimits) -> None:
    """Raises `MediaError` for a video of more frames than the limits allow."""
    if frames > limits.max_frames:
        raise MediaError(f"the video has over {limits.max_frames} frames: that is the limit")
