"""The nouns: video, face, appearance, identity. Values only; nothing here does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.redaction import Url

Image: TypeAlias = NDArray[np.uint8]
"""BGR uint8 (H, W, 3)."""

Chips: TypeAlias = NDArray[np.uint8]
"""BGR uint8 (n, 112, 112, 3): faces aligned to the ArcFace template."""

Vectors: TypeAlias = NDArray[np.float32]
"""float32 (n, D), or (D,) for one; each row L2-normalised."""

Lengths: TypeAlias = NDArray[np.float32]
"""float32 (n,): lengths of embeddings before they were normalised."""

Landmarks: TypeAlias = NDArray[np.float32]
"""float32 (5, 2), px: left eye, right eye, nose tip, left and right mouth corner, as seen."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright frame; x to the right, y down."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """px."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """px."""
        return self.y2 - self.y1


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector says of one face in one image."""

    box: Box
    landmarks: Landmarks
    score: float
    """0 to 1, the detector's own confidence."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How much a face can be trusted to tell people apart."""

    score: float
    """0 (useless) to 1 (as good as a portrait)."""
    reasons: tuple[str, ...] = ()
    """Why a face counts as poor: codes of `registry.faces.quality`; empty for a good face."""


@dataclass(frozen=True, slots=True)
class Face:
    """One detection in one sampled frame of one video."""

    face_id: str
    """UUIDv5 of video, model, frame and position."""
    frame: int
    """0-based number of the frame in the video's own order of presentation."""
    position: int
    """0-based, left to right among the faces of the frame."""
    time_s: float
    """When the frame is shown: seconds from the first frame."""
    span_s: float
    """How long the frame stands for: seconds until the next sampled one."""
    box: Box
    landmarks: Landmarks
    det_score: float
    """0 to 1."""
    quality: Quality
    track: int
    """0-based number, within its video, of the track that the face belongs to."""
    crop: str
    """Key of the crop in the blob store."""
    crop_digest: str
    """sha256 of the crop's bytes, hexadecimal."""
    embedding: Vectors
    """float32 (D,), L2-normalised."""
    identity_id: str = ""
    """The identity it was given; empty until it is assigned."""
    still: bool = False
    """Whether it is part of a still picture: its track keeps its pixels from beginning to end
    (`ingest.still_pictures`)."""


class Status(StrEnum):
    """How far a video came."""

    DONE = "done"
    PARTIAL = "partial"
    """Some of it could not be decoded; what could be is in the registry."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Media:
    """What the decoder found out about a video."""

    duration_s: float = 0.0
    """Seconds from the first to the end of the last decoded frame."""
    width: int = 0
    """px, upright."""
    height: int = 0
    """px, upright."""
    codec: str = ""
    frames_sampled: int = 0
    frames_damaged: int = 0


@dataclass(frozen=True, slots=True)
class Appearance:
    """One identity in one video."""

    identity_id: str
    faces: int
    first_s: float
    last_s: float
    screen_time_s: float
    """Seconds: the sum of the spans of the sampled frames that show the identity."""
    best_face: str
    """face_id of its face of highest quality."""
    best_crop: str
    """Key of that face's crop."""
    best_quality: float
    """0 to 1; 0 for a poor face, which stands as cover only where there is no other."""
    established: bool = True
    """Whether it shows somebody for certain: by a good face, or by poor ones in one track that are
    certainly faces (see `registry.faces.appearances.STEADY`)."""
    still: bool = False
    """Whether all its faces are parts of still pictures. It counts in no average."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of the file that a video was read from."""

    sha256: str
    """Hexadecimal, in lower case."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the server or the file system said of a file when it was fetched.

    A later ingest compares it, to notice that a file was replaced under the same name.
    """

    size: int = 0
    """Bytes; 0: unknown."""
    modified: str = ""
    """Of a local file ISO 8601 (UTC, microseconds), of a download the header Last-Modified."""
    etag: str = ""
    """The header ETag."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A mean as numerator and weight, so that it can be averaged further."""

    numerator: float
    """Sum of value times weight."""
    weight: float
    """Sum of the weights, zero or more."""


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A value that a metric of a video had, and the run that brought it."""

    run: str
    value: float | None
    """None: the run cleared it."""
    weighted: Weighted | None = None
    """Of a weighted mean: what it was computed from."""


AttributeValue: TypeAlias = str | int | float
"""A date or time is text in ISO 8601."""
Attribute: TypeAlias = AttributeValue | tuple[AttributeValue, ...]
"""Of a column that is not a metric: one value, or the different values of a video's rows."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video with its metrics and everything found in it: the registry's record, whole."""

    video_id: str
    """UUIDv5 of the canonical URL that it was recorded under."""
    url: Url
    """Canonical: what the id is computed from."""
    metrics: Mapping[str, float]
    """Performance by metric name; a metric without a value is left out."""
    status: Status
    faces: Sequence[Face] = ()
    """In time order; by position within a frame. Not to be changed."""
    media: Media = field(default_factory=Media)
    reason: str = ""
    """Why it failed or is partial; empty if done."""
    run: str = ""
    """Id of the run that read it."""
    content: Content | None = None
    """None if it was recorded by a version that did not compute it, or could not be read."""
    names: tuple[Url, ...] = ()
    """Other canonical URLs of the same content."""
    dropped: tuple[str, ...] = ()
    """Names of the query parameters that its URLs had and that are not part of its name."""
    source: Source | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """By column: the columns of its rows that are not metrics."""
    weights: Mapping[str, Weighted] = field(default_factory=dict)
    """By metric, for weighted means."""
    history: Mapping[str, tuple[MetricValue, ...]] = field(default_factory=dict)
    """By metric, oldest first; the last one is the current value. Without an entry, the current
    value came with `run`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One person, as far as the rule and people's decisions tell."""

    identity_id: str
    """UUIDv5 of its founding face."""
    name: str
    """Given by a person; empty if nobody has."""
    videos: int
    faces: int
    screen_time_s: float
    cover: str
    """Key of the crop that stands for it: its face of highest quality."""
    cover_face: str
    """face_id of that face."""
    provisional: bool = False
    """Whether no appearance establishes it and nobody named it: a hand taken for a face, a blur.
    Lists, reports and counts leave it out until a better face joins it or a person names it. So
    they do with an identity that a person hid, until that decision is undone."""
    still: bool = False
    """Whether all its appearances are still pictures: a logo, a poster, the cover of a podcast.
    Lists show it as such, and it has no average."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a registry must know of a model to refuse another."""

    name: str
    digest: str
    """sha256 over the weights of detector and recogniser."""
    dimension: int
    """D of its embeddings."""
    verification_threshold: float
    """Cosine at and above which two photos are one person; its source is in the catalogue."""


@dataclass(frozen=True, slots=True)
class EarlierModel:
    """A model that a registry was built with before it changed to another."""

    name: str
    digest: str
    """As in `ModelInfo`; the ids of faces that it found were made with it."""
    until: str
    """When the registry changed: ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What every part of one registry was built with; checked at each use.

    It is written once, and again for each change of the model, `max_gap_s` or `cuts`.
    """

    registry_id: str
    model: ModelInfo
    model_source: str
    """What to pass as --model to load it again: a catalogue name or a folder."""
    threshold: float
    """Cosine at and above which a face joins the identity of its nearest neighbour."""
    every: int
    """One frame in so many is looked at."""
    primary_metric: str
    """The metric that reports call average_performance."""
    schema: int
    earlier_models: tuple[EarlierModel, ...] = ()
    """Oldest first."""
    max_gap_s: float | None = None
    """A frame is also looked at where more than so many seconds would pass without one; None: no
    limit. Registries of version 0.1 have none, and no `cuts`."""
    cuts: bool = False
    """Whether a frame is also looked at behind each cut."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without those of the last three that are not set."""
        earlier = [
            {"name": one.name, "digest": one.digest, "until": one.until}
            for one in self.earlier_models
        ]
        return {
            "registry_id": self.registry_id,
            "model": {
                "name": self.model.name,
                "digest": self.model.digest,
                "dimension": self.model.dimension,
                "verification_threshold": self.model.verification_threshold,
            },
            "model_source": self.model_source,
            "threshold": self.threshold,
            "every": self.every,
            "primary_metric": self.primary_metric,
            "schema": self.schema,
            **({"earlier_models": earlier} if earlier else {}),
            **({"max_gap_s": self.max_gap_s} if self.max_gap_s is not None else {}),
            **({"cuts": True} if self.cuts else {}),
        }
