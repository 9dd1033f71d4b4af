"""The most memory that `face-registry ingest` takes, parent and workers together.

    python -m benchmarks.memory [--minutes 10 120] [--workers N] [--fps 30] [--json FILE]

It makes a video in which the people of the demo come and go (640 × 360, H.264): its scenes are
encoded once and their packets repeated until the length is reached. The real command reads it in a
new registry, and every process below it is measured five times a second: proportional set size
(PSS, which counts a shared page once) on Linux, resident memory elsewhere.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import psutil
from av.video.stream import VideoStream

from benchmarks._machine import machine, sentence, write_json
from registry.demo.cast import LANDSCAPE, VIDEOS
from registry.demo.videos import draw_frames

_LOOK_S = 0.2
_GOAL = 1.2e9
"""Bytes, all processes together."""
_FPS = 30
"""Of the demo's frames, one of which is encoded for each frame of the video."""


def scenes(path: Path, fps: int) -> None:
    """All scenes of the demo, one after the other."""
    options = {"preset": "veryfast", "crf": "28", "g": "300", "threads": "1"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = LANDSCAPE
        stream.pix_fmt = "yuv420p"
        numbers = count()
        for video in VIDEOS:
            for picture in draw_frames(replace(video, size=LANDSCAPE)):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts, frame.time_base = next(numbers), Fraction(1, fps)
                file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def repeated(source: Path, target: Path, seconds: float) -> None:
    """The packets of a video, again and again until it is so long."""
    with av.open(str(target), "w") as new:
        copy: VideoStream | None = None
        shift = 0
        while True:
            with av.open(str(source)) as old:
                stream = old.streams.video[0]
                assert stream.time_base is not None and stream.duration is not None
                copy = copy or new.add_stream_from_template(stream)
                for packet in old.demux(stream):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.time_base = stream.time_base
                    packet.stream = copy
                    new.mux(packet)
                shift += stream.duration
                if shift * stream.time_base >= seconds:
                    return


def memory(process: psutil.Process) -> int:
    """Bytes that a process holds; 0 once it has ended."""
    try:
        if sys.platform == "linux":
            return int(process.memory_full_info().pss)
        else:
            return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def measured(command: list[str]) -> tuple[int, int, float, str]:
    """Peak of all processes, of the first alone, seconds, and what the command said."""
    started = time.monotonic()
    peak = peak_first = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = psutil.Process(process.pid)
        while process.poll() is None:
            held = [memory(first)]
            with suppress(psutil.NoSuchProcess):
                held += map(memory, first.children(recursive=True))
            peak, peak_first = max(peak, sum(held)), max(peak_first, held[0])
            time.sleep(_LOOK_S)
        assert process.stdout is not None
        return peak, peak_first, time.monotonic() - started, process.stdout.read()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10.0, 120.0])
    parser.add_argument("--workers", type=int, help="by default, those of the command")
    parser.add_argument("--fps", type=int, default=_FPS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    where = machine()
    print(f"`python -m benchmarks.memory`, {sentence(where)}.\n")
    print("| minutes | peak, MB | of it the parent's own peak, MB | seconds | the command said |")
    print("|---|---|---|---|---|")
    results = []
    for minutes in given.minutes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            scenes(folder / "scenes.mp4", given.fps)
            repeated(folder / "scenes.mp4", folder / "long.mp4", minutes * 60)
            (folder / "t.csv").write_text("Video URL,Performance\nlong.mp4,1\n")
            code = "from registry.cli import main; main()"
            command = [sys.executable, "-c", code, "--home", str(folder / "home"), "ingest"]
            command += [str(folder / "t.csv")]
            command += [] if given.workers is None else ["--workers", str(given.workers)]
            peak, first, seconds, said = measured(command)
        results.append({"minutes": minutes, "peak": peak, "parent": first, "seconds": seconds})
        told = said.splitlines()[1] if "\n" in said else said
        print(
            f"| {minutes:g} | {peak / 1e6:,.0f} | {first / 1e6:,.0f} | {seconds:.0f} | {told} |",
            flush=True,
        )
    write_json(given.json, {"benchmark": "memory", "machine": where, "results": results})
    return int(any(one["peak"] > _GOAL for one in results))


if __name__ == "__main__":
    sys.exit(main())
