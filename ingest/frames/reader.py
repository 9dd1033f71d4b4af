"""A video file, read once from its beginning to its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ingest.frames.base import Frame, MediaLimits, open_file
from ingest.frames.container import opened
from ingest.frames.decoding import Findings, Sample, Surprise, decode_selected, in_full
from ingest.frames.extent import is_cut_off
from ingest.frames.kinds import HEAD, is_animated_webp, still_image
from ingest.frames.packet_selection import PacketSelection, select_packets
from ingest.frames.webp import animated, check_canvas
from registry.domain import Media
from registry.errors import MediaError, UsageError

_EARLY_S = 0.5
"""A video that ends more than this before the end that its header states is cut off. Headers round:
of whole files, Matroska was 11 ms off, FLV 36 ms."""


class VideoReader:
    """Samples every `every`-th frame of a video file, in order of presentation.

    ::

        with VideoReader(path, every=10) as reader:
            for frame in reader:
                ...
            print(reader.media, reader.reason)

    The file is streamed: whatever its length, the decoder's own pictures and one held back are in
    memory, and 18 bytes a frame. Damaged frames keep their numbers and are passed over, with those
    that are predicted from them. Packets that no wanted frame needs are not decoded where the
    stream proves that this changes nothing (`ingest.packets`); damage in those goes unseen.
    Interlaced frames are not deinterlaced, and high dynamic range is not tone-mapped.
    """

    def __init__(
        self,
        path: Path | BinaryIO,
        *,
        every: int = 10,
        limits: MediaLimits | None = None,
        threads: int = 1,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: the file, whose name tells the decoder nothing, or it already open.
            every: one frame in so many is sampled, beginning with the first.
            limits: what is refused; the defaults of `MediaLimits` if None.
            threads: of the decoder. One is best where several videos are read side by side.

        Raises:
            UsageError: `every` or `threads` is below 1.
        """
        for name, value in (("every", every), ("threads", threads)):
            if value < 1:
                raise UsageError(f"{name} is {value}: give a whole number from 1")
        self._path = path
        self._every = every
        self._limits = limits or MediaLimits()
        self._threads = threads
        self._file: BinaryIO | None = None
        self._samples: Generator[Sample] | None = None
        self._running: Generator[Sample] | None = None
        self._found = Findings()
        self._cut_off = False
        self._codec = ""
        self._size = (0, 0)
        self._sampled = 0

    def __enter__(self) -> Self:
        """Open the file and read what its headers say; pictures are not decoded yet.

        Raises:
            MediaError: it is no video, or over a limit.
        """
        self._file = open_file(self._path) if isinstance(self._path, Path) else self._path
        try:
            self._samples = self._opened(self._file)
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
        self._samples = None
        if self._running is not None:
            self._running.close()
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """The sampled frames, once.

        Raises:
            MediaError: nothing can be decoded, or a limit turns out to be passed on the way.
        """
        if self._samples is None:
            raise RuntimeError("a VideoReader is iterated once, inside its with block")
        self._running, self._samples = self._samples, None
        held: Sample | None = None
        for sample in self._running:
            self._sampled += 1
            self._size = sample.image.shape[1], sample.image.shape[0]
            if held is not None:
                yield _frame(held, sample.time_s)
            held = sample
        if not self._found.sound:
            raise MediaError(_nothing(self._found))
        if held is not None:
            yield _frame(held, self._found.end_s)

    def _opened(self, file: BinaryIO) -> Generator[Sample]:
        """The samples of an open file, once its headers are checked."""
        try:
            head = file.read(HEAD)
        except OSError as exc:
            raise MediaError(f"the file cannot be read: {exc.strerror or exc}") from exc
        still = still_image(head)
        if still:
            raise MediaError(f"the file is an image ({still}), not a video")
        if is_animated_webp(head):
            self._codec = "webp"
            check_canvas(file, self._limits)
            return animated(file, self._every, self._limits, self._found)
        with opened(file, self._limits) as source:
            self._codec = source.stream.codec_context.codec.canonical_name
            selection = select_packets(source, self._every, self._limits)
            index, probe = source.stream.index, not source.headerless
        self._cut_off = is_cut_off(file)
        return self._decoded(file, index, selection, probe)

    def _decoded(
        self, file: BinaryIO, index: int, selection: PacketSelection | None, probe: bool
    ) -> Generator[Sample]:
        """The samples of a quick pass, and from where that is surprised, of a careful one."""
        every, limits, threads = self._every, self._limits, self._threads
        latest = -1
        try:
            with opened(
                file, limits, index=index, threads=threads, probe=probe and selection is None
            ) as source:
                if selection is not None:
                    quick = decode_selected(source, selection, limits, self._found)
                else:
                    quick = in_full(source, every, limits, self._found, strict=threads > 1)
                for sample in quick:
                    latest = sample.index
                    yield sample
            return
        except Surprise:
            self._found = Findings()
        with opened(file, limits, index=index, probe=probe) as source:
            yield from in_full(source, every, limits, self._found, after=latest)

    @property
    def media(self) -> Media:
        """What is known of the video; complete when all frames have been taken."""
        found = self._found
        return Media(
            duration_s=found.end_s,
            width=self._size[0],
            height=self._size[1],
            codec=self._codec,
            frames_sampled=self._sampled,
            frames_damaged=found.frames - found.sound,
        )

    @property
    def reason(self) -> str:
        """Why the video is partial; empty if it is whole. Complete when all frames are taken."""
        found = self._found
        damaged = found.frames - found.sound
        reasons = []
        if damaged:
            be = "is" if damaged == 1 else "are"
            reasons.append(f"{damaged} of {found.frames} frames {be} damaged")
        if self._cut_off or found.broke_off or found.missing_s > _EARLY_S:
            known = found.missing_s > _EARLY_S
            of = f" of {found.end_s + found.missing_s:.1f} s" if known else ""
            reasons.append(f"the file ends early at {found.end_s:.1f} s{of}")
        return "; ".join(reasons)


def _frame(sample: Sample, until_s: float) -> Frame:
    return Frame(sample.index, sample.time_s, max(0.0, until_s - sample.time_s), sample.image)


def _nothing(found: Findings) -> str:
    cause = f" ({found.error})" if found.error else ""
    if not found.frames:
        return f"the video holds no frames{cause}"
    return f"no frame of the video can be decoded: {found.frames} tried{cause}"
