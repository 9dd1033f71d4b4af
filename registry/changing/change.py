"""Changing the model of a registry: `migrate --model` prepares, previews and makes the switch.

The crops are embedded anew, and the new records are staged under `next/` (`registry.core.staging`)
video by video, so that a run that was stopped continues where it was. The registry in use is not
touched until the switch. It may change in between; the next run stages what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from registry.changing.preview import Preview, preview_change
from registry.changing.reassignment import named_identities, reassign
from registry.changing.reembedding import reembed
from registry.core import keys
from registry.core.decisions import Decision, View, relabelled
from registry.core.points import indexed_faces
from registry.core.registry import Registry
from registry.core.staging import Staging
from registry.core.switching import Switch
from registry.domain import Contract, EarlierModel, Identity, ModelInfo, Video
from registry.errors import UsageError
from registry.faces.appearances import identities
from registry.models.base import FaceModel
from registry.models.catalogue import full_source, linkage_threshold
from registry.people import joining
from registry.people.evidence import evidence_from
from registry.people.face_sums import add_up

Progress = Callable[[int, Video, int], None]
"""Called for each video that took work: the number of the video, the video, and the number of
faces that were embedded."""


@dataclass(frozen=True, slots=True)
class ModelChange:
    """A change of the model that is prepared and not yet made."""

    old: Contract
    new: Contract
    videos: tuple[Video, ...]
    """The records after the change."""
    faces: int
    """Faces on record now."""
    embedded: int
    """Faces embedded in this run; the others were embedded before."""
    by_landmarks: int
    """Of those, the number that the new model did not detect."""
    unusable: dict[str, str]
    """Faces without a picture to embed: the reason by key of the crop."""
    blocks: tuple[str, ...]
    """Ids of blocks, whose templates the new model cannot use."""
    calibrated: bool
    """Whether the registry has a calibration, which was measured with the old model."""
    decided: int
    """Established identities in decisions: they keep all their faces."""
    duplicates: tuple[int, int]
    """Established identities that consolidation would join to others, now and after the change."""
    preview: Preview

    @property
    def obstacles(self) -> list[str]:
        """Sentences: what would be lost. `switch` refuses it unless an option allows it."""
        obstacles = []
        if self.blocks:
            obstacles.append(
                f"{len(self.blocks)} blocked people would be enrolled again from later videos, "
                f"because a block keeps a template of {self.old.model.name} and no picture. "
                "--drop-blocks removes the blocks and writes a receipt."
            )
        if self.unusable:
            first = next(iter(self.unusable.values())).rstrip(".")
            obstacles.append(
                f"{len(self.unusable)} faces have no picture to embed (the first: {first}). "
                "Restore the crops from a backup, or use --drop-faces to leave these faces out "
                "for good."
            )
        return obstacles

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
            **self.preview.as_dict(),
            "decided": self.decided,
            "likely_duplicates": {"before": self.duplicates[0], "after": self.duplicates[1]},
            "blocks": list(self.blocks),
            "calibration_dropped": self.calibrated,
            "hindrances": self.obstacles,
        }


def prepare(
    registry: Registry, model: FaceModel, source: str, progress: Progress = lambda *_: None
) -> ModelChange:
    """Embed the faces that are not embedded yet, and preview the switch.

    Args:
        registry: an open registry.
        model: the new model.
        source: what to pass as --model to load it again; see `target_source`.
        progress: called for each video that took work.

    Raises:
        EmptyRegistry: there is nothing to change.
        UsageError: it is the registry's model already, or a change to a third one was begun.
        ModelError: the model failed. The work until then is kept.
    """
    with registry.writing():
        registry.index.flush()  # opening the index finishes a change that was interrupted
        old, info = registry.contract, model.info
        if info.digest == old.model.digest:
            raise UsageError(
                f"This registry uses {old.model.name} already. Give another model with --model."
            )
        new = replace(old, model=info, model_source=source)
        staged = Staging(registry.blobs)
        staged.begin(new)
        staging = _Stager(registry, staged, model, progress)
        videos = tuple(staging.videos())
        staged.prune(registry.records)
    return _changed(registry, new, staging, videos)


def compare(
    registry: Registry, model: FaceModel, source: str, progress: Progress = lambda *_: None
) -> ModelChange:
    """What a change to this model would do, without preparing it: nothing is written.

    All faces are embedded, also those that a change that was begun has embedded. Arguments and
    errors are those of `prepare`.
    """
    old, info = registry.contract, model.info
    if info.digest == old.model.digest:
        raise UsageError(f"This registry uses {old.model.name} already. Give another model.")
    staging = _Stager(registry, None, model, progress)
    videos = tuple(staging.videos())
    return _changed(registry, replace(old, model=info, model_source=source), staging, videos)


def difference(registry: Registry, first: ModelChange, second: ModelChange) -> ModelChange:
    """How a change to the second model differs from a change to the first.

    Neither need be the registry's own model, and nothing is written.

    Args:
        registry: the one that was given to `compare`, unchanged since.
        first: from `compare`; it takes the place of the registry as it is.
        second: from `compare`.
    """
    after = {face.face_id: face.identity_id for video in second.videos for face in video.faces}
    return replace(
        second,
        old=first.new,
        duplicates=(first.duplicates[1], second.duplicates[1]),
        preview=preview_change(first.videos, after, registry.view, first.new.primary_metric),
    )


def _changed(
    registry: Registry, new: Contract, staging: _Stager, videos: tuple[Video, ...]
) -> ModelChange:
    """The change to the embeddings of these videos, which have no identities of the new model."""
    old, info = registry.contract, new.model
    decisions = registry.decisions.entries()
    after = reassign(videos, decisions, new.threshold)
    videos = tuple(relabelled(video, lambda face: after[face.face_id]) for video in videos)
    return ModelChange(
        old=old,
        new=new,
        videos=videos,
        faces=staging.faces,
        embedded=staging.embedded,
        by_landmarks=staging.by_landmarks,
        unusable=staging.unusable,
        blocks=tuple(block.block_id for block in registry.blocks.all()),
        calibrated=registry.blobs.exists(keys.CALIBRATION),
        decided=_count_decided(staging.before, decisions, registry.view),
        duplicates=(
            joining.count_duplicates(registry),
            _count_duplicates(registry, videos, info),
        ),
        preview=preview_change(staging.before, after, registry.view, old.primary_metric),
    )


def switch(
    registry: Registry,
    change: ModelChange,
    *,
    drop_blocks: bool = False,
    drop_faces: bool = False,
) -> None:
    """Make the change. A crash leaves the registry as it was, or the next opening completes it.

    The registry must not have changed since `prepare`: call both while it is held.

    Args:
        registry: the one that was given to `prepare`.
        change: from `prepare`.
        drop_blocks: whether blocks may be removed.
        drop_faces: whether faces without a picture may be left out.

    Raises:
        UsageError: the change would lose something that the options do not allow.
    """
    check_obstacles(change, drop_blocks=drop_blocks, drop_faces=drop_faces)
    old = change.old.model
    now = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = (*change.old.earlier_models, EarlierModel(old.name, old.digest, now))
    with registry.writing():
        records = Staging(registry.blobs).records
        for video in change.videos:
            records.put(video)
        registry.change_model(
            Switch(
                contract=replace(change.new, earlier_models=earlier),
                crops=tuple(change.unusable),
                blocks=change.blocks,
                receipt=str(uuid4()) if change.blocks else "",
            )
        )


def check_obstacles(change: ModelChange, *, drop_blocks: bool, drop_faces: bool) -> None:
    """Raise `UsageError` if the change would lose something that the options do not allow."""
    if (change.blocks and not drop_blocks) or (change.unusable and not drop_faces):
        raise UsageError(f"The model was not changed. {' '.join(change.obstacles)}")


def discard(registry: Registry) -> int:
    """Remove the staged records. Returns the number of objects removed."""
    with registry.writing():
        return Staging(registry.blobs).discard()


def target_source(registry: Registry, given: str | None) -> str:
    """The source of the new model: what is given, a folder by its absolute path.

    None stands for the model of the change that was begun. Raises `UsageError` if there is none.
    """
    if given is not None:
        return full_source(given)
    begun = Staging(registry.blobs).contract
    if begun is None:
        raise UsageError("No change of the model was begun here. Give the model with --model.")
    return begun.model_source


_NONE = np.zeros(0, np.float32)


class _Stager:
    """Stages the records of the new model, and counts what it did."""

    def __init__(
        self, registry: Registry, staged: Staging | None, model: FaceModel, progress: Progress
    ) -> None:
        """Without `staged`, nothing is known and nothing is written."""
        self._registry, self._stage = registry, staged
        self._model, self._progress = model, progress
        self.faces = self.embedded = self.by_landmarks = 0
        self.unusable: dict[str, str] = {}
        self.before: list[Video] = []
        """The current records, without embeddings."""

    def videos(self) -> Iterator[Video]:
        """Every video with its new embeddings; faces without one are left out."""
        for number, video in enumerate(self._registry.records.all(), start=1):
            yield self._staged(number, video)

    def _staged(self, number: int, video: Video) -> Video:
        bare = tuple(replace(face, embedding=_NONE) for face in video.faces)
        self.before.append(replace(video, faces=bare))
        known = self._stage.embeddings(video) if self._stage else {}
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
            if self._stage:
                self._stage.records.put(video)
            self._progress(number, video, len(done.embeddings))
        crops = {face.face_id: face.crop for face in missing}
        self.faces += len(faces) + len(done.unusable)
        self.embedded += len(done.embeddings)
        self.by_landmarks += len(done.by_landmarks)
        self.unusable |= {crops[face_id]: why for face_id, why in done.unusable.items()}
        return video


def _identities(videos: Sequence[Video], view: View) -> list[Identity]:
    """All identities, if these were the records."""
    decided = (relabelled(video, view.identity_of) for video in videos)
    return identities(decided, view.name_of, view.same_as, view.hidden)


def _count_decided(videos: Sequence[Video], decisions: Sequence[Decision], view: View) -> int:
    established = {one.identity_id for one in _identities(videos, view) if not one.provisional}
    return len(established & {view.root(identity) for identity in named_identities(decisions)})


def _count_duplicates(registry: Registry, videos: Sequence[Video], model: ModelInfo) -> int:
    """How many established identities consolidation would join, if these were the records."""
    view = registry.view
    everyone = _identities(videos, view)
    by_id = {video.video_id: video for video in videos}
    faces = (face for video in videos for face in indexed_faces(video, view))
    evidence = evidence_from(
        registry,
        add_up(faces, model.dimension),
        everyone,
        model,
        lambda video_id: indexed_faces(by_id[video_id], view),
    )
    groups = joining.duplicate_groups(registry, evidence, threshold=linkage_threshold(model))
    return joining.count_joining(groups, everyone)
