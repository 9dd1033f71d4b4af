"""Which packets of a stream have to be decoded to sample frames of it.

Two kinds of pictures need no decoding, because no sampled picture refers to them:

1. those that no other picture refers to (H.264: `nal_ref_idc` 0; HEVC: sub-layer non-reference
   pictures of the highest temporal layer);
2. from behind the last sampled picture, in decoding order, to the next IDR picture.

If cuts are looked for, only the first kind is left out. That is usually one or two pictures in
succession, by which a cut may be seen too late.

Leaving them out changes no bit of the others, but frames can no longer be counted as they leave the
decoder. Presentation times alone do not give their numbers: AVI files and some writers state the
times of decoding, recordings jump back in time, and in the pictures that are decoded nothing may
show it. A decoder orders pictures by the picture order counts in their headers. So packets are left
out only if these counts and the presentation times give the same order. All other streams are
decoded in full.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray

from ingest.frames.container import PacketReader, VideoSource
from ingest.frames.interface import MediaLimits, Sampling
from ingest.frames.nal_units import Unproven
from ingest.frames.picture_headers import (
    H264HeaderReader,
    HevcHeaderReader,
    PictureHeader,
)
from ingest.frames.sampling import Schedule

_HEADER_READERS = {"h264": (H264HeaderReader, 4), "hevc": (HevcHeaderReader, 21)}
"""By codec; and the offset in its record of a byte with the size of lengths, less one."""
_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class PacketSelection:
    """What to do with each packet of a stream. Arrays are in decoding order, times in ticks."""

    pts: NDArray[np.int64]
    """Presentation time of each packet."""
    decode: NDArray[np.bool_]
    """Whether the packet has to be decoded."""
    number: NDArray[np.int64]
    """0-based number of the picture in order of presentation; -1 if it is not shown."""
    due: NDArray[np.bool_]
    """Whether the picture is sampled, wherever cuts are."""
    frames: int
    """How many pictures the stream shows."""
    first_pts: int
    last_pts: int
    last_duration: int
    """0 if the container does not state it."""
    reorder_depth: int
    """How many pictures a decoder has to hold back at most to put them out in order."""

    @property
    def candidates(self) -> NDArray[np.bool_]:
        """Whether the picture is decoded and shown, so that a cut before it can be seen."""
        return self.decode & (self.number >= 0)

    @property
    def candidate_numbers(self) -> frozenset[int]:
        """The numbers of the candidates."""
        return frozenset(self.number[self.candidates].tolist())


def select_packets(
    source: VideoSource, sampling: Sampling, limits: MediaLimits
) -> PacketSelection | None:
    """The packets to decode to sample the frames of a stream; None if all of them have to be.

    Raises:
        MediaError: the stream is over a limit.
    """
    codec = source.stream.codec_context
    if codec.name not in _HEADER_READERS:
        return None
    reader, length_at = _HEADER_READERS[codec.name]
    headers, pictures, extradata = reader(), PictureIndex(), codec.extradata or b""
    # MP4 and Matroska keep the parameter sets, and the size of lengths, in a separate record
    # (ISO/IEC 14496-15 5.3.3.1, 8.3.3.1). The filter puts the sets in front of the first picture.
    has_record = extradata[:1] == b"\1" and len(extradata) > length_at
    try:
        to_annex_b = BitStreamFilterContext(f"{codec.name}_mp4toannexb", source.stream)
        for packet in PacketReader(source):
            side_data = {data.data_type for data in packet.iter_sidedata()}
            if packet.is_corrupt or "new_extradata" in side_data:
                raise Unproven("a packet that is damaged, or changes the decoder's parameters")
            length_size = 1 + (extradata[length_at] & 3) if has_record and pictures else 0
            pts, duration, shown = packet.pts, packet.duration or 0, not packet.is_discard
            data = bytes(packet) if pictures else b"".join(map(bytes, to_annex_b.filter(packet)))
            pictures.add(headers.read(data, length_size), pts, duration, shown=shown)
            limits.check_frames(len(pictures))
        selection = pictures.select(
            Schedule(sampling, source.time_base), source.frame_ticks, cuts=sampling.cuts
        )
    except (Unproven, av.FFmpegError):
        return None
    length = (selection.last_pts - selection.first_pts) * source.time_base
    limits.check_duration(float(length))
    return selection


class PictureIndex:
    """The pictures of one stream, gathered in decoding order: 64 bytes for each."""

    def __init__(self) -> None:
        """No picture yet."""
        self._rows = array("q")

    def __len__(self) -> int:
        """Pictures so far."""
        return len(self._rows) // _COLUMNS

    def add(self, header: PictureHeader, pts: int | None, duration: int, *, shown: bool) -> None:
        """Add the next picture.

        Args:
            header: of its packet.
            pts: its presentation time in ticks.
            duration: in ticks; 0 if the container does not state it.
            shown: False if it is decoded only, because an edit list removes it.

        Raises:
            Unproven: it has no presentation time, or decoding cannot start with it.
        """
        if pts is None:
            raise Unproven("a packet without a presentation time")
        if not (self._rows or header.restarts):
            raise Unproven("a stream that does not begin with an IDR picture")
        self._rows.extend((pts, duration, shown, *header[1:]))

    def select(
        self, schedule: Schedule, frame_ticks: int = 0, *, cuts: bool = False
    ) -> PacketSelection:
        """The packets to decode.

        Args:
            schedule: says which pictures are sampled, wherever cuts are.
            frame_ticks: duration of the last picture if its packet does not state it.
            cuts: whether cuts are looked for.

        Raises:
            Unproven: the order of the pictures cannot be told from the packets.
        """
        columns = np.frombuffer(self._rows, dtype=np.int64).reshape(-1, _COLUMNS).T
        pts, duration, shown, restarts, is_reference, layer, order, affects_others = columns
        if not shown.any():
            raise Unproven("no picture is shown")
        output = _output_order(order, pts, np.cumsum(restarts))
        shown_in_order = output[shown[output] > 0]
        first, last = shown_in_order[[0, -1]]
        number = np.full(len(pts), -1)
        number[shown_in_order] = np.arange(len(shown_in_order))
        end = pts[last] + (duration[last] or frame_ticks) - pts[first]
        due = np.zeros(len(pts), bool)
        due[shown_in_order] = schedule.choose(pts[shown_in_order] - pts[first], int(end))
        needed = due | (affects_others > 0)
        decode = needed | (is_reference > 0) | (layer < layer.max())
        if not cuts:
            decode &= _up_to_last(needed, np.flatnonzero(restarts))
        # The pictures that are decoded before one and shown after it are among those from its rank
        # to the highest rank so far.
        rank = np.empty_like(output)
        rank[output] = np.arange(len(output))
        reorder_depth = np.maximum.accumulate(rank) - rank
        return PacketSelection(
            pts=pts.copy(),
            decode=decode,
            number=number,
            due=due,
            frames=len(shown_in_order),
            first_pts=int(pts[first]),
            last_pts=int(pts[last]),
            last_duration=int(duration[last]),
            reorder_depth=int(reorder_depth.max()),
        )


def _output_order(
    order: NDArray[np.int64], pts: NDArray[np.int64], period: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions of the packets in the order in which a decoder puts out their pictures.

    A decoder sorts the pictures of one period (from a restart to the next) by picture order count
    and finishes a period before the next (H.264 C.4, H.265 C.5). `order`, `pts` and `period`
    (growing) are in decoding order.

    Raises:
        Unproven: presentation times do not strictly increase in that order.
    """
    output = np.lexsort((order, period))
    ties = (np.diff(order[output]) == 0) & (np.diff(period[output]) == 0)
    if ties.any() or (np.diff(pts[output]) <= 0).any():
        raise Unproven("picture order and presentation times that disagree")
    return output


def _up_to_last(needed: NDArray[np.bool_], restarts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True from the restart of each period to the last needed packet in it."""
    position = np.arange(len(needed))
    last = np.maximum.reduceat(np.where(needed, position, -1), restarts)
    return position <= np.repeat(last, np.diff(np.append(restarts, len(needed))))
