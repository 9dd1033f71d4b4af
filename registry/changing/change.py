"""`migrate --model`: the registry as another model sees it, made beside it, shown, and switched to.

The crops are embedded anew and the embeddings kept under `next/` (`registry.core.staging`),
video by video, so that a run that is stopped goes on where it was. The registry in use stays what
it is and may change in between; what changed is brought up at the next run. Until the switch,
nothing of it is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from registry.changing.carrying import carried, spoken_of
from registry.changing.comparing import Comparison, compare, shown
from registry.changing.reembedding import reembed
from registry.core import keys
from registry.core.decisions import Decision, fold
from registry.core.registry import Registry
from registry.core.staging import Staging
from registry.core.switching import Switch
from registry.domain import Contract, EarlierModel, ModelInfo, Vectors, Video
from registry.errors import UsageError
from registry.faces.appearances import identities
from registry.models.base import FaceModel
from registry.models.catalogue import full_source, linkage_threshold
from registry.people import joining
from registry.people.evidence import weigh

Progress = Callable[[int, Video, int], None]
"""Told of each video that took work: which one of all it is, and how many faces were embedded."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changes, before it does."""

    old: Contract
    new: Contract
    videos: tuple[Video, ...]
    """The records to be."""
    faces: int
    """On record now."""
    embedded: int
    """In this run; the others were embedded before."""
    by_landmarks: int
    """Of those, how many the new model did not find by itself."""
    unusable: dict[str, str]
    """Why, by key of the crop: faces without a picture to embed."""
    blocks: tuple[str, ...]
    """Ids; the new model cannot read their templates."""
    calibrated: bool
    """Whether thresholds were measured with the old model."""
    decided: int
    """Identities that decisions name: they keep all their faces. Provisional ones left aside."""
    duplicates: tuple[int, int]
    """Identities that consolidation would join to others, now and after; provisional ones aside."""
    comparison: Comparison

    @property
    def hindrances(self) -> list[str]:
        """Why `switch` refuses unless it is told to go on."""
        found = []
        if self.blocks:
            found.append(
                f"{len(self.blocks)} blocked people could not be recognised any more: a block "
                f"keeps a template of {self.old.model.name} and no picture, so they would be "
                "enrolled again from videos to come; --drop-blocks removes the blocks and "
                "writes a receipt"
            )
        if self.unusable:
            found.append(
                f"{len(self.unusable)} faces have no picture to embed "
                f"(first: {next(iter(self.unusable.values()))}); restore the crops from a backup, "
                "or --drop-faces leaves these faces out for good"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """The document of `migrate --model NAME --json`."""
        return {
            "from": self.old.model.name,
            "to": self.new.model.name,
            "dimension": {"before": self.old.model.dimension, "after": self.new.model.dimension},
            "threshold": self.new.threshold,
            "videos": len(self.videos),
            "faces": {
                "total": self.faces,
                "embedded_now": self.embedded,
                "by_recorded_landmarks": self.by_landmarks,
                "unusable": self.unusable,
            },
            **self.comparison.as_dict(),
            "decided": self.decided,
            "likely_duplicates": {"before": self.duplicates[0], "after": self.duplicates[1]},
            "blocks": list(self.blocks),
            "calibration_dropped": self.calibrated,
            "hindrances": self.hindrances,
        }


def prepare(
    registry: Registry, model: FaceModel, source: str, progress: Progress = lambda *_: None
) -> Change:
    """Embed what is not embedded yet, and say what a switch would change.

    Args:
        registry: an open registry.
        model: the one to change to.
        source: what to pass as --model to load it again; see `target_source`.
        progress: told of each video that took work.

    Raises:
        EmptyRegistry: there is nothing to change.
        UsageError: it is the registry's model already, or a change to a third one was begun.
        ModelError: the model failed. What was done stays.
    """
    with registry.writing():
        registry.index.flush()  # opening it finishes what was cut off
        old, info = registry.contract, model.info
        if info.digest == old.model.digest:
            raise UsageError(f"this registry is built with {old.model.name} already")
        new = replace(old, model=info, model_source=source)
        beside = Staging(registry.blobs)
        beside.begin(new)
        bringing = _Bringing(registry, beside, model, progress)
        videos = tuple(bringing.up())
        beside.prune(registry.records)
    decisions = registry.decisions.entries()
    given = carried(videos, decisions, new.threshold)
    videos = tuple(_named(video, given) for video in videos)
    return Change(
        old=old,
        new=new,
        videos=videos,
        faces=bringing.faces,
        embedded=bringing.embedded,
        by_landmarks=bringing.by_landmarks,
        unusable=bringing.unusable,
        blocks=tuple(block.block_id for block in registry.blocks.all()),
        calibrated=registry.blobs.exists(keys.CALIBRATION),
        decided=_decided(bringing.before, decisions),
        duplicates=(
            joining.likely_duplicates(registry),
            likely_duplicates(registry, videos, info),
        ),
        comparison=compare(bringing.before, given, registry.view, old.primary_metric),
    )


def switch(
    registry: Registry,
    change: Change,
    *,
    drop_blocks: bool = False,
    drop_faces: bool = False,
) -> None:
    """Make the registry what `prepare` said, in one step that a crash does not halve.

    Nothing may have changed the registry since `prepare`: call both while it is held.

    Raises:
        UsageError: it would lose something that it was not told to.
    """
    if (change.blocks and not drop_blocks) or (change.unusable and not drop_faces):
        raise UsageError(f"not switched: {'; and '.join(change.hindrances)}")
    old = change.old.model
    now = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = (*change.old.earlier_models, EarlierModel(old.name, old.digest, now))
    with registry.writing():
        registry.change_model(
            Switch(
                contract=replace(change.new, earlier_models=earlier),
                crops=tuple(change.unusable),
                blocks=change.blocks,
                receipt=str(uuid4()) if change.blocks else "",
            )
        )


def discard(registry: Registry) -> int:
    """Remove what was made beside. Returns how many objects that were."""
    with registry.writing():
        return Staging(registry.blobs).discard()


def target_source(registry: Registry, given: str | None) -> str:
    """The name or folder of the model to change to: what is given, else what was begun before.

    Raises `UsageError` if there is neither.
    """
    if given is not None:
        return full_source(given)
    begun = Staging(registry.blobs).contract
    if begun is None:
        raise UsageError("No change of the model was begun here. Name the model with --model.")
    return begun.model_source


_NONE = np.zeros(0, np.float32)


class _Bringing:
    """Bringing the state beside up to the records, and the counts of it."""

    def __init__(
        self, registry: Registry, beside: Staging, model: FaceModel, progress: Progress
    ) -> None:
        self._registry, self._beside, self._records = registry, beside, beside.records
        self._model, self._progress = model, progress
        self.faces = self.embedded = self.by_landmarks = 0
        self.unusable: dict[str, str] = {}
        self.before: list[Video] = []
        """The records as they are, without embeddings."""

    def up(self) -> Iterator[Video]:
        """Every video with its new embeddings; faces without one are left out."""
        for number, video in enumerate(self._registry.records.all(), start=1):
            yield self._one(number, video)

    def _one(self, number: int, video: Video) -> Video:
        bare = tuple(replace(face, embedding=_NONE) for face in video.faces)
        self.before.append(replace(video, faces=bare))
        known = self._beside.embeddings(video)
        missing = [face for face in video.faces if face.face_id not in known]
        wanted = {face.face_id for face in missing}
        done = reembed(video, wanted, self._model, self._registry.blobs)
        known |= done.embeddings
        faces = tuple(
            replace(face, embedding=known[face.face_id])
            for face in video.faces
            if face.face_id in known
        )
        video = replace(video, faces=faces)
        if done.embeddings:
            self._records.put(video)
            self._progress(number, video, len(done.embeddings))
        crops = {face.face_id: face.crop for face in missing}
        self.faces += len(faces) + len(done.unusable)
        self.embedded += len(done.embeddings)
        self.by_landmarks += len(done.by_landmarks)
        self.unusable |= {crops[face_id]: why for face_id, why in done.unusable.items()}
        return video


def _decided(videos: Sequence[Video], decisions: Sequence[Decision]) -> int:
    view = fold(decisions)
    everyone = identities((shown(video, view) for video in videos), view.name_of, view.same_as)
    there = {one.identity_id for one in everyone if not one.provisional}
    return len(there & {view.root(identity) for identity in spoken_of(decisions)})


def _named(video: Video, given: dict[str, str]) -> Video:
    faces = (replace(face, identity_id=given[face.face_id]) for face in video.faces)
    return replace(video, faces=tuple(faces))


def likely_duplicates(registry: Registry, videos: Sequence[Video], model: ModelInfo) -> int:
    """How many identities would join others, if these were the records, provisional ones aside.

    Args:
        registry: says what people decided.
        videos: records with embeddings of `model`.
        model: whose linkage threshold counts.
    """
    view = registry.view
    as_seen = [shown(video, view) for video in videos]
    everyone = identities(as_seen, view.name_of, view.same_as)
    evidence = weigh(registry, _points(as_seen), everyone, model.dimension)
    groups = joining.duplicates(registry, evidence, threshold=linkage_threshold(model))
    return joining.joining_others(groups, everyone)


def _points(videos: Sequence[Video]) -> Iterator[tuple[dict[str, Any], Vectors]]:
    for video in videos:
        for face in video.faces:
            payload = {
                "identity_id": face.identity_id,
                "video_id": video.video_id,
                "track": face.track,
                "frame": face.frame,
                "box": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
                "quality": face.quality.score,
                "reasons": list(face.quality.reasons),
            }
            yield payload, face.embedding
