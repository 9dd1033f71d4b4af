"""Extracts the faces of a video file: samples, detects, embeds, links tracks, stores crops.

Memory grows with the number of faces, not with the length of the video: an image is released as
soon as its faces are cropped, and embedding runs in batches over several frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ingest.frames import Frame, FrameReader, MediaLimits, OpenVideo, Sampling
from ingest.ordered_threads import OrderedThreads, ThreadLimit
from ingest.shots import ShotDetector
from ingest.stage_times import StageTimes
from ingest.still_pictures import StillPictures
from ingest.tracks import Sighting, Tracker
from registry import ids
from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Box, Chips, Detection, Face, Image, Media, Quality, Vectors
from registry.faces.boxes import crop_area
from registry.faces.crops import encode_jpeg
from registry.faces.face_table import FaceTable
from registry.faces.quality import assess, is_comparable, with_length
from registry.models.base import FaceModel, frames_together
from registry.models.entries import least_length

BATCH = 32
"""Faces handed to the model together, from as many frames as necessary. How many of them it embeds
in one run is decided in `registry.models.recognition`."""

GROUP_BYTES = 64 << 20
"""Frames of at most this size are detected together: ten of 1080p."""


_NO_IMAGE: Image = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Extraction:
    """The result of processing one video."""

    faces: Sequence[Face]
    """In time order, by position within a frame; no identity yet."""
    media: Media
    reason: str
    """Why the video is partial; "" if all of it was read."""
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    """By stage (`ingest.stage_times`)."""


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
    crops: list[bytes]
    """JPEG; empty once they are stored."""
    digests: list[str]
    """SHA-256 of the crops."""
    image: Image
    """Until it is known where the faces are; empty afterwards."""
    thumbnail: Image


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A frame and what the frames before it tell about it."""

    frame: Frame
    cut: bool
    """Whether a shot begins with it."""
    thumbnail: Image


def extract(
    path: Path,
    video_id: str,
    *,
    model: FaceModel,
    blobs: BlobStore,
    sampling: Sampling,
    limits: MediaLimits,
    open_video: OpenVideo | None = None,
    threads: ThreadLimit | None = None,
) -> Extraction:
    """The faces of the sampled frames of a video file; stores their crops.

    Args:
        path: the file.
        video_id: determines the ids of the faces and the keys of the crops.
        model: detects and embeds the faces.
        blobs: where crops are stored.
        sampling: which frames are sampled.
        limits: larger videos are refused.
        open_video: decodes the file; in this process if None.
        threads: how many may use the model at once, on the CPU. The result is the same.

    Raises:
        MediaError: nothing in the file can be decoded.
        StoreError: a crop cannot be stored.
    """
    if open_video is None:
        from ingest.frames.reader import VideoReader

        open_video = VideoReader
    times, pictures, places = StageTimes(), StillPictures(), list[int]()
    digest = model.info.digest
    with (
        closing(OrderedThreads(threads if model.device == "cpu" else None)) as pool,
        open_video(path, sampling=sampling, limits=limits) as reader,
    ):
        groups = _groups(reader, model.device, times)
        found = chain.from_iterable(pool.map(partial(_find, model, times=times), groups))
        placed = _placed(found, pictures, places, times)
        stored = _stored(_batches(placed), video_id, blobs, times)
        embedded = pool.map(partial(_embed, model, times=times), stored)
        faces = FaceTable.of(_link(embedded, video_id, digest, times))
        still = pictures.finish()
        marked = _mark_stills(faces, [place in still for place in places])
        return Extraction(marked, reader.media, reader.reason, times.seconds())


def _mark_stills(faces: FaceTable, in_place: Sequence[bool]) -> FaceTable:
    """The faces, with the mark of those whose tracks show a still picture from beginning to end."""
    tracks = faces.tracks.tolist()
    moving = {track for track, still in zip(tracks, in_place, strict=True) if not still}
    return faces.with_stills(track not in moving for track in tracks)


def crop(image: Image, box: Box) -> bytes:
    """The face in `box` with a margin, cut out of a BGR uint8 (H, W, 3) image, as JPEG bytes."""
    area = crop_area(box, image.shape[1], image.shape[0])
    pixels = image[area.top : area.bottom, area.left : area.right]
    if (pixels.shape[1], pixels.shape[0]) != area.size:
        pixels = np.asarray(cv2.resize(pixels, area.size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(pixels)


def _groups(frames: FrameReader, device: str, times: StageTimes) -> Iterator[list[_Sampled]]:
    """The frames; as many together as suit the device."""
    shots = ShotDetector()
    most, group, size = frames_together(device), list[_Sampled](), 0
    for frame in _timed(frames, times):
        group.append(_Sampled(frame, shots.update(frame.image), shots.thumbnail))
        size += frame.image.nbytes
        if len(group) >= most or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _timed(frames: FrameReader, times: StageTimes) -> Iterator[Frame]:
    """The frames; what they take is decoding, except for copying them."""
    transferred = 0.0
    iterator = iter(frames)
    while True:
        started = perf_counter()
        frame = next(iterator, None)
        seconds, before = perf_counter() - started, transferred
        transferred = frames.transfer_s
        times.add("transfer", transferred - before)
        times.add("decode", seconds - (transferred - before))
        if frame is None:
            return
        yield frame


def _find(model: FaceModel, group: list[_Sampled], *, times: StageTimes) -> list[_FrameFaces]:
    """The faces of some frames, not embedded yet."""
    with times.measuring("detect"):
        found = model.detect_all([sampled.frame.image for sampled in group])
    return [
        _prepare(model, sampled, detections, times)
        for sampled, detections in zip(group, found, strict=True)
    ]


def _prepare(
    model: FaceModel, sampled: _Sampled, detections: list[Detection], times: StageTimes
) -> _FrameFaces:
    """The faces of a frame, cut out and assessed."""
    frame = sampled.frame
    with times.measuring("align"):
        chips = model.align(frame.image, detections)
    with times.measuring("quality"):
        qualities = [
            assess(frame.image, detection, chip, model=model.info.name)
            for detection, chip in zip(detections, chips, strict=True)
        ]
    with times.measuring("crop"):
        crops = [crop(frame.image, detection.box) for detection in detections]
        digests = [hashlib.sha256(jpeg).hexdigest() for jpeg in crops]
    return _FrameFaces(
        frame.index,
        frame.time_s,
        frame.span_s,
        sampled.cut,
        detections,
        chips,
        qualities,
        crops,
        digests,
        frame.image,
        sampled.thumbnail,
    )


def _placed(
    frames: Iterable[_FrameFaces], pictures: StillPictures, places: list[int], times: StageTimes
) -> Iterator[_FrameFaces]:
    """The frames, once `places` has those of their faces; their images are released."""
    for frame in frames:
        with times.measuring("still"):
            boxes = [detection.box for detection in frame.detections]
            places += pictures.update(frame.time_s, frame.image, frame.thumbnail, boxes)
        frame.image = frame.thumbnail = _NO_IMAGE
        yield frame


def _stored(
    batches: Iterable[list[_FrameFaces]], video_id: str, blobs: BlobStore, times: StageTimes
) -> Iterator[list[_FrameFaces]]:
    """The batches, once their crops are stored; the crops are released."""
    for batch in batches:
        with times.measuring("store"):
            blobs.put_many(
                {
                    keys.crop(video_id, frame.index, position): jpeg
                    for frame in batch
                    for position, jpeg in enumerate(frame.crops)
                }
            )
        for frame in batch:
            frame.crops = []
        yield batch


def _batches(frames: Iterable[_FrameFaces]) -> Iterator[list[_FrameFaces]]:
    """The frames in batches of at least `BATCH` faces, but for the last."""
    batch, pending = list[_FrameFaces](), 0
    for frame in frames:
        batch.append(frame)
        pending += len(frame.detections)
        if pending >= BATCH:
            yield batch
            batch, pending = [], 0
    if batch:
        yield batch


def _embed(
    model: FaceModel, batch: list[_FrameFaces], *, times: StageTimes
) -> list[tuple[_FrameFaces, Vectors]]:
    """The frames with the embeddings of their faces; the qualities are completed."""
    with times.measuring("embed"):
        chips = np.concatenate([frame.chips for frame in batch])
        embeddings, lengths = model.embed_with_lengths(chips)
    least, start = least_length(model.info), 0
    embedded = []
    for frame in batch:
        end = start + len(frame.detections)
        frame.qualities = [
            with_length(quality, float(length), least)
            for quality, length in zip(frame.qualities, lengths[start:end], strict=True)
        ]
        embedded.append((frame, embeddings[start:end]))
        start = end
    return embedded


def _link(
    batches: Iterable[list[tuple[_FrameFaces, Vectors]]],
    video_id: str,
    model_digest: str,
    times: StageTimes,
) -> Iterator[Face]:
    """The faces with their tracks."""
    tracker = Tracker()
    for frame, embeddings in chain.from_iterable(batches):
        with times.measuring("link"):
            tracks = tracker.update(frame.time_s, frame.cut, _sightings(frame, embeddings))
        for position, detection in enumerate(frame.detections):
            yield Face(
                face_id=ids.face_id(video_id, model_digest, frame.index, position),
                frame=frame.index,
                position=position,
                time_s=frame.time_s,
                span_s=frame.span_s,
                box=detection.box,
                landmarks=detection.landmarks,
                det_score=detection.score,
                quality=frame.qualities[position],
                track=tracks[position],
                crop=keys.crop(video_id, frame.index, position),
                crop_digest=frame.digests[position],
                embedding=embeddings[position],
            )


def _sightings(frame: _FrameFaces, embeddings: Vectors) -> list[Sighting]:
    return [
        Sighting(frame.index, frame.time_s, detection.box, embedding, is_comparable(quality))
        for detection, embedding, quality in zip(
            frame.detections, embeddings, frame.qualities, strict=True
        )
    ]
