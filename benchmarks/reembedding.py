"""How near a face's embedding from its crop is to that from its frame, under another model.

    python -m benchmarks.reembedding --data ../shared/data

A registry that changes its model embeds faces from their crops (`registry.changing.reembedding`).
Here both are computed: clips are read with one model, and then each face is embedded with the
other, from the crop, and from the frame in which that model finds it by itself.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling, VideoReader
from registry.blobs.folder import FolderStore
from registry.changing.reembedding import reembed
from registry.domain import Detection, Face, Image, Status, Vectors, Video
from registry.faces.boxes import SAME_FACE, overlap
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.urls import Url

DATA = Path(__file__).parents[2] / "shared" / "data"
EVERY = 10
"""The registry's default."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of clips and models")
    data = parser.parse_args().data
    clips = sorted((data / "videos" / "asl_gestures").glob("*.mkv"))
    if not clips:
        print(f"nothing measured: there are no clips in {data}")
        return
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        sources = "sface", str(data / "models" / "buffalo_sc_int8")
        models = [catalogue.load(source, device="cpu", cache=cache) for source in sources]
        print("Cosine of the embeddings from crop and frame: median, 5 %, least.\n")
        print("| from | to | faces | found in them | new landmarks | landmarks on record |")
        print("|---|---|---|---|---|---|")
        least = 1.0
        for old, new in (models, models[::-1]):
            row, shared = _row(old, new, clips, cache / old.info.name)
            print(row, flush=True)
            least = min(least, shared)
        print(f"\nBoxes of both models overlap by {least:.2f} or more.")


def _row(old: FaceModel, new: FaceModel, clips: Sequence[Path], folder: Path) -> tuple[str, float]:
    """A line of the table, and the least overlap of the boxes of both models."""
    crops, landmarks, overlaps, faces, missed = [], [], [], 0, 0
    for clip in clips:
        blobs = FolderStore(folder)
        found = extract(
            clip, clip.stem, model=old, blobs=blobs, sampling=Sampling(every=EVERY),
            limits=MediaLimits(),
        )  # fmt: skip
        video = Video(clip.stem, Url(clip.as_uri()), {}, Status.DONE, found.faces, found.media)
        wanted = {face.face_id for face in found.faces}
        again = reembed(video, wanted, new, blobs)
        blind = reembed(video, wanted, _Blind(new), blobs)
        faces += len(found.faces)
        missed += len(again.by_landmarks)
        for face, embedding, shared in _in_frames(clip, found.faces, new):
            overlaps.append(shared)
            crops.append(float(again.embeddings[face.face_id] @ embedding))
            landmarks.append(float(blind.embeddings[face.face_id] @ embedding))
    row = (
        f"| {old.info.name} | {new.info.name} | {faces} | {faces - missed} | {_spread(crops)} "
        f"| {_spread(landmarks)} |"
    )
    return row, min(overlaps)


def _in_frames(
    clip: Path, faces: Sequence[Face], model: FaceModel
) -> Iterator[tuple[Face, Vectors, float]]:
    """Those faces that the model finds in their frames, and how well the boxes agree."""
    with VideoReader(clip, sampling=Sampling(every=EVERY), limits=MediaLimits()) as reader:
        for frame in reader:
            detections = model.detect(frame.image)
            for face in (face for face in faces if face.frame == frame.index):
                best = max(detections, key=lambda d: overlap(d.box, face.box), default=None)
                if best is not None and overlap(best.box, face.box) > SAME_FACE:
                    [embedding] = model.embed(model.align(frame.image, [best]))
                    yield face, embedding, overlap(best.box, face.box)


class _Blind:
    """A model that finds no face, so that the landmarks on record are taken."""

    def __init__(self, model: FaceModel) -> None:
        self.info, self.device = model.info, model.device
        self.align, self.embed = model.align, model.embed
        self.embed_with_lengths = model.embed_with_lengths

    def detect(self, image: Image) -> list[Detection]:
        return []

    def detect_all(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[] for _ in images]


def _spread(values: Sequence[float]) -> str:
    return f"{np.median(values):.3f}, {np.quantile(values, 0.05):.3f}, {min(values):.3f}"


if __name__ == "__main__":
    main()
