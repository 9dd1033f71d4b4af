"""Still pictures: how many faces of real videos are taken for one, and what still videos cost.

    python -m benchmarks.still_pictures [--videos FOLDER ...] [--minutes 10]

With folders, every video in them is read as `ingest` does, and its tracks and those of still
pictures are counted. Without, two still videos (a podcast over its cover picture) and two in which
the same person sways are made, 480 × 480 px, and each pair is ingested into a registry of its own:
peak memory of all processes and seconds, as `benchmarks.memory` measures them, and CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from benchmarks.memory import measured
from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling
from registry.blobs.folder import FolderStore
from registry.demo.videos import read_photo
from registry.domain import Image
from registry.errors import MediaError
from registry.models import catalogue
from registry.settings import DEFAULT_EVERY, DEFAULT_MAX_GAP_S

_FPS, _EVERY, _SIDE = 10, 3, 480
_MOVE = 3.0  # degrees that a person sways


def count_tracks(folder: Path) -> None:
    """Print the tracks of each video below a folder, and how many are still pictures."""
    sampling = Sampling(every=DEFAULT_EVERY, max_gap_s=DEFAULT_MAX_GAP_S, cuts=True)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        model = catalogue.load("sface", device="cpu", cache=Path(scratch) / "models")
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.suffix in (".tsv", ".csv", ".md", ".jpg"):
                continue
            try:
                found = extract(
                    path, str(total["videos"]), model=model, sampling=sampling,
                    blobs=FolderStore(Path(scratch) / "b"), limits=MediaLimits(),
                )  # fmt: skip
            except MediaError:
                continue
            tracks = {face.track for face in found.faces}
            stills = {face.track for face in found.faces if face.still}
            total.update(videos=1, faces=len(found.faces), tracks=len(tracks), stills=len(stills))
            print(f"{path.name}: {len(tracks)} tracks, {len(stills)} of still pictures", flush=True)
    print(
        f"| {folder.name} | {total['videos']} | {total['faces']:,} | {total['tracks']} | "
        f"{total['stills']} |"
    )


def frames(number: int, sways: bool) -> Iterator[Image]:
    """Frames of the video, without end."""
    whole = read_photo("scikit-image", "skimage/data/astronaut.png")[:400, 60:460]
    photo = cv2.resize(whole, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    middle, time = _SIDE / 2, float(number)
    while True:
        angle = _MOVE * np.sin(time) if sways else number  # the second cover is a little turned
        turn = cv2.getRotationMatrix2D(
            (middle, middle), angle, 1 + 0.02 * np.sin(1.7 * time) * sways
        )
        yield np.asarray(
            cv2.warpAffine(photo, turn, (_SIDE, _SIDE), borderMode=cv2.BORDER_REFLECT), np.uint8
        )
        time += 0.1234567


def write(path: Path, number: int, sways: bool, seconds: float) -> None:
    """Encode one video."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=_FPS, options={"preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        for index, picture in zip(
            range(round(seconds * _FPS)), frames(number, sways), strict=False
        ):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, _FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.still_pictures")
    parser.add_argument("--videos", type=Path, nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    for folder in given.videos:
        count_tracks(folder)
    if given.videos:
        return 0
    print("| video | peak, MiB | seconds | of it CPU, all processes | the command said |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("still", "talking"):
            for number in range(2):
                path = Path(scratch) / f"{kind}-{number}.mp4"
                write(path, number, kind == "talking", 60 * given.minutes - 5 * number)
                table = path.with_suffix(".csv")
                table.write_text(f"Video URL,Performance\n{path.name},1\n")
                before = os.times()
                peak, _, seconds, said = measured(
                    [sys.executable, "-c", "from registry.cli import main; main()",
                     "--home", str(Path(scratch) / kind),
                     "ingest", str(table), "--every", str(_EVERY), "--workers", "1"]
                )  # fmt: skip
                line, after = " ".join(said.split()), os.times()
                used = after.children_user - before.children_user
                used += after.children_system - before.children_system
                print(
                    f"| {path.stem} | {peak / 2**20:,.0f} | {seconds:.0f} | {used:.0f} | {line} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
