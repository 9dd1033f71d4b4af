"""From one video file to its faces: sample, detect, embed, link into tracks, keep the crops.

Memory does not grow with the length of the video but by its faces: images are let go as soon as
their faces are cut out, and embedding runs in batches over several frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.crops import crop
from ingest.frames import Frame, FrameReader, MediaLimits, OpenVideo, VideoReader
from ingest.shots import ShotDetector
from ingest.tracks import Sighting, Tracker
from registry import ids
from registry.blobs.base import BlobStore
from registry.domain import Chips, Detection, Face, Media, Quality, Vectors
from registry.models.base import FaceModel
from registry.quality import assess, founds

BATCH = 32
"""Faces embedded together, over as many frames as it takes (`benchmarks/models.py`)."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one video gave."""

    faces: tuple[Face, ...]
    """In time order, by position within a frame; no identity yet."""
    media: Media
    reason: str
    """Why it is partial; empty if all of it was read."""


@dataclass(slots=True)
class _Seen:
    """The faces of one frame, waiting to be embedded."""

    frame: int
    time_s: float
    span_s: float
    cut: bool
    detections: list[Detection]
    chips: Chips
    qualities: list[Quality]
    crops: list[tuple[str, str]]


def extract(
    path: Path,
    video_id: str,
    *,
    model: FaceModel,
    blobs: BlobStore,
    every: int,
    limits: MediaLimits,
    open_video: OpenVideo = VideoReader,
) -> Extraction:
    """Every face in every `every`-th frame of a video file; their crops are stored on the way.

    Args:
        path: the file.
        video_id: whose crops and face ids these are.
        every: one frame in so many is sampled.
        limits: what is refused.
        open_video: what reads its frames.

    Raises:
        MediaError: nothing in the file can be decoded.
        StoreError: a crop cannot be kept.
    """
    faces: list[Face] = []
    tracker = Tracker()
    waiting: list[_Seen] = []
    pending = 0
    with open_video(path, every=every, limits=limits) as reader:
        for seen in _look(reader, video_id, model, blobs):
            waiting.append(seen)
            pending += len(seen.detections)
            if pending >= BATCH:
                faces += _embed(waiting, video_id, model, tracker)
                waiting, pending = [], 0
        faces += _embed(waiting, video_id, model, tracker)
        return Extraction(tuple(faces), reader.media, reader.reason)


def _look(
    frames: FrameReader, video_id: str, model: FaceModel, blobs: BlobStore
) -> Iterator[_Seen]:
    shots = ShotDetector()
    for frame in frames:
        cut = shots.update(frame.image)
        detections = model.detect(frame.image)
        chips = model.align(frame.image, detections)
        qualities = [
            assess(frame.image, detection, chip, model=model.info.name)
            for detection, chip in zip(detections, chips, strict=True)
        ]
        crops = [
            _keep(frame, detection, ids.crop_key(video_id, frame.index, position), blobs)
            for position, detection in enumerate(detections)
        ]
        yield _Seen(
            frame.index, frame.time_s, frame.span_s, cut, detections, chips, qualities, crops
        )


def _keep(frame: Frame, detection: Detection, key: str, blobs: BlobStore) -> tuple[str, str]:
    picture = crop(frame.image, detection.box)
    blobs.put(key, picture)
    return key, hashlib.sha256(picture).hexdigest()


def _embed(
    waiting: list[_Seen], video_id: str, model: FaceModel, tracker: Tracker
) -> Iterator[Face]:
    if not waiting:
        return
    embeddings = model.embed(np.concatenate([seen.chips for seen in waiting]))
    start = 0
    for seen in waiting:
        own = embeddings[start : start + len(seen.detections)]
        start += len(seen.detections)
        tracks = tracker.update(seen.time_s, seen.cut, _sightings(seen, own))
        for position, detection in enumerate(seen.detections):
            key, digest = seen.crops[position]
            yield Face(
                face_id=ids.face_id(video_id, model.info.digest, seen.frame, position),
                frame=seen.frame,
                position=position,
                time_s=seen.time_s,
                span_s=seen.span_s,
                box=detection.box,
                landmarks=detection.landmarks,
                det_score=detection.score,
                quality=seen.qualities[position],
                track=tracks[position],
                crop=key,
                crop_digest=digest,
                embedding=own[position],
            )


def _sightings(seen: _Seen, embeddings: Vectors) -> list[Sighting]:
    return [
        Sighting(seen.frame, seen.time_s, detection.box, embedding, founds(quality))
        for detection, embedding, quality in zip(
            seen.detections, embeddings, seen.qualities, strict=True
        )
    ]
