"""Boxes, tracks and identities for annotation tools: COCO, and the video labels of FiftyOne.

Formats: https://cocodataset.org/#format-data, and
https://github.com/voxel51/eta/blob/develop/docs/video_labels_guide.md, which FiftyOne's
`FiftyOneVideoLabelsDataset` holds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from registry.core.exports import record_exports
from registry.core.points import IndexedFace, IndexedVideo
from registry.core.registry import Registry
from registry.domain import Status
from registry.system.files import atomic_file


def write_coco(registry: Registry, path: Path) -> int:
    """Write every face as an annotation of COCO (object detection), in one JSON file.

    An image is a sampled frame in which a face was found: its `file_name` is `<video>_<frame>.jpg`,
    with frames counted from 0. The frames themselves are not stored, so the file holds no pictures.
    The one category is `face`. An annotation has `bbox` (x, y, width, height in px), `score`, and
    `track_id`, which is unique in the file; its `attributes` name the identity. Beyond COCO,
    `videos` and `identities` list these, and an image has `video_id`, `frame` and `time_s`.

    Args:
        registry: an open registry that has ingested something.
        path: of the JSON file.

    Returns:
        The number of annotations.
    """
    names = _names(registry)
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    tracks: dict[tuple[str, int], int] = {}
    for video, frames in _frames(registry):
        videos.append(
            {
                "id": len(videos) + 1,
                "video": video.video_id,
                "name": video.url.exposed(),
                "width": video.media.width,
                "height": video.media.height,
                "duration_s": video.media.duration_s,
            }
        )
        for frame, faces in frames.items():
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": f"{video.video_id}_{frame}.jpg",
                    "width": video.media.width,
                    "height": video.media.height,
                    "video_id": videos[-1]["id"],
                    "frame": frame,
                    "time_s": faces[0].time_s,
                }
            )
            for face in faces:
                track = tracks.setdefault((face.video_id, face.track), len(tracks) + 1)
                box = face.box
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": images[-1]["id"],
                        "category_id": 1,
                        "bbox": [box.x1, box.y1, box.width, box.height],
                        "area": box.width * box.height,
                        "iscrowd": 0,
                        "score": face.det_score,
                        "track_id": track,
                        "attributes": {
                            "identity": face.identity_id,
                            "name": names[face.identity_id],
                            "quality": face.quality.score,
                        },
                    }
                )
    document = {
        "info": {"description": "Faces of a face-registry", "version": "1"},
        "licenses": [],
        "categories": [{"id": 1, "name": "face", "supercategory": "person"}],
        "videos": videos,
        "images": images,
        "annotations": annotations,
        "identities": [{"identity": one, "name": name} for one, name in sorted(names.items())],
    }
    _write(path, document)
    record_exports(registry, "coco", [path])
    return len(annotations)


def write_fiftyone(registry: Registry, folder: Path) -> int:
    """Write the faces of every video as a `FiftyOneVideoLabelsDataset`, without the videos.

    `labels/<video>.json` holds the faces of a video: `label` is the name of the identity or its id,
    `index` the track, and attributes give the identity and the quality. Frames are counted from 1,
    and boxes are shares of the frame, as FiftyOne has them. `data.json` says where each video is:
    its path, or its URL, in the place of which FiftyOne needs the path of a copy.

    Args:
        registry: an open registry that has ingested something.
        folder: that is made if it is not there; files of the same names are replaced.

    Returns:
        The number of faces.
    """
    names = _names(registry)
    places: dict[str, str] = {}
    written: list[Path] = []
    count = 0
    for video, frames in _frames(registry):
        width, height = video.media.width, video.media.height
        if not width or not height:
            continue  # a share of an unknown size is not known
        places[video.video_id] = video.url.exposed()
        labels: dict[str, Any] = {}
        for frame, faces in frames.items():
            objects = [_detected(face, names[face.identity_id], width, height) for face in faces]
            number = frame + 1
            labels[str(number)] = {"frame_number": number, "objects": {"objects": objects}}
            count += len(objects)
        written.append(folder / "labels" / f"{video.video_id}.json")
        _write(written[-1], {"frames": labels})
    written.append(folder / "data.json")
    _write(written[-1], places)
    record_exports(registry, "fiftyone", written)
    return count


def _detected(face: IndexedFace, name: str, width: int, height: int) -> dict[str, Any]:
    box = face.box
    return {
        "label": name or face.identity_id,
        "bounding_box": {
            "top_left": {"x": box.x1 / width, "y": box.y1 / height},
            "bottom_right": {"x": box.x2 / width, "y": box.y2 / height},
        },
        "confidence": face.det_score,
        "index": face.track,
        "attrs": {
            "attrs": [
                {
                    "type": "eta.core.data.CategoricalAttribute",
                    "name": "identity",
                    "value": face.identity_id,
                },
                {
                    "type": "eta.core.data.NumericAttribute",
                    "name": "quality",
                    "value": face.quality.score,
                },
            ]
        },
    }


def _names(registry: Registry) -> dict[str, str]:
    return {one.identity_id: one.name for one in registry.index.identities()}


def _frames(registry: Registry) -> Iterator[tuple[IndexedVideo, dict[int, list[IndexedFace]]]]:
    """The videos that were read, in order of URL, with the faces of each sampled frame."""
    by_video: dict[str, dict[int, list[IndexedFace]]] = defaultdict(dict)
    ordered = sorted(registry.index.faces(), key=attrgetter("video_id", "frame", "crop"))
    for face in ordered:
        by_video[face.video_id].setdefault(face.frame, []).append(face)
    for video in sorted(registry.index.videos(), key=lambda one: one.url.exposed()):
        if video.status is not Status.FAILED:
            yield video, by_video.get(video.video_id, {})


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as aside:
        Path(aside).write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
