"""Erasing a person or videos from the objects, completely and so that a crash loses nothing.

What is to be erased is planned first and written down as an intent, as ids only: no name, picture
or vector. Every later step can be done twice. Crops are deleted before the record that names them,
and decisions are changed after all records, so that a run that continues the plan still finds whom
it concerns.

An object is replaced with a copy under `rewrites/` in between: the old object is deleted for good
(a bucket may keep versions of an object that is only overwritten), then the new one is written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from registry.core import decisions as log
from registry.core import keys, listed_videos
from registry.core.blocks import Block, Blocks, salted_hash, template_of
from registry.core.decisions import Decision, DecisionKind, DecisionLog, View
from registry.core.guarded import GuardedStore
from registry.core.index import Index
from registry.core.intents import ERASE
from registry.core.records import RecordStore, Rereads
from registry.core.recovery import update_index
from registry.core.staging import Staging
from registry.domain import Face, Video
from registry.errors import StoreCorrupt, StoreError, UnknownError


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
    block: str = ""
    """Id of the block to make; empty if none is to be made."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Of a video to remove that was joined to others, one of those that stay, by its id."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Counts for the receipt."""

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
        return ErasurePlan(**{**fields, **lists, "subject": who})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"The intent of an erasure is damaged ({exc}). Delete the object {keys.intent(ERASE)} "
            "and run the erasure again."
        ) from exc


class Eraser:
    """Plans erasures and carries them out on the objects of one registry."""

    def __init__(self, blobs: GuardedStore, records: RecordStore) -> None:
        self._blobs = blobs
        self._records = records
        self._rereads = Rereads(blobs)
        self._log = DecisionLog(blobs)

    def plan_person(self, view: View, identity: str, *, block: bool) -> ErasurePlan:
        """Plan the erasure of an identity. Raises `UnknownError` if it has no face on record."""
        ids = _with_merged(view, {identity})
        videos, faces, changed = [], 0, 0
        for video in self._records.all():
            gone = sum(view.origin_of(face) in ids for face in video.faces)
            if gone or any(face.identity_id in ids for face in video.faces):
                videos.append(video.video_id)
            faces += gone
            changed += bool(gone)
        if not faces:
            raise UnknownError(
                f"No face on record belongs to identity {identity}. `face-registry identities "
                "list` shows the identities there are."
            )
        counts = {"faces": faces, "crops": faces, "videos_changed": changed}
        return self._plan("person", identity, ids, videos, counts, block=block)

    def plan_videos(self, view: View, video_ids: Sequence[str]) -> ErasurePlan:
        """Plan the removal of videos and of the identities that are in no other video."""
        going = set(video_ids)
        here: set[str] = set()
        elsewhere: set[str] = set()
        faces = 0
        for video in self._records.all():
            identities = {view.identity_of(face) for face in video.faces}
            if video.video_id in going:
                here |= identities
                faces += len(video.faces)
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
            plan, removing=tuple(sorted(going)), stand_ins=_stand_ins(view.same_as, going)
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

    def erase(self, plan: ErasurePlan, view: View) -> None:
        """Carry out a plan on the objects. Doing so again changes nothing."""
        self._finish_rewrites()
        if plan.block and not Blocks(self._blobs).has(plan.block):
            self._make_block(plan, view)
        for video_id in plan.videos:
            with self._blobs.writing():
                self._erase_from_video(video_id, plan, view)
        with self._blobs.writing():
            Staging(self._blobs).prune(self._records, plan.videos)
            if plan.removing and (rest := listed_videos.without(self._blobs, plan.removing)):
                self._rewrite(keys.LISTED, rest)
            gone = frozenset(plan.identities).union(plan.removing)
            self._redact_decisions(gone, plan.stand_ins)

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
        left = self._decided_faces_left()
        gone = ids.union(plan.removing)
        return {
            "records": records,
            "faces": faces,
            "crops": crops,
            "decisions": sum(refers_to(entry, gone, left) for entry in self._log.entries()),
            "records_beside": Staging(self._blobs).count_stale(self._records),
        }

    def _erase_from_video(self, video_id: str, plan: ErasurePlan, view: View) -> None:
        video, ids = self._records.get(video_id), frozenset(plan.identities)
        if video_id in plan.removing or video is None:
            self._delete_crops(video_id, keep=())
            self._rereads.unmark(video_id)
            self._records.delete(video_id)
            return
        kept = [
            _with_own_identity(face, view, ids)
            for face in video.faces
            if view.origin_of(face) not in ids
        ]
        self._delete_crops(video_id, keep=kept)
        if tuple(kept) != video.faces:
            changed = replace(video, faces=tuple(kept))
            self._rewrite(keys.record(video_id), self._records.encode(changed))

    def _make_block(self, plan: ErasurePlan, view: View) -> None:
        faces = [
            face
            for video_id in plan.videos
            for face in self._faces_of(video_id)
            if view.origin_of(face) in plan.identities
        ]
        if faces:
            block = Block(plan.block, plan.salt, str(plan.subject), template_of(faces))
            Blocks(self._blobs).put(block)

    def _faces_of(self, video_id: str) -> tuple[Face, ...]:
        video: Video | None = self._records.get(video_id)
        return video.faces if video else ()

    def _crops(self, video_id: str) -> set[str]:
        return {info.key for info in self._blobs.list(keys.crops_of(video_id))}

    def _delete_crops(self, video_id: str, keep: Sequence[Face]) -> None:
        """Delete the other crops of a video, also those of an interrupted ingest."""
        for key in sorted(self._crops(video_id) - {face.crop for face in keep}):
            self._blobs.delete(key)

    def _redact_decisions(self, ids: frozenset[str], stand_ins: Mapping[str, str]) -> None:
        left, entries = self._decided_faces_left(), self._log.entries()
        # Namings come before the splits that refer to them, so an interruption loses none.
        names = taken_along(entries, ids)
        for entry in entries:
            erased = entry.number in names
            redacted = _void(entry) if erased else redact(entry, ids, left, stand_ins)
            if redacted != entry:
                self._rewrite(keys.decision(entry.number), log.encode_decision(redacted))

    def _decided_faces_left(self) -> set[str]:
        """Ids of the faces that decisions name and that are on record."""
        named = {face for entry in self._log.entries() for face in entry.faces}
        if not named:
            return set()
        return {f.face_id for video in self._records.all() for f in video.faces} & named

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


def _with_own_identity(face: Face, view: View, ids: frozenset[str]) -> Face:
    """The face; if its record names an erased person from whom it was split, with its own id."""
    if face.identity_id not in ids:
        return face
    return replace(face, identity_id=view.origin_of(face))


def redact(
    decision: Decision,
    identities: Set[str],
    faces_left: Set[str],
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """The decision without these identities and videos, and without faces that are gone.

    Args:
        decision: an entry of the log.
        identities: all ids of the erased person, and the ids of removed videos.
        faces_left: ids of the faces that decisions name and that are still on record.
        stand_ins: of a removed video that was joined to others, one of those that stay, so that
            they are still one video, and still separated from those that it was separated from.
    """
    if not refers_to(decision, identities, faces_left):
        return decision
    if decision.videos:
        named = dict.fromkeys(stand_ins.get(video, video) for video in decision.videos)
        videos = _others(tuple(named), identities)
        return replace(decision, videos=videos) if len(videos) > 1 else _void(decision)
    if decision.kind is DecisionKind.SPLIT:
        return _redact_split(decision, identities, faces_left)
    if decision.kind is DecisionKind.MERGE:
        members = _others((decision.identity_id, *decision.others), identities) or ("",)
        stays, *joining = members
        if not joining:
            return _void(decision)
        return replace(decision, identity_id=stays, others=tuple(joining))
    if decision.kind is DecisionKind.CONSOLIDATE:
        groups = tuple(_others(group, identities) for group in decision.groups)
        left = tuple(group for group in groups if len(group) > 1)
        return replace(decision, groups=left) if left else _void(decision)
    return _void(decision)


def taken_along(entries: Iterable[Decision], identities: Set[str]) -> set[int]:
    """Numbers of the namings of others whose names splits gave to these identities.

    Such a name is the erased person's, and would count again for those from whom they were split.
    """
    numbers: set[int] = set()
    namings: list[Decision] = []
    for entry in entries:
        if entry.kind is DecisionKind.NAME:
            namings.append(entry)
        if entry.kind is DecisionKind.SPLIT and entry.name and entry.new_identity in identities:
            group = {entry.identity_id, *entry.others}
            numbers |= {
                naming.number
                for naming in namings
                if naming.name == entry.name and naming.identity_id in group
            }
    return numbers


def refers_to(decision: Decision, identities: Set[str], faces_left: Set[str]) -> bool:
    """Whether a decision names one of these ids, or a face that is no longer on record."""
    named = {decision.identity_id, decision.new, *decision.others, *decision.videos}
    named |= {identity for group in decision.groups for identity in group}
    if decision.kind is DecisionKind.SPLIT:
        named.add(decision.new_identity)
    return bool(named & identities) or not set(decision.faces) <= faces_left


def _redact_split(decision: Decision, identities: Set[str], faces_left: Set[str]) -> Decision:
    given = decision.new_identity
    faces = tuple(face for face in decision.faces if face in faces_left)
    if given in identities or not faces:
        return _void(decision)
    origin = "" if decision.identity_id in identities else decision.identity_id
    others = _others(decision.others, identities)
    return replace(decision, identity_id=origin, others=others, faces=faces, new=given)


def _others(members: tuple[str, ...], identities: Set[str]) -> tuple[str, ...]:
    return tuple(member for member in members if member not in identities)


def _void(decision: Decision) -> Decision:
    return Decision(decision.number, DecisionKind.VOID)


NOT_COVERED = (
    "backups made before",
    "files written by report, export or dump before",
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
    """Check that nothing is left, and write the receipt. Raises `StoreError` if something is."""
    left = Eraser(blobs, records).count_remaining(plan)
    left["index_faces"] = sum(1 for i in plan.identities for _ in index.faces_of(i))
    left["index_identities"] = len(index.get_identities(plan.identities))
    left["index_videos"] = sum(index.has_video(v) for v in plan.removing)
    if any(left.values()):
        raise StoreError(
            f"The erasure is not complete: {left} remain. It continues when the registry is opened "
            "next."
        )
    receipt = {
        "receipt": str(uuid4()),
        "kind": plan.kind,
        "subject": {"salt": plan.salt, "sha256": plan.subject, "of": "salt:id"},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "removed": dict(plan.removed),
        "final_query": left,
        "block": {"id": plan.block, "template_kept": True} if plan.block else None,
        "not_covered": list(NOT_COVERED),
    }
    blobs.put(keys.receipt(str(receipt["receipt"])), json.dumps(receipt, indent=1).encode())
    return receipt
