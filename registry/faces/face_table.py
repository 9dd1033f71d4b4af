"""The faces of one video as arrays.

As objects with strings and arrays of their own, a face takes 1.7 kB; here it takes 0.8 kB with 128
dimensions, and none of it is copied to give the faces identities. So an ingest can hold those of a
long video. Iterating makes the objects one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from registry.domain import Box, Face, Quality, Vectors

PART = 1024
"""Faces in one set of arrays: 0.8 MB with 128 dimensions."""

_Texts = NDArray[np.bytes_]
_Numbers = NDArray[Any]


class _Part(NamedTuple):
    """Up to `PART` faces: an array for each field of `Face`, of as many rows."""

    face_id: _Texts
    frame: _Numbers
    position: _Numbers
    time_s: _Numbers
    span_s: _Numbers
    box: _Numbers
    landmarks: _Numbers
    det_score: _Numbers
    quality: _Numbers
    reasons: _Texts
    track: _Numbers
    crop: _Texts
    crop_digest: _Texts
    embedding: _Numbers
    identity_id: _Texts
    still: _Numbers

    @classmethod
    def of(cls, faces: Sequence[Face]) -> _Part:
        """The arrays of these faces, one or more."""
        boxes = [(face.box.x1, face.box.y1, face.box.x2, face.box.y2) for face in faces]
        return cls(
            face_id=_texts(face.face_id for face in faces),
            frame=np.array([face.frame for face in faces], np.int64),
            position=np.array([face.position for face in faces], np.int32),
            time_s=np.array([face.time_s for face in faces], np.float64),
            span_s=np.array([face.span_s for face in faces], np.float64),
            box=np.array(boxes, np.float64),
            landmarks=np.stack([face.landmarks for face in faces], dtype=np.float32),
            det_score=np.array([face.det_score for face in faces], np.float64),
            quality=np.array([face.quality.score for face in faces], np.float64),
            reasons=_texts(",".join(face.quality.reasons) for face in faces),
            track=np.array([face.track for face in faces], np.int32),
            crop=_texts(face.crop for face in faces),
            crop_digest=_texts(face.crop_digest for face in faces),
            embedding=np.stack([face.embedding for face in faces], dtype=np.float32),
            identity_id=_texts(face.identity_id for face in faces),
            still=np.array([face.still for face in faces], np.bool_),
        )

    def faces(self) -> Iterator[Face]:
        """The faces, one after the other."""
        return map(_face, *(_cells(name, column) for name, column in self._asdict().items()))


class FaceTable(Sequence[Face]):
    """The faces of one video, in order. They cannot be changed."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        """All parts but the last have `PART` faces. Use `of` or `load`."""
        self._parts = tuple(parts)

    @classmethod
    def of(cls, faces: Iterable[Face]) -> FaceTable:
        """These faces, which are taken one by one."""
        left = iter(faces)
        return cls([_Part.of(part) for part in iter(lambda: [*islice(left, PART)], [])])

    def __len__(self) -> int:
        """How many there are."""
        return sum(len(part.frame) for part in self._parts)

    def __iter__(self) -> Iterator[Face]:
        """Each face, made when it is asked for."""
        return chain.from_iterable(part.faces() for part in self._parts)

    @overload
    def __getitem__(self, place: int) -> Face: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Face]: ...
    def __getitem__(self, place: int | slice) -> Face | Sequence[Face]:
        """One face, or several as objects."""
        numbers = range(len(self))[place]
        if not isinstance(numbers, range):
            return next(self._between(numbers, numbers + 1))
        if numbers.step == 1:
            return [*self._between(numbers.start, numbers.stop)]
        return [self[number] for number in numbers]

    def _between(self, start: int, stop: int) -> Iterator[Face]:
        for number in range(start // PART, -(-stop // PART)):
            rows = slice(max(0, start - number * PART), stop - number * PART)
            yield from _Part(*(column[rows] for column in self._parts[number])).faces()

    @property
    def embeddings(self) -> Vectors:
        """float32 (n, D), a copy of all; there must be one face or more."""
        together: Vectors = np.concatenate([part.embedding for part in self._parts])
        return together

    def embedding_parts(self) -> Iterator[Vectors]:
        """The embeddings of each part: float32 (m, D)."""
        return (part.embedding for part in self._parts)

    @property
    def tracks(self) -> NDArray[np.int32]:
        """int32 (n,): their tracks."""
        return np.concatenate([np.empty(0, np.int32), *(part.track for part in self._parts)])

    @property
    def nbytes(self) -> int:
        """How much memory it takes, in bytes."""
        return sum(column.nbytes for part in self._parts for column in part)

    def with_identities(self, identities: Iterable[str]) -> FaceTable:
        """The faces with these identities, one for each."""
        left = iter(identities)
        return self._with("identity_id", lambda rows: _texts(islice(left, rows)))

    def with_stills(self, stills: Iterable[bool]) -> FaceTable:
        """The faces with these marks, one for each: whether it is part of a still picture."""
        left = iter(stills)
        return self._with("still", lambda rows: np.fromiter(left, np.bool_, rows))

    def _with(self, field: str, column: Callable[[int], _Numbers]) -> FaceTable:
        return FaceTable([p._replace(**{field: column(len(p.frame))}) for p in self._parts])

    def save(self, file: BinaryIO) -> None:
        """Write it to an open file. Raises `OSError`."""
        for part in self._parts:
            for column in part:
                np.save(file, column, allow_pickle=False)

    @classmethod
    def load(cls, file: BinaryIO, faces: int) -> FaceTable:
        """What `save` wrote: so many faces. Raises `OSError`, and `ValueError` if it is damaged."""
        parts = [
            _Part(*(np.load(file, allow_pickle=False) for _ in _Part._fields))
            for _ in range(0, faces, PART)
        ]
        return cls(parts)


def embeddings_of(faces: Sequence[Face]) -> Vectors:
    """float32 (n, D) of n faces, one or more."""
    if isinstance(faces, FaceTable):
        return faces.embeddings
    return np.stack([face.embedding for face in faces])


def embedding_parts(faces: Sequence[Face]) -> Iterator[Vectors]:
    """The embeddings of faces in order: float32 (m, D), m up to `PART`."""
    if isinstance(faces, FaceTable):
        yield from faces.embedding_parts()
        return
    for start in range(0, len(faces), PART):
        part = faces[start : start + PART]
        yield np.stack([face.embedding for face in part], dtype=np.float32)


def with_identities(faces: Sequence[Face], identities: Sequence[str]) -> Sequence[Face]:
    """The faces with these identities, one for each."""
    if isinstance(faces, FaceTable):
        return faces.with_identities(identities)
    return tuple(replace(f, identity_id=i) for f, i in zip(faces, identities, strict=True))


def _texts(texts: Iterable[str]) -> _Texts:
    return np.array([text.encode() for text in texts], np.bytes_)


def _cells(name: str, column: _Numbers) -> Iterable[Any]:
    """The values of a column: rows of arrays as arrays, all others as Python's own."""
    return column if name in ("landmarks", "embedding") else column.tolist()


def _face(
    face_id: bytes,
    frame: int,
    position: int,
    time_s: float,
    span_s: float,
    box: Sequence[float],
    landmarks: _Numbers,
    det_score: float,
    quality: float,
    reasons: bytes,
    track: int,
    crop: bytes,
    crop_digest: bytes,
    embedding: Vectors,
    identity_id: bytes,
    still: bool,
) -> Face:
    return Face(
        face_id=face_id.decode(),
        frame=frame,
        position=position,
        time_s=time_s,
        span_s=span_s,
        box=Box(*box),
        landmarks=landmarks,
        det_score=det_score,
        quality=Quality(quality, tuple(reasons.decode().split(",")) if reasons else ()),
        track=track,
        crop=crop.decode(),
        crop_digest=crop_digest.decode(),
        embedding=embedding,
        identity_id=identity_id.decode(),
        still=still,
    )
