"""Opens a file of unknown origin as a video, and reads its packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ingest.frames.file_format import describe_non_video
from ingest.frames.interface import MediaLimits
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
    "mxf",
)
"""libavformat's names of the containers that are opened. Each is a single file that holds its
pictures: playlists (hls, dash, concat) and image series (image2) name other files."""

_FORMATS_WITH_DURATION = frozenset(
    {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf"}
)
"""Those whose header states the duration. For the others, libavformat estimates it from the data
that is there."""

_FORMATS_WITHOUT_HEADER = frozenset({"mpegts", "mpeg", "flv"})
"""Those that announce their streams between the packets. PyAV passes options to the decoder that
libav uses on opening only for streams that a header announces, so there `max_pixels` has no effect
(docs/BENCHMARKS.md, "Memory of a decoder")."""

MAX_REORDER_DEPTH = 16
"""Pictures that an H.264 decoder may have to hold back to sort them (A.3.1 h, MaxDpbFrames). libav
learns the number on opening, by decoding; without that, the largest gives the same order."""

_BUFFER_BYTES = 256 * 1024
"""Bytes read at once. Larger buffers are no faster (docs/BENCHMARKS.md, "Decoding")."""

_COUNTED_PACKETS = 1000
"""Packets by which streams of one picture are told from others: some seconds of a file."""

_NOT_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True)
class VideoSource:
    """An open video file."""

    container: InputContainer
    stream: VideoStream
    time_base: Fraction
    """Seconds in a tick, the unit of the stream's times."""
    frame_ticks: int
    """Ticks from frame to frame at the stream's nominal rate; 0 if it states none."""
    stated_end_s: float | None
    """When the file should end, on the clock of its packets; None if it does not state it."""

    stated_duration_s: float
    """By the header; 0 if it states none. Matroska and FLV count from zero instead of from the time
    of the first packet."""

    @property
    def has_header(self) -> bool:
        """The container announces its streams in a header; do not `probe` others."""
        return self.container.format.name not in _FORMATS_WITHOUT_HEADER

    @property
    def has_presentation_times(self) -> bool:
        """Packets have presentation times. Those of AVI only count packets in decoding order."""
        return self.container.format.name != "avi"

    @property
    def marks_corruption(self) -> bool:
        """What libav marks as corrupt is. In MPEG-TS it also marks where two recordings meet."""
        return self.container.format.name != "mpegts"

    @property
    def has_several_streams(self) -> bool:
        """There is more than one video stream, not counting covers."""
        return len(_video_streams(self.container)) > 1


class _UnnamedFile:
    """A file without its name.

    libav also guesses from the name what a file is (`x.m3u8` is a playlist, `a%03d.jpg` a series of
    files, `concat:a|b` a protocol). Without one, only the content counts.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("a video that names another file")


@contextmanager
def open_video(
    file: BinaryIO, limits: MediaLimits, *, index: int | None = None, probe: bool = False
) -> Iterator[VideoSource]:
    """Open the video stream of a file, and check the size that its headers state.

    Args:
        file: open for reading; not closed.
        limits: what is refused.
        index: the stream, to open the same one again; None to choose one.
        probe: let libav decode the first frames to learn what headers leave open, such as how many
            frames have to be held back to sort them. Only if `VideoSource.has_header`.

    Raises:
        MediaError: the file is not a video, or over a limit.
    """
    with _open_container(file, limits, probe=probe) as container:
        stream = _choose_stream(container, index)
        codec = stream.codec_context
        if codec.name == "h264" and not probe:
            codec.reorder_depth = MAX_REORDER_DEPTH
        codec.options = {"max_pixels": str(limits.max_pixels)}
        codec.thread_count = 1  # docs/BENCHMARKS.md, "Decoding"
        codec.thread_type = "NONE"
        time_base = stream.time_base or Fraction(1, 1000)
        limits.check_pixels(codec.width, codec.height)
        rate = stream.average_rate or stream.guessed_rate
        yield VideoSource(
            container=container,
            stream=stream,
            time_base=time_base,
            frame_ticks=round(1 / (rate * time_base)) if rate else 0,
            stated_end_s=_stated_end(container),
            stated_duration_s=max(
                (container.duration or 0) / av.time_base, float((stream.duration or 0) * time_base)
            ),
        )


def choose_moving_stream(file: BinaryIO, limits: MediaLimits) -> int:
    """The index of the stream to read of a file with several.

    A stream of one picture, such as a title card that Matroska does not mark as a cover, is chosen
    only if no other has more among the first packets.
    """
    with open_video(file, limits) as source:
        chosen, packets = source.stream, PacketReader(source).iterate_all()
        counts = Counter(packet.stream_index for packet in islice(packets, _COUNTED_PACKETS))
        streams = _decodable(_video_streams(source.container))
        moving = [stream for stream in streams if counts[stream.index] > 1]
        return max(moving, key=_preference).index if moving else chosen.index


def _open_container(file: BinaryIO, limits: MediaLimits, *, probe: bool) -> InputContainer:
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    options = {
        # By itself, libav downloads what a playlist names, opens 300 formats, and allocates
        # whatever a header asks for.
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(limits.max_pixels),
    }
    if not probe:
        options["codec_whitelist"] = "none"
    try:
        return av.open(
            _UnnamedFile(file),
            mode="r",
            options=options,
            io_open=_refuse_to_open,
            metadata_errors="replace",  # titles may be in any encoding
            buffer_size=_BUFFER_BYTES,
        )
    except (av.FFmpegError, OSError, ValueError) as exc:
        raise MediaError(f"the file cannot be opened: {describe_non_video(head)}") from exc


def _choose_stream(container: InputContainer, index: int | None) -> VideoStream:
    """The stream of this index; if None, the default one, or else the largest; never a cover.

    libav's own choice depends on how much of the streams it has read.
    """
    streams = _video_streams(container)
    if index is not None:
        streams = [s for s in streams if s.index == index]
    decodable = _decodable(streams)
    if decodable:
        return max(decodable, key=_preference)
    if streams:
        raise MediaError("the video's codec is not supported")
    if container.streams.audio:
        raise MediaError("the file has audio only, no video stream")
    raise MediaError("the file has no video stream")


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """All but covers."""
    return [s for s in container.streams.video if not s.disposition & _NOT_VIDEO]


def _decodable(streams: Iterable[VideoStream]) -> list[VideoStream]:
    return [stream for stream in streams if _codec_context(stream) is not None]


def _codec_context(stream: VideoStream) -> VideoCodecContext | None:
    """PyAV's type omits that it is None where libav has no decoder."""
    return stream.codec_context


def _preference(stream: VideoStream) -> tuple[bool, int, int]:
    is_default = bool(stream.disposition & Disposition.default)
    return is_default, stream.codec_context.width * stream.codec_context.height, -stream.index


def _stated_end(container: InputContainer) -> float | None:
    if container.format.name not in _FORMATS_WITH_DURATION or not container.duration:
        return None
    # Matroska and FLV count from zero, MP4 from its first frame. The earlier end is safe for all.
    return float(min(0, container.start_time or 0) + container.duration) / av.time_base


class PacketReader:
    """The packets of a video stream, and how the file ended."""

    def __init__(self, source: VideoSource) -> None:
        """Nothing is read yet."""
        self._source = source
        self._ends: dict[int, int] = {}
        """In ticks, by stream."""
        self.error = ""
        """Why the container could not be read to its end, or ""."""

    def __iter__(self) -> Iterator[Packet[Any]]:
        """The packets in decoding order. An error of the container ends them and is kept."""
        index = self._source.stream.index
        return (packet for packet in self.iterate_all() if packet.stream_index == index)

    def iterate_all(self) -> Iterator[Packet[Any]]:
        """The packets of all streams, as those of the video."""
        try:
            for packet in self._source.container.demux():
                if packet.size == 0:
                    continue  # a gap of AVI, or PyAV's sign to flush: both would end the decoder
                start = packet.pts if packet.pts is not None else packet.dts or 0
                end, index = start + (packet.duration or 0), packet.stream_index
                self._ends[index] = max(end, self._ends.get(index, 0))
                yield packet
        except IndexError:
            pass  # PyAV, at the end of a file in which streams appeared between the packets
        except (av.FFmpegError, OSError) as exc:
            self.error = exc.strerror or str(exc)

    @property
    def missing_s(self) -> float:
        """Seconds between the end of all streams, audio too, and the end that the file states."""
        stated, streams = self._source.stated_end_s, self._source.container.streams
        if stated is None:
            return 0.0
        ends = (ticks * (streams[index].time_base or 0) for index, ticks in self._ends.items())
        return max(0.0, stated - float(max(ends, default=0)))
