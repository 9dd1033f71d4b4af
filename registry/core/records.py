"""Video records: one Parquet object per video, whole, and the only truth about it.

A row is a face; what concerns the video as a whole lies in the file's metadata under
`face_registry`, as JSON. Any Parquet reader opens a record; only this module writes one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Box, Face, Media, Quality, Status, Vectors, Video
from registry.errors import ObjectMissing, StoreCorrupt
from registry.urls import Url

SCHEMA = 1
_META = b"face_registry"
_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.parquet")


class RecordStore:
    """The records of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore, dimension: int, *, under: str = "") -> None:
        """`dimension` is D of the embeddings; keys of records begin with `under`."""
        self._blobs = blobs
        self._dimension = dimension
        self._under = under

    def put(self, video: Video) -> None:
        """Write a record whole; when this returns, the video is in the registry."""
        self._blobs.put(self._under + keys.record(video.video_id), self.encoded(video))

    def encoded(self, video: Video) -> bytes:
        """The bytes that `put` writes."""
        return encode(video, self._dimension)

    def get(self, video_id: str) -> Video | None:
        """The record, or None if there is none. Raises `StoreCorrupt` for a damaged one."""
        try:
            data = self._blobs.get(self._under + keys.record(video_id))
        except ObjectMissing:
            return None
        video = decode(data, self._under + keys.record(video_id))
        if video.video_id != video_id:
            raise StoreCorrupt(
                f"record {self._under + keys.record(video_id)} is that of video {video.video_id}; "
                "restore it from a backup, or remove the video and ingest it again"
            )
        return video

    def has(self, video_id: str) -> bool:
        """Whether there is a record, damaged or not."""
        return self._blobs.exists(keys.record(video_id))

    def ids(self) -> Iterator[str]:
        """Ids of all videos on record, in order. Files of other names are none of ours."""
        prefix = self._under + keys.RECORDS
        for info in self._blobs.list(prefix):
            if match := _NAME.fullmatch(info.key.removeprefix(prefix)):
                yield match[1]

    def all(self) -> Iterator[Video]:
        """All records, in order of id, one at a time."""
        for video_id in self.ids():
            video = self.get(video_id)
            if video is not None:
                yield video

    def delete(self, video_id: str) -> None:
        """Remove a record."""
        self._blobs.delete(self._under + keys.record(video_id))


def encode(video: Video, dimension: int) -> bytes:
    """The record's bytes: Parquet with page checksums and a digest over all of it."""
    head = _head(video)
    embeddings = _matrix(video.faces, dimension)
    head["digest"] = _digest(head, map(_row, video.faces), embeddings)
    columns = {
        name: pa.array((_CELLS[name](face) for face in video.faces), type=kind)
        for name, kind in _COLUMNS.items()
    }
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(
        pa.array(embeddings.ravel(), type=pa.float32()), dimension
    )
    table = pa.table(columns).replace_schema_metadata({_META: _canonical(head)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def decode(data: bytes, name: str) -> Video:
    """The record in these bytes. Raises `StoreCorrupt`, naming `name`, if any of them changed."""
    try:
        # Without threads and read-ahead, which are for large files, a record takes a quarter.
        file = pq.ParquetFile(
            pa.BufferReader(data), page_checksum_verification=True, pre_buffer=False
        )
        table = file.read(use_threads=False)
        head = json.loads((table.schema.metadata or {})[_META])
        digest = head.pop("digest")
        rows = table.drop_columns(["embedding"]).to_pylist()
        flat = table.column("embedding").combine_chunks().flatten()
        dimension = table.schema.field("embedding").type.list_size
        embeddings = np.asarray(flat, dtype=np.float32).reshape(len(rows), dimension)
        if _digest(head, rows, embeddings) != digest:
            raise ValueError("its digest does not match its content")
        return _video(head, rows, embeddings)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreCorrupt(
            f"record {name} is damaged ({exc}); restore it from a backup, "
            "or remove the video and ingest it again"
        ) from exc


_COLUMNS: dict[str, pa.DataType] = {
    "face_id": pa.string(),
    "identity_id": pa.string(),
    "frame": pa.int64(),
    "position": pa.int32(),
    "time_s": pa.float64(),
    "span_s": pa.float64(),
    "box": pa.list_(pa.float64(), 4),
    "landmarks": pa.list_(pa.float32(), 10),
    "det_score": pa.float64(),
    "quality": pa.float64(),
    "reasons": pa.list_(pa.string()),
    "track": pa.int32(),
    "crop": pa.string(),
    "crop_digest": pa.string(),
}


def _head(video: Video) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "video_id": video.video_id,
        "url": video.url.exposed(),
        "metrics": dict(sorted(video.metrics.items())),
        "status": str(video.status),
        "reason": video.reason,
        "run": video.run,
        "media": asdict(video.media),
    }


_CELLS: dict[str, Callable[[Face], Any]] = {
    **{name: attrgetter(name) for name in _COLUMNS},
    "box": lambda face: [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
    "landmarks": lambda face: np.asarray(face.landmarks, dtype=np.float32).ravel().tolist(),
    "quality": lambda face: face.quality.score,
    "reasons": lambda face: list(face.quality.reasons),
}


def _row(face: Face) -> dict[str, Any]:
    return {name: _CELLS[name](face) for name in _COLUMNS}


def _video(head: dict[str, Any], rows: Sequence[dict[str, Any]], embeddings: Vectors) -> Video:
    return Video(
        video_id=head["video_id"],
        url=Url(head["url"]),
        metrics=head["metrics"],
        status=Status(head["status"]),
        reason=head["reason"],
        run=head["run"],
        media=Media(**head["media"]),
        faces=tuple(_face(row, embeddings[i]) for i, row in enumerate(rows)),
    )


def _face(row: dict[str, Any], embedding: Vectors) -> Face:
    return Face(
        face_id=row["face_id"],
        identity_id=row["identity_id"],
        frame=row["frame"],
        position=row["position"],
        time_s=row["time_s"],
        span_s=row["span_s"],
        box=Box(*row["box"]),
        landmarks=np.asarray(row["landmarks"], dtype=np.float32).reshape(5, 2),
        det_score=row["det_score"],
        quality=Quality(row["quality"], tuple(row["reasons"])),
        track=row["track"],
        crop=row["crop"],
        crop_digest=row["crop_digest"],
        embedding=embedding,
    )


def _matrix(faces: Sequence[Face], dimension: int) -> Vectors:
    if not faces:
        return np.zeros((0, dimension), dtype=np.float32)
    return np.stack([face.embedding for face in faces]).astype(np.float32, copy=False)


def _digest(head: dict[str, Any], rows: Iterable[dict[str, Any]], embeddings: Vectors) -> str:
    digest = hashlib.sha256(_canonical(head))
    # The JSON of a list of all rows, one by one: two hours of video have 50,000 and more.
    digest.update(b"[")
    for number, row in enumerate(rows):
        digest.update((b"," if number else b"") + _canonical(row))
    digest.update(b"]")
    digest.update(np.ascontiguousarray(embeddings, dtype="<f4").tobytes())
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


class Rereads:
    """The marks of one registry. Only its one writer may change them."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def marked(self) -> list[str]:
        """Ids of the videos to be read again, in order."""
        return [keys.name_in(info.key) for info in self._blobs.list(keys.REREADS)]

    def mark(self, video_id: str) -> None:
        """Have a video read again; marking it twice is fine."""
        self._blobs.put(keys.reread(video_id), b"")

    def lift(self, video_id: str) -> None:
        """It was read, or is gone; nothing happens if there is no mark."""
        self._blobs.delete(keys.reread(video_id))
