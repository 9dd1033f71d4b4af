"""Video records: one Parquet object for each video. Everything else is computed from them.

A row is a face. The fields of the video itself are in the file's metadata under `face_registry`, as
JSON. Any Parquet reader opens a record; only this module writes one.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import (
    Attribute,
    Box,
    Content,
    Face,
    Media,
    MetricValue,
    Quality,
    Source,
    Status,
    Vectors,
    Video,
    Weighted,
)
from registry.errors import ObjectMissing, StoreCorrupt
from registry.urls import Url

SCHEMA = 3
"""1: until 1.0. 2: records may have the fields of `details_as_json`. 3: and `STILLS`."""
_FIRST, _DETAILED = 1, 2
"""What records without the fields of later schemas say, so that their bytes are as before."""
STILLS = "stills"
"""The numbers of the tracks that are still pictures; left out if there are none."""
_META = b"face_registry"
_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.parquet")


class RecordStore:
    """The records of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore, dimension: int, *, under: str = "") -> None:
        """`dimension` is D of the embeddings. The keys of records begin with `under`."""
        self._blobs = blobs
        self._dimension = dimension
        self._under = under

    def put(self, video: Video) -> None:
        """Write a record in one step. When this returns, the video is in the registry."""
        self._blobs.put(self._under + keys.record(video.video_id), self.encode(video))

    def encode(self, video: Video) -> bytes:
        """The bytes that `put` writes."""
        return encode_record(video, self._dimension)

    def get(self, video_id: str) -> Video | None:
        """The record of a video; None if there is none. Raises `StoreCorrupt` if it is damaged."""
        key = self._under + keys.record(video_id)
        try:
            data = self._blobs.get(key)
        except ObjectMissing:
            return None
        video = decode_record(data, key)
        if video.video_id != video_id:
            raise StoreCorrupt(f"Record {key} is that of video {video.video_id}. {_RESTORE}")
        return video

    def has(self, video_id: str) -> bool:
        """Whether there is a record of this video, damaged or not."""
        return self._blobs.exists(keys.record(video_id))

    def ids(self) -> Iterator[str]:
        """Ids of all videos on record, in order. Objects with other names are left out."""
        prefix = self._under + keys.RECORDS
        for info in self._blobs.list(prefix):
            if match := _NAME.fullmatch(info.key.removeprefix(prefix)):
                yield match[1]

    def all(self) -> Iterator[Video]:
        """All records, in order of id, read one at a time."""
        for video_id in self.ids():
            video = self.get(video_id)
            if video is not None:
                yield video

    def delete(self, video_id: str) -> None:
        """Remove the record of a video."""
        self._blobs.delete(self._under + keys.record(video_id))


_RESTORE = "Restore it from a backup, or remove the video and ingest it again."


def encode_record(video: Video, dimension: int) -> bytes:
    """The bytes of a record: Parquet with page checksums and a digest of all of it.

    Faces are written in row groups of `ROW_GROUP`, so memory does not grow with their number beyond
    the bytes themselves.
    """
    import pyarrow.parquet as pq  # not at the top: reports and lists read no record

    faces, head = video.faces, _head(video)
    head["digest"] = _digest(head, map(_row, faces), _parts(faces, dimension))
    fields = [pa.field(name, kind) for name, kind in _COLUMNS.items()]
    fields.append(pa.field("embedding", pa.list_(pa.float32(), dimension)))
    schema = pa.schema(fields, metadata={_META: _canonical(head)})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer:
        for start in range(0, max(1, len(faces)), ROW_GROUP):
            end = min(start + ROW_GROUP, len(faces))
            parts = (faces[at : min(at + _PART, end)] for at in range(start, max(1, end), _PART))
            batches = [_batch(part, schema, dimension) for part in parts]
            writer.write_table(pa.Table.from_batches(batches, schema))
    return sink.getvalue()


def _batch(faces: Sequence[Face], schema: pa.Schema, dimension: int) -> pa.RecordBatch:
    """The columns of some faces."""
    columns = [_array([*map(_CELLS[name], faces)], kind) for name, kind in _COLUMNS.items()]
    embeddings = _array(_matrix(faces, dimension).ravel(), pa.float32())
    columns.append(pa.FixedSizeListArray.from_arrays(embeddings, dimension))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _array(values: Sequence[Any] | Vectors, kind: pa.DataType) -> pa.Array:
    """What `pa.array` returns, which would import pandas: 0.2 s and 30 MB."""
    if pa.types.is_fixed_size_list(kind):
        flat = [*chain.from_iterable(values)]
        return pa.FixedSizeListArray.from_arrays(_array(flat, kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        flat = [*chain.from_iterable(values)]
        return pa.ListArray.from_arrays(_ends(values), _array(flat, kind.value_type))
    if pa.types.is_string(kind):
        texts = [text.encode() for text in values]
        buffers = [_ends(texts).buffers()[1], pa.py_buffer(b"".join(texts))]
    else:
        buffers = [pa.py_buffer(np.asarray(values, dtype=kind.to_pandas_dtype()))]
    return pa.Array.from_buffers(kind, len(values), [None, *buffers])


def _ends(values: Sequence[Any] | Vectors) -> pa.Array:
    """Where each value of several in a row begins, and where the last one ends."""
    return _array(np.cumsum([0, *map(len, values)]), pa.int32())


def _values(numbers: pa.Array) -> Vectors:
    """The values of a float32 array; NumPy's own conversion would import pandas, too."""
    values: Vectors = np.frombuffer(numbers.buffers()[1] or b"", np.float32)
    return values[numbers.offset : numbers.offset + len(numbers)]


def decode_record(data: bytes, name: str) -> Video:
    """The record in these bytes. Raises `StoreCorrupt`, naming `name`, if any byte has changed."""
    import pyarrow.parquet as pq

    try:
        # Threads and read-ahead, made for large files, take four times as long for a record.
        file = pq.ParquetFile(
            pa.BufferReader(data), page_checksum_verification=True, pre_buffer=False
        )
        table = file.read(use_threads=False)
        head = json.loads((table.schema.metadata or {})[_META])
        digest = head.pop("digest")
        rows = table.drop_columns(["embedding"]).to_pylist()
        flat = table.column("embedding").combine_chunks().flatten()
        dimension = table.schema.field("embedding").type.list_size
        embeddings = _values(flat).reshape(len(rows), dimension)
        if _digest(head, rows, [embeddings]) != digest:
            raise ValueError("its digest does not match its content")
        return _video(head, rows, embeddings)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreCorrupt(f"Record {name} is damaged ({exc}). {_RESTORE}") from exc


ROW_GROUP = 8192
"""Faces of a row group. Records of fewer faces, which is almost all of them, have one group."""
_PART = 1024
"""Faces that are turned into columns together: as many as Parquet encodes at a time, so that parts
change nothing in the bytes."""
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
    details = details_as_json(video)
    stills = sorted({face.track for face in video.faces if face.still})
    return {
        "schema": SCHEMA if stills else _DETAILED if details else _FIRST,
        "video_id": video.video_id,
        "url": video.url.exposed(),
        "metrics": dict(sorted(video.metrics.items())),
        "status": str(video.status),
        "reason": video.reason,
        "run": video.run,
        "media": asdict(video.media),
        **details,
        **({STILLS: stills} if stills else {}),
    }


def details_as_json(video: Video) -> dict[str, Any]:
    """The fields that came with schema 2, as JSON values; those without content are left out."""
    details: dict[str, Any] = {
        "content": asdict(video.content) if video.content else None,
        "names": [name.exposed() for name in video.names],
        "dropped": list(video.dropped),
        "source": asdict(video.source) if video.source else None,
        "attributes": attributes_as_json(video.attributes),
        "weights": weights_as_json(video.weights),
        "history": {
            name: [_as_json(value) for value in values]
            for name, values in sorted(video.history.items())
        },
    }
    return {name: value for name, value in details.items() if value}


def attributes_as_json(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Attributes as JSON values: several values of one column are a list."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(attributes.items())
    }


def attributes_from_json(body: Mapping[str, Any]) -> dict[str, Attribute]:
    """The reverse of `attributes_as_json`."""
    return {n: tuple(value) if isinstance(value, list) else value for n, value in body.items()}


def weights_as_json(weights: Mapping[str, Weighted]) -> dict[str, list[float]]:
    """By metric: numerator and weight."""
    return {name: [one.numerator, one.weight] for name, one in sorted(weights.items())}


def weights_from_json(body: Mapping[str, Any]) -> dict[str, Weighted]:
    """The reverse of `weights_as_json`."""
    return {name: Weighted(*pair) for name, pair in body.items()}


def _as_json(value: MetricValue) -> list[Any]:
    """[run, value], or [run, value, numerator, weight]."""
    weighted = value.weighted
    pair = [weighted.numerator, weighted.weight] if weighted else []
    return [value.run, value.value, *pair]


def _from_json(body: Sequence[Any]) -> MetricValue:
    run, value, *pair = body
    return MetricValue(run, value, Weighted(*pair) if pair else None)


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
    stills = frozenset(head.get(STILLS, ()))
    return Video(
        video_id=head["video_id"],
        url=Url(head["url"]),
        metrics=head["metrics"],
        status=Status(head["status"]),
        reason=head["reason"],
        run=head["run"],
        media=Media(**head["media"]),
        faces=tuple(_face(row, embeddings[i], stills) for i, row in enumerate(rows)),
        content=Content(**head["content"]) if "content" in head else None,
        names=tuple(Url(name) for name in head.get("names", ())),
        dropped=tuple(head.get("dropped", ())),
        source=Source(**head["source"]) if "source" in head else None,
        attributes=attributes_from_json(head.get("attributes", {})),
        weights=weights_from_json(head.get("weights", {})),
        history={
            name: tuple(_from_json(value) for value in values)
            for name, values in head.get("history", {}).items()
        },
    )


def _face(row: dict[str, Any], embedding: Vectors, stills: Set[int]) -> Face:
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
        still=row["track"] in stills,
    )


def _matrix(faces: Sequence[Face], dimension: int) -> Vectors:
    if not faces:
        return np.zeros((0, dimension), dtype=np.float32)
    return np.stack([face.embedding for face in faces]).astype(np.float32, copy=False)


def _parts(faces: Sequence[Face], dimension: int) -> Iterator[Vectors]:
    """The embeddings of some faces after the other."""
    for start in range(0, len(faces), _PART):
        yield _matrix(faces[start : start + _PART], dimension)


def _digest(
    head: dict[str, Any], rows: Iterable[dict[str, Any]], embeddings: Iterable[Vectors]
) -> str:
    digest = hashlib.sha256(_canonical(head))
    # The JSON of a list of all rows, one at a time: two hours of video have more than 50,000.
    digest.update(b"[")
    for number, row in enumerate(rows):
        digest.update((b"," if number else b"") + _canonical(row))
    digest.update(b"]")
    for part in embeddings:
        digest.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


class Rereads:
    """The marks of videos to be read again, in the blob store of one registry."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def marked(self) -> list[str]:
        """Ids of the marked videos, in order."""
        return [keys.name_in(info.key) for info in self._blobs.list(keys.REREADS)]

    def mark(self, video_id: str) -> None:
        """Mark a video, so that the next ingest of its URL reads it again."""
        self._blobs.put(keys.reread(video_id), b"")

    def unmark(self, video_id: str) -> None:
        """Remove the mark of a video; does nothing if there is none."""
        self._blobs.delete(keys.reread(video_id))
