"""Reads the sampled frames of a video file, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ingest.frames.animated_webp import check_canvas, decode_webp
from ingest.frames.container import choose_moving_stream, open_video
from ingest.frames.decoding import (
    Sample,
    SelectionFailedError,
    StreamSummary,
    decode_all,
    decode_selected,
)
from ingest.frames.file_format import HEAD_BYTES, is_animated_webp, is_cut_off, still_image_format
from ingest.frames.interface import Frame, MediaLimits, Sampling, open_file
from ingest.frames.packet_selection import PacketSelection, select_packets
from ingest.frames.stream_start import read_audio_start
from registry.domain import Media
from registry.errors import MediaError

_MIN_MISSING_S = 0.5
"""A video that ends this much before the end that its header states is cut off. Headers of whole
files are off by less (docs/BENCHMARKS.md, "Decoding")."""


class VideoReader:
    """Samples frames of a video file, in order of presentation.

    ::

        with VideoReader(path, sampling=Sampling(every=10)) as reader:
            for frame in reader:
                ...
            print(reader.media, reader.reason)

    Memory holds the decoder's own pictures, one image, and 64 bytes for each frame of the video.
    Damaged frames keep their numbers and are left out, together with those that refer to them.
    Packets that no sampled frame needs are not decoded where that provably changes nothing
    (`ingest.frames.packet_selection`); damage in those is not noticed. Interlaced frames are not
    deinterlaced, and high dynamic range is not tone-mapped.
    """

    def __init__(
        self,
        path: Path | BinaryIO,
        *,
        sampling: Sampling | None = None,
        limits: MediaLimits | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            path: the file, or the already open file. Its name has no effect.
            sampling: which frames are sampled; every tenth if None.
            limits: what is refused; the defaults of `MediaLimits` if None.
        """
        self._path = path
        self._sampling = sampling or Sampling()
        self._limits = limits or MediaLimits()
        self._file: BinaryIO | None = None
        self._samples: Generator[Sample] | None = None
        self._is_started = False
        self.transfer_s = 0.0
        self._summary = StreamSummary()
        self._is_cut_off = False
        self._codec = ""
        self._size = (0, 0)
        self._sampled = 0

    def __enter__(self) -> Self:
        """Open the file and read its headers; no frame is decoded yet.

        Raises:
            MediaError: it is not a video, or over a limit.
        """
        self._file = open_file(self._path) if isinstance(self._path, Path) else self._path
        try:
            self._samples = self._prepare(self._file)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._samples is not None:
            self._samples.close()
            self._samples = None
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """The sampled frames, once.

        Raises:
            MediaError: nothing can be decoded, or the video turns out to be over a limit.
        """
        if self._samples is None or self._is_started:
            raise RuntimeError("a VideoReader is iterated once, inside its with block")
        self._is_started = True
        previous: Sample | None = None
        for sample in self._samples:
            self._sampled += 1
            self._size = sample.image.shape[1], sample.image.shape[0]
            if previous is not None:
                yield _frame(previous, sample.time_s)
            previous = sample
        if not self._summary.intact_frames:
            raise MediaError(_describe_failure(self._summary))
        if previous is not None:
            yield _frame(previous, self._summary.end_s)

    def _prepare(self, file: BinaryIO) -> Generator[Sample]:
        """Check the headers of an open file; return its samples, not decoded yet."""
        try:
            head = file.read(HEAD_BYTES)
        except OSError as exc:
            raise MediaError(f"the file cannot be read: {exc.strerror or exc}") from exc
        image_format = still_image_format(head)
        if image_format:
            raise MediaError(f"the file is an image ({image_format}), not a video")
        if is_animated_webp(head):
            self._codec = "webp"
            check_canvas(file, self._limits)
            return decode_webp(file, self._sampling, self._limits, self._summary)
        with open_video(file, self._limits) as source:
            index = source.stream.index
            several = source.has_several_streams
            audio_s = read_audio_start(source, self._limits)
        if several:
            index = choose_moving_stream(file, self._limits)
        with open_video(file, self._limits, index=index) as source:
            self._codec = source.stream.codec_context.codec.canonical_name
            selection = select_packets(source, self._sampling, self._limits)
            has_header = source.has_header
        self._is_cut_off = is_cut_off(file)
        return self._decode(file, index, selection, audio_s, probe=has_header)

    def _decode(
        self,
        file: BinaryIO,
        index: int,
        selection: PacketSelection | None,
        audio_s: Fraction | None,
        *,
        probe: bool,
    ) -> Generator[Sample]:
        """The samples; from all packets if there is no selection or it fails."""
        limits, sampling, latest = self._limits, self._sampling, -1
        candidates = None
        if selection is not None:
            try:
                with open_video(file, limits, index=index) as source:
                    for sample in decode_selected(
                        source,
                        selection,
                        limits,
                        self._summary,
                        cuts=sampling.cuts,
                        audio_s=audio_s,
                    ):
                        latest = sample.index
                        yield sample
                return
            except SelectionFailedError:
                self._summary = StreamSummary()
                candidates = selection.candidate_numbers
        with open_video(file, limits, index=index, probe=probe) as source:
            yield from decode_all(
                source,
                sampling,
                limits,
                self._summary,
                after=latest,
                candidates=candidates,
                audio_s=audio_s,
            )

    @property
    def media(self) -> Media:
        """What is known of the video; complete once all frames are read."""
        summary = self._summary
        return Media(
            duration_s=summary.end_s,
            width=self._size[0],
            height=self._size[1],
            codec=self._codec,
            frames_sampled=self._sampled,
            frames_damaged=summary.frames - summary.intact_frames,
        )

    @property
    def reason(self) -> str:
        """Why the video is partial, or "" if it is whole; complete once all frames are read."""
        summary = self._summary
        damaged = summary.frames - summary.intact_frames
        ends_early = summary.missing_s > _MIN_MISSING_S
        reasons = []
        if damaged:
            be = "is" if damaged == 1 else "are"
            reasons.append(f"{damaged} of {summary.frames} frames {be} damaged")
        if self._is_cut_off or summary.is_incomplete or ends_early:
            of = f" of {summary.end_s + summary.missing_s:.1f} s" if ends_early else ""
            reasons.append(f"the file ends early at {summary.end_s:.1f} s{of}")
        return "; ".join(reasons)


def _frame(sample: Sample, until_s: float) -> Frame:
    return Frame(sample.index, sample.time_s, max(0.0, until_s - sample.time_s), sample.image)


def _describe_failure(summary: StreamSummary) -> str:
    cause = f" ({summary.error})" if summary.error else ""
    if not summary.frames:
        return f"the video has no frames{cause}"
    return f"none of the video's {summary.frames} frames can be decoded{cause}"
