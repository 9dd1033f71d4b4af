"""Extracts the faces of a video file: samples, detects, embeds, links tracks, stores crops.

Memory grows with the number of faces, not with the length of the video: an image is released as
soon as its faces are cropped, and embedding runs in batches over several frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ingest.frames import Frame, FrameReader, MediaLimits, OpenVideo, Sampling, VideoReader
from ingest.shots import ShotDetector
from ingest.still_pictures import StillPictures
from ingest.tracks import Sighting, Tracker
from registry import ids
from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Box, Chips, Detection, Face, Image, Media, Quality, Vectors
from registry.faces.boxes import crop_area
from registry.faces.crops import encode_jpeg
from registry.faces.quality import assess, is_comparable, with_length
from registry.models.base import FaceModel, frames_together
from registry.models.entries import least_length

BATCH = 32
"""Faces embedded together, from as many frames as necessary (`benchmarks/models.py`)."""

GROUP_BYTES = 64 << 20
"""Frames of at most this size are detected together: ten of 1080p."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The result of processing one video."""

    faces: tuple[Face, ...]
    """In time order, by position within a frame; no identity yet."""
    media: Media
    reason: str
    """Why the video is partial; "" if all of it was read."""


@dataclass(slots=True)
class _FrameFaces:
    """The faces of one frame that are not embedded yet."""

    index: int
    time_s: float
    span_s: float
    cut: bool
    detections: list[Detection]
    chips: Chips
    qualities: list[Quality]
    crops: dict[str, bytes]
    """The bytes by key, in the order of the detections."""
    places: list[int]
    """Where each face is (`StillPictures.update`)."""


def extract(
    path: Path,
    video_id: str,
    *,
    model: FaceModel,
    blobs: BlobStore,
    sampling: Sampling,
    limits: MediaLimits,
    open_video: OpenVideo = VideoReader,
) -> Extraction:
    """The faces of the sampled frames of a video file; stores their crops.

    Args:
        path: the file.
        video_id: determines the ids of the faces and the keys of the crops.
        model: detects and embeds the faces.
        blobs: where crops are stored.
        sampling: which frames are sampled.
        limits: larger videos are refused.
        open_video: decodes the file.

    Raises:
        MediaError: nothing in the file can be decoded.
        StoreError: a crop cannot be stored.
    """
    faces: list[Face] = []
    places: list[int] = []
    tracker, pictures = Tracker(), StillPictures()
    batch: list[_FrameFaces] = []
    pending = 0
    with open_video(path, sampling=sampling, limits=limits) as reader:
        for frame_faces in _detect(reader, video_id, model, pictures):
            batch.append(frame_faces)
            places += frame_faces.places
            pending += len(frame_faces.detections)
            if pending >= BATCH:
                _store_crops(batch, blobs)
                faces += _embed(batch, video_id, model, tracker)
                batch, pending = [], 0
        _store_crops(batch, blobs)
        faces += _embed(batch, video_id, model, tracker)
        still = pictures.finish()
        marked = _mark_stills(faces, [place in still for place in places])
        return Extraction(marked, reader.media, reader.reason)


def _mark_stills(faces: Sequence[Face], in_place: Sequence[bool]) -> tuple[Face, ...]:
    """The faces, with the mark of those whose tracks show a still picture from beginning to end."""
    moving = {face.track for face, still in zip(faces, in_place, strict=True) if not still}
    return tuple(face if face.track in moving else replace(face, still=True) for face in faces)


def crop(image: Image, box: Box) -> bytes:
    """The face in `box` with a margin, cut out of a BGR uint8 (H, W, 3) image, as JPEG bytes."""
    area = crop_area(box, image.shape[1], image.shape[0])
    pixels = image[area.top : area.bottom, area.left : area.right]
    if (pixels.shape[1], pixels.shape[0]) != area.size:
        pixels = np.asarray(cv2.resize(pixels, area.size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(pixels)


def _store_crops(batch: list[_FrameFaces], blobs: BlobStore) -> None:
    blobs.put_many({key: jpeg for frame in batch for key, jpeg in frame.crops.items()})


def _detect(
    frames: FrameReader, video_id: str, model: FaceModel, pictures: StillPictures
) -> Iterator[_FrameFaces]:
    shots = ShotDetector()
    for frame, detections in _detect_in_groups(frames, model):
        cut = shots.update(frame.image)
        chips = model.align(frame.image, detections)
        qualities = [
            assess(frame.image, detection, chip, model=model.info.name)
            for detection, chip in zip(detections, chips, strict=True)
        ]
        crops = {
            keys.crop(video_id, frame.index, position): crop(frame.image, detection.box)
            for position, detection in enumerate(detections)
        }
        boxes = [detection.box for detection in detections]
        places = pictures.update(frame.time_s, frame.image, shots.thumbnail, boxes)
        yield _FrameFaces(
            frame.index,
            frame.time_s,
            frame.span_s,
            cut,
            detections,
            chips,
            qualities,
            crops,
            places,
        )


def _detect_in_groups(
    frames: FrameReader, model: FaceModel
) -> Iterator[tuple[Frame, list[Detection]]]:
    """The frames and what is found in each; as many together as suit the device."""
    most, group, size = frames_together(model.device), list[Frame](), 0
    for frame in frames:
        group.append(frame)
        size += frame.image.nbytes
        if len(group) >= most or size >= GROUP_BYTES:
            yield from zip(group, model.detect_all([each.image for each in group]), strict=True)
            group, size = [], 0
    yield from zip(group, model.detect_all([each.image for each in group]), strict=True)


def _embed(
    batch: list[_FrameFaces], video_id: str, model: FaceModel, tracker: Tracker
) -> Iterator[Face]:
    if not batch:
        return
    chips = np.concatenate([frame.chips for frame in batch])
    embeddings, lengths = model.embed_with_lengths(chips)
    least, start = least_length(model.info), 0
    for frame in batch:
        own = embeddings[start : start + len(frame.detections)]
        frame.qualities = [
            with_length(quality, float(length), least)
            for quality, length in zip(frame.qualities, lengths[start:], strict=False)
        ]
        start += len(frame.detections)
        tracks = tracker.update(frame.time_s, frame.cut, _sightings(frame, own))
        for position, (detection, (key, jpeg)) in enumerate(
            zip(frame.detections, frame.crops.items(), strict=True)
        ):
            yield Face(
                face_id=ids.face_id(video_id, model.info.digest, frame.index, position),
                frame=frame.index,
                position=position,
                time_s=frame.time_s,
                span_s=frame.span_s,
                box=detection.box,
                landmarks=detection.landmarks,
                det_score=detection.score,
                quality=frame.qualities[position],
                track=tracks[position],
                crop=key,
                crop_digest=hashlib.sha256(jpeg).hexdigest(),
                embedding=own[position],
            )


def _sightings(frame: _FrameFaces, embeddings: Vectors) -> list[Sighting]:
    return [
        Sighting(frame.index, frame.time_s, detection.box, embedding, is_comparable(quality))
        for detection, embedding, quality in zip(
            frame.detections, embeddings, frame.qualities, strict=True
        )
    ]
