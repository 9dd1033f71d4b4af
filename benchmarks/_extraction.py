"""Videos to faces, once: what was extracted is kept in a cache folder and read from there.

The cache folder's names carry a digest of the weights and of every module that extraction runs
through, so what another version of the code extracted is never taken for this one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from ingest.extract import extract
from ingest.frames import MediaLimits, Sampling
from registry import ids
from registry.blobs.folder import FolderStore
from registry.core.records import decode_record as decode
from registry.core.records import encode_record as encode
from registry.domain import Status, Video
from registry.models.base import FaceModel
from registry.urls import Url

ROOT = Path(__file__).parents[1]
_EXTRACTION = (
    "ingest/extract.py",
    "ingest/tracks.py",
    "ingest/shots.py",
    "ingest/frames",
    "registry/faces/boxes.py",
    "registry/faces/covers.py",
    "registry/faces/quality.py",
    "registry/models",
)
_NOT = ("registry/models/curves.py",)
"""Modules in these folders that extraction does not run through."""


def source_digest(*places: str) -> str:
    """Ten digits that change when a module in one of these files and folders changes."""
    digest = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = module.relative_to(ROOT).as_posix()
            if name not in _NOT:
                digest.update(name.encode() + module.read_bytes())
    return digest.hexdigest()[:10]


class Extractions:
    """The faces of videos as one model sees them."""

    def __init__(self, cache: Path, load: Callable[[], FaceModel]) -> None:
        self._load = load
        self._cache = cache
        self._loaded: FaceModel | None = None

    @property
    def model(self) -> FaceModel:
        """Loaded when it is first needed."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def of(self, path: Path, name: str, *, every: int) -> Video:
        """The record of one video, extracted now or before.

        Args:
            path: the file.
            name: what the video is called; its id follows from it.
            every: one frame in so many is looked at.
        """
        info = self.model.info
        folder = self._cache / "faces" / f"{info.digest[:10]}-{source_digest(*_EXTRACTION)}"
        kept = folder / f"every{every}" / f"{name}.parquet"
        if kept.is_file():
            return decode(kept.read_bytes(), str(kept))
        video_id = ids.video_id(name)
        blobs = FolderStore(folder / "blobs")
        found = extract(
            path,
            video_id,
            model=self.model,
            blobs=blobs,
            sampling=Sampling(every=every),
            limits=MediaLimits(),
        )
        status = Status.PARTIAL if found.reason else Status.DONE
        video = Video(video_id, Url(name), {}, status, found.faces, found.media, found.reason)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(encode(video, info.dimension))
        return video
