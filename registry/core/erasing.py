"""Erasing a person or videos from the objects, completely and so that a crash loses nothing.

What is to be erased is planned first and written down as an intent, as ids and counts only: no
name, picture or vector. Every later step can be done twice. A record is written after the changed
crops of other people (`registry.core.shared_crops`) that it names, and before the crops that it no
longer names are deleted. Decisions are changed after all records, so that a run that continues the
plan still finds whom it concerns.

An object is replaced with a copy under `rewrites/` in between: the old object is deleted for good
(a bucket may keep versions of an object that is only overwritten), then the new one is written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from registry.blobs.base import BlobStore
from registry.core import decisions as log
from registry.core import keys, listed_videos
from registry.core.blocks import Block, Blocks, salted_hash, template_of
from registry.core.decision_redaction import redact_all, refers_to
from registry.core.decisions import Decision, DecisionLog, View
from registry.core.exports import load_exports, written_since
from registry.core.guarded import GuardedStore
from registry.core.index import Index
from registry.core.intents import ERASE, Intents
from registry.core.metric_history import first_run
from registry.core.records import RecordStore, Rereads
from registry.core.recovery import update_index
from registry.core.shared_crops import (
    FALSE_ACCEPT_RATE,
    CropCovering,
    PictureCounts,
    references,
)
from registry.core.staging import Staging
from registry.domain import Face, Vectors, Video
from registry.errors import ModelError, StoreCorrupt, StoreError, UnknownError
from registry.models.base import FaceModel


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What is to be erased: the content of the intent `erase`."""

    kind: str
    """`person` or `video`."""
    identities: tuple[str, ...]
    """All ids of the person; of videos, the ids of the people who are in no other video."""
    videos: tuple[str, ...]
    """Ids of the videos whose records change."""
    removing: tuple[str, ...] = ()
    """Ids of the videos to remove."""
    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    subject: str | tuple[str, ...] = ""
    """Salted hash of the id that was given; of each id, if several videos were given."""
    receipt: str = field(default_factory=lambda: str(uuid4()))
    """Id of the receipt, so that an erasure that is continued leaves one only."""
    block: str = ""
    """Id of the block to make; empty if none is to be made."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Of a video to remove that was joined to others, one of those that stay, by its id."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Counts for the receipt."""
    pictures: Mapping[str, PictureCounts] = field(default_factory=dict)
    """By id of a video that stays: what was done to the crops of other people."""
    model: str = ""
    """Name of the model that looked these crops through; empty if none did."""
    since: str = ""
    """Id of the run from which on there was something on record of what is erased; empty if it is
    not known."""

    def encode(self) -> bytes:
        """The bytes of the intent."""
        return json.dumps(asdict(self)).encode()


def decode_plan(content: bytes) -> ErasurePlan:
    """The plan in the bytes of an intent. Raises `StoreCorrupt`."""
    try:
        fields = json.loads(content)
        lists = {name: tuple(fields[name]) for name in ("identities", "videos", "removing")}
        subject = fields["subject"]
        who = subject if isinstance(subject, str) else tuple(subject)
        done = fields.get("pictures", {}).items()
        pictures = {video_id: PictureCounts(**counts) for video_id, counts in done}
        return ErasurePlan(**{**fields, **lists, "subject": who, "pictures": pictures})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"The intent of an erasure is damaged ({exc}). Delete the object {keys.intent(ERASE)} "
            "and run the erasure again."
        ) from exc


class Eraser:
    """Plans erasures and carries them out on the objects of one registry."""

    def __init__(
        self,
        blobs: GuardedStore,
        records: RecordStore,
        load_model: Callable[[], FaceModel] | None = None,
    ) -> None:
        """`load_model` gives the registry's model, which looks crops through."""
        self._blobs = blobs
        self._records = records
        self._load_model = load_model
        self._rereads = Rereads(blobs)
        self._log = DecisionLog(blobs)

    def plan_person(self, view: View, identity: str, *, block: bool) -> ErasurePlan:
        """Plan the erasure of an identity. Raises `UnknownError` if it has no face on record."""
        ids = _with_merged(view, {identity})
        videos, faces, changed = [], 0, 0
        runs: list[str] = []
        for video in self._records.all():
            gone = sum(view.origin_of(face) in ids for face in video.faces)
            if gone or any(face.identity_id in ids for face in video.faces):
                videos.append(video.video_id)
                runs.append(first_run(video))
            faces += gone
            changed += bool(gone)
        if not faces:
            raise UnknownError(
                f"No face on record belongs to identity {identity}. `face-registry identities "
                "list` shows the identities there are."
            )
        counts = {"faces": faces, "crops": faces, "videos_changed": changed}
        plan = self._plan("person", identity, ids, videos, counts, block=block)
        return replace(plan, since=min(runs))

    def plan_videos(self, view: View, video_ids: Sequence[str]) -> ErasurePlan:
        """Plan the removal of videos and of the identities that are in no other video."""
        going = set(video_ids)
        here: set[str] = set()
        elsewhere: set[str] = set()
        faces = 0
        runs: list[str] = []
        for video in self._records.all():
            identities = {view.identity_of(face) for face in video.faces}
            if video.video_id in going:
                here |= identities
                faces += len(video.faces)
                runs.append(first_run(video))
            else:
                elsewhere |= identities
        ids = _with_merged(view, here - elsewhere)
        changed = [
            video.video_id
            for video in self._records.all()
            if video.video_id in going or any(face.identity_id in ids for face in video.faces)
        ]
        counts = {"videos": len(going), "faces": faces, "crops": faces}
        subject = video_ids[0] if len(going) == 1 else sorted(going)
        plan = self._plan("video", subject, ids, changed, counts, block=False)
        return replace(
            plan,
            removing=tuple(sorted(going)),
            stand_ins=_stand_ins(view.same_as, going),
            since=min(runs, default=""),
        )

    def _plan(
        self,
        kind: str,
        subject: str | Sequence[str],
        ids: set[str],
        videos: Sequence[str],
        counts: dict[str, int],
        *,
        block: bool,
    ) -> ErasurePlan:
        plan = ErasurePlan(kind, tuple(sorted(ids)), tuple(videos))
        return replace(
            plan,
            subject=salted_hash(plan.salt, subject)
            if isinstance(subject, str)
            else tuple(salted_hash(plan.salt, each) for each in subject),
            block=str(uuid4()) if block else "",
            removed={**counts, "identities": len(ids)},
        )

    def erase(self, plan: ErasurePlan, view: View) -> ErasurePlan:
        """Carry out a plan on the objects. Doing so again changes nothing.

        Returns the plan with what was done to pictures. It also replaces the intent.
        """
        self._finish_rewrites()
        with self._blobs.writing():
            drop_evidence(self._blobs, plan)
        # Videos that go come last: they may hold the only faces that tell who is looked for.
        stay = [video_id for video_id in plan.videos if video_id not in plan.removing]
        going = self._faces_going(plan, view) if stay else []
        if plan.block and going and not Blocks(self._blobs).has(plan.block):
            block = Block(plan.block, plan.salt, str(plan.subject), template_of(going))
            Blocks(self._blobs).put(block)
        wanted = [template_of(faces)[None] for faces in _by_person(going, view)]
        model = self._model() if stay else None
        plan = replace(plan, model=model.info.name if model else plan.model)
        covering = CropCovering(self._blobs, model)
        for video_id in stay:
            with self._blobs.writing():
                plan = self._erase_from_video(video_id, plan, view, covering, wanted)
        for video_id in plan.removing:
            with self._blobs.writing():
                self._remove(video_id)
        with self._blobs.writing():
            Staging(self._blobs).prune(self._records, plan.videos)
            if plan.removing and (rest := listed_videos.without(self._blobs, plan.removing)):
                self._rewrite(keys.LISTED, rest)
            gone = frozenset(plan.identities).union(plan.removing)
            self._redact_decisions(gone, plan.stand_ins)
        return plan

    def count_remaining(self, plan: ErasurePlan) -> dict[str, int]:
        """What the objects still hold of what was to be erased: zeros, if all of it is gone."""
        ids = frozenset(plan.identities)
        records, faces, crops = 0, 0, 0
        for video_id in plan.videos:
            video = self._records.get(video_id)
            records += video_id in plan.removing and video is not None
            on_record = video.faces if video else ()
            faces += sum(face.identity_id in ids for face in on_record)
            crops += len(self._crops(video_id) - {face.crop for face in on_record})
        entries = self._log.entries()
        left = decided_faces_left(entries, self._records)
        gone = ids.union(plan.removing)
        return {
            "records": records,
            "faces": faces,
            "crops": crops,
            "decisions": sum(refers_to(entry, gone, left) for entry in entries),
            "records_beside": Staging(self._blobs).count_stale(self._records)
            + len(_evidence_of(self._blobs, plan)),
        }

    def _remove(self, video_id: str) -> None:
        self._delete_crops(video_id, keep=())
        self._rereads.unmark(video_id)
        self._records.delete(video_id)

    def _erase_from_video(
        self,
        video_id: str,
        plan: ErasurePlan,
        view: View,
        covering: CropCovering,
        wanted: Sequence[Vectors],
    ) -> ErasurePlan:
        """Erase people from a video that stays. Returns the plan with its counts.

        `wanted` has the template of each person, float32 (1, D), from all videos.
        """
        video, ids = self._records.get(video_id), frozenset(plan.identities)
        if video is None:
            self._remove(video_id)
            return plan
        gone = [face for face in video.faces if view.origin_of(face) in ids]
        kept = without_people(video, view, ids)
        if gone or video_id not in plan.pictures:
            people = [*(references(faces) for faces in _by_person(gone, view)), *wanted]
            kept, counts = covering.apply(kept, gone, np.concatenate(people) if people else None)
            plan = replace(plan, pictures={**plan.pictures, video_id: counts})
        if gone:
            # Before the record: afterwards, nothing would tell what was done to its crops.
            Intents(self._blobs).declare(ERASE, plan.encode())
        if kept != video:
            self._rewrite(keys.record(video_id), self._records.encode(kept))
        self._delete_crops(video_id, keep=kept.faces)
        return plan

    def _model(self) -> FaceModel | None:
        """The model; None if it cannot be loaded, which the receipt says."""
        try:
            return self._load_model() if self._load_model else None
        except ModelError:
            return None

    def _faces_going(self, plan: ErasurePlan, view: View) -> list[Face]:
        """The faces to erase that are still on record."""
        ids = frozenset(plan.identities)
        videos = (self._records.get(video_id) for video_id in plan.videos)
        return [f for video in videos if video for f in video.faces if view.origin_of(f) in ids]

    def _crops(self, video_id: str) -> set[str]:
        return {info.key for info in self._blobs.list(keys.crops_of(video_id))}

    def _delete_crops(self, video_id: str, keep: Sequence[Face]) -> None:
        """Delete the other crops of a video, also those of an interrupted ingest."""
        for key in sorted(self._crops(video_id) - {face.crop for face in keep}):
            self._blobs.delete(key)

    def _redact_decisions(self, ids: frozenset[str], stand_ins: Mapping[str, str]) -> None:
        entries = self._log.entries()
        left = decided_faces_left(entries, self._records)
        # Namings come before the splits that refer to them, so an interruption loses none.
        for entry, redacted in zip(entries, redact_all(entries, ids, left, stand_ins), strict=True):
            if redacted != entry:
                self._rewrite(keys.decision(entry.number), log.encode_decision(redacted))

    def _rewrite(self, key: str, data: bytes) -> None:
        self._blobs.put(keys.rewrite(key), data)
        self._replace(key, data)

    def _replace(self, key: str, data: bytes) -> None:
        self._blobs.delete(key)
        self._blobs.put(key, data)
        self._blobs.delete(keys.rewrite(key))

    def _finish_rewrites(self) -> None:
        for info in list(self._blobs.list(keys.REWRITES)):
            self._replace(info.key.removeprefix(keys.REWRITES), self._blobs.get(info.key))


def _by_person(faces: Sequence[Face], view: View) -> list[list[Face]]:
    """The faces of each person."""
    by_person: dict[str, list[Face]] = {}
    for face in faces:
        by_person.setdefault(view.identity_of(face), []).append(face)
    return list(by_person.values())


def _with_merged(view: View, roots: set[str]) -> set[str]:
    """These identities and all that were merged into them."""
    return roots | {merged for merged in view.parents if view.root(merged) in roots}


def _stand_ins(same_as: Mapping[str, str], going: Set[str]) -> dict[str, str]:
    """For each video that goes and was joined to others, one that stays: the one that counts."""
    groups: dict[str, list[str]] = {}
    for video in sorted(same_as):
        counts = same_as[video]
        groups.setdefault(counts, [counts]).append(video)
    replacements: dict[str, str] = {}
    for group in groups.values():
        left = [video for video in group if video not in going]
        if left:
            replacements.update((video, left[0]) for video in group if video in going)
    return replacements


def decided_faces_left(entries: Sequence[Decision], records: RecordStore) -> set[str]:
    """Ids of the faces that these decisions name and that are on record."""
    named = {face for entry in entries for face in entry.faces}
    if not named:
        return set()
    return {f.face_id for video in records.all() for f in video.faces} & named


def without_people(video: Video, view: View, ids: frozenset[str]) -> Video:
    """The video without the faces of these identities."""
    return replace(
        video,
        faces=tuple(
            _with_own_identity(face, view, ids)
            for face in video.faces
            if view.origin_of(face) not in ids
        ),
    )


def _with_own_identity(face: Face, view: View, ids: frozenset[str]) -> Face:
    """The face; if its record names an erased person from whom it was split, with its own id."""
    if face.identity_id not in ids:
        return face
    return replace(face, identity_id=view.origin_of(face))


def drop_evidence(blobs: BlobStore, plan: ErasurePlan | None = None) -> None:
    """Remove the kept evidence that a plan concerns, or all of it. It is computed again."""
    for key in _evidence_of(blobs, plan):
        blobs.delete(key)


def _evidence_of(blobs: BlobStore, plan: ErasurePlan | None) -> list[str]:
    """The keys of all kept evidence, or of that which may hold what a plan erases.

    That may be evidence of a video that showed the person until it was read again.
    """
    kept = [info.key for info in blobs.list(keys.EVIDENCE)]
    if plan is None:
        return kept
    names = [identity.encode() for identity in plan.identities]
    return [
        key
        for key in kept
        if key == keys.similar_means()
        or any(keys.has_evidence_of(key, video_id) for video_id in plan.videos)
        or _holds(blobs, key, names)
    ]


def _holds(blobs: BlobStore, key: str, names: Sequence[bytes]) -> bool:
    data = blobs.get(key) if names else b""
    return any(name in data for name in names)


NOT_COVERED = (
    "backups made before",
    "files written by report, export or dump before",
    "the videos themselves, wherever they are stored",
    "pictures of other people from videos in which the person was never detected",
    "copies that a file system, a disk or an object store keeps outside the registry",
)
"""What the registry cannot erase; every receipt lists it."""


def erase_from_index(
    index: Index, records: RecordStore, view: View, plan: ErasurePlan, *, keeps_deleted: bool
) -> None:
    """Delete what the objects no longer hold, also from the files of the engine.

    With `keeps_deleted`, the engine does not free deleted bytes, and the index is rebuilt.
    """
    if keeps_deleted:
        index.rebuild(records.all(), view)
        return
    videos = set(index.video_ids(plan.identities))
    update_index(index, records, view, sorted({*videos, *plan.videos}))
    # Where a joined video went, another may count in its place.
    joined = index.identities_in({*view.same_as, *view.same_as.values()})
    index.refresh(joined.union(plan.identities), view)
    index.flush()


def certify(
    blobs: GuardedStore, records: RecordStore, index: Index, plan: ErasurePlan
) -> dict[str, Any]:
    """Query objects and index for what was erased, and write the receipt.

    Raises `StoreError` if something is left.
    """
    left = Eraser(blobs, records).count_remaining(plan)
    pictures = sum(plan.pictures.values(), PictureCounts())
    left["faces_in_pictures"] = pictures.found_afterwards
    left["index_faces"] = sum(1 for i in plan.identities for _ in index.faces_of(i))
    left["index_identities"] = len(index.get_identities(plan.identities))
    left["index_videos"] = sum(index.has_video(v) for v in plan.removing)
    if any(left.values()):
        raise StoreError(
            f"The erasure is not complete: {left} remain. It continues when the registry is opened "
            "next."
        )
    receipt: dict[str, Any] = {
        "receipt": plan.receipt,
        "kind": plan.kind,
        "subject": {"salt": plan.salt, "sha256": plan.subject, "of": "salt:id"},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "removed": dict(plan.removed),
        "pictures": {
            **asdict(pictures),
            "model": plan.model,
            "false_accept_rate": FALSE_ACCEPT_RATE,
        },
        "final_query": left,
        "block": {"id": plan.block, "template_kept": True} if plan.block else None,
        "not_covered": _not_covered(plan, pictures),
        "exports": [],
    }
    try:
        receipt["exports"] = [
            asdict(export) for export in written_since(load_exports(blobs), plan.since)
        ]
    except StoreCorrupt:
        receipt["not_covered"].append("exports made before: the list of them is damaged")
    blobs.put(keys.receipt(plan.receipt), json.dumps(receipt, indent=1).encode())
    return receipt


def _not_covered(plan: ErasurePlan, pictures: PictureCounts) -> list[str]:
    """What the erasure did not reach."""
    named = list(NOT_COVERED)
    if pictures.not_looked_through:
        named.append(
            f"{pictures.not_looked_through} pictures of other people that were not looked through, "
            "because the model could not be loaded; where the person was recorded, they are covered"
        )
    if pictures.unreadable:
        named.append(
            f"{pictures.unreadable} pictures of other people that are missing or damaged, and may "
            "show the person if they are restored"
        )
    return named
