"""When the sound of a file starts, on a clock that need not start at zero."""

from __future__ import annotations

from fractions import Fraction

from ingest.frames.container import PacketReader, VideoSource
from ingest.frames.interface import MediaLimits

_MAX_PACKETS = 500
"""Read at most to find the first packet of each stream. Muxers store packets by time, at most a
second or two apart."""


def read_audio_start(source: VideoSource, limits: MediaLimits) -> Fraction | None:
    """Read the first packets of a file, if its headers leave open when a player begins.

    Afterwards, the file has to be opened again to read it from the beginning.

    Returns:
        When the earliest audio starts, in seconds on the clock of the packets; None if there is no
        audio, or there are no presentation times.

    Raises:
        MediaError: the header states a duration over the limit.
    """
    audio = {stream.index for stream in source.container.streams.audio}
    if not audio and source.stated_duration_s <= limits.max_duration_s:
        return None
    pending = {source.stream.index, *audio}
    firsts: dict[int, Fraction] = {}
    for count, packet in enumerate(PacketReader(source).iterate_all()):
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is not None and packet.time_base is not None:
            firsts.setdefault(packet.stream_index, ticks * packet.time_base)
        pending.discard(packet.stream_index)
        if not pending or count >= _MAX_PACKETS:
            break
    clock = max(Fraction(0), min(firsts.values(), default=Fraction(0)))
    limits.check_duration(source.stated_duration_s - float(clock))
    sounds = [time for index, time in firsts.items() if index in audio]
    has_times = bool(sounds) and source.has_presentation_times
    return min(sounds) if has_times else None
