"""Removing a person, or a video, from the objects: nothing is left, and a crash loses nothing.

What is to go is planned first and written down as an intent: ids, and no name, picture or vector.
Every step after that can be done twice. Crops go before the record that names them, decisions after
all records, so that a run that takes the plan up again still sees whom it is about.

An object is replaced by way of a copy under `rewrites/`: the old one is deleted for good (a bucket
may keep versions of what is merely overwritten), then the new one takes its place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from registry.blobs.base import BlobStore
from registry.core import decisions as log
from registry.core import records as recording
from registry.core.blocks import Block, Blocks, salted, template_of
from registry.core.decisions import REWRITES, Decision, DecisionLog, Kind, View
from registry.core.index import Index
from registry.core.records import RecordStore, Rereads
from registry.core.recovery import bring_up, rebuild
from registry.core.staging import Beside
from registry.domain import Face, Video
from registry.errors import StoreCorrupt, StoreError, UnknownError


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go. It is the body of the intent `erase`."""

    kind: str
    """`person` or `video`."""
    identities: tuple[str, ...]
    """Every id that goes by the person; of a video, by those who are in no other video."""
    videos: tuple[str, ...]
    """The videos whose records change."""
    removing: tuple[str, ...] = ()
    """The videos to remove."""
    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    subject: str | tuple[str, ...] = ""
    """Salted hash of the id that was asked for; of each, where there were several."""
    block: str = ""
    """Id of the block to make; empty: none."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Of a video to remove that was joined to others, one of those that stay, by its id."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """The counts, for the receipt."""

    def encoded(self) -> bytes:
        """As bytes."""
        return json.dumps(asdict(self)).encode()


def decode(data: bytes) -> Plan:
    """The plan in these bytes. Raises `StoreCorrupt`."""
    try:
        body = json.loads(data)
        lists = {name: tuple(body[name]) for name in ("identities", "videos", "removing")}
        subject = body["subject"]
        who = subject if isinstance(subject, str) else tuple(subject)
        return Plan(**{**body, **lists, "subject": who})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreCorrupt(
            f"the intent of an erasure is damaged ({exc}); delete the object intents/erase "
            "and ask for the erasure again"
        ) from exc


class Eraser:
    """Plans and carries out what concerns the objects of one registry."""

    def __init__(
        self,
        blobs: BlobStore,
        records: RecordStore,
        *,
        allowed: Callable[[], None] = lambda: None,
    ) -> None:
        """`allowed` raises where this process may not change anything (any more)."""
        self._allowed = allowed
        self._blobs = blobs
        self._records = records
        self._rereads = Rereads(blobs)
        self._log = DecisionLog(blobs)

    def plan_person(self, view: View, identity: str, *, block: bool) -> Plan:
        """What is to go for this identity. Raises `UnknownError` if no face goes by it."""
        ids = _cluster(view, {identity})
        videos, faces, whole = [], 0, 0
        for video in self._records.all():
            gone = sum(view.origin_of(face) in ids for face in video.faces)
            if gone or any(face.identity_id in ids for face in video.faces):
                videos.append(video.video_id)
            faces += gone
            whole += bool(gone)
        if not faces:
            raise UnknownError(f"no face on record goes by {identity}")
        counts = {"faces": faces, "crops": faces, "videos_changed": whole}
        return self._plan("person", identity, ids, videos, counts, block=block)

    def plan_videos(self, view: View, video_ids: Sequence[str]) -> Plan:
        """What is to go for these videos, and the ids of those who are in no other."""
        going = set(video_ids)
        here: set[str] = set()
        elsewhere: set[str] = set()
        faces = 0
        for video in self._records.all():
            seen = {view.identity_of(face) for face in video.faces}
            if video.video_id in going:
                here |= seen
                faces += len(video.faces)
            else:
                elsewhere |= seen
        ids = _cluster(view, here - elsewhere)
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
    ) -> Plan:
        plan = Plan(kind, tuple(sorted(ids)), tuple(videos))
        return replace(
            plan,
            subject=salted(plan.salt, subject)
            if isinstance(subject, str)
            else tuple(salted(plan.salt, each) for each in subject),
            block=str(uuid4()) if block else "",
            removed={**counts, "identities": len(ids)},
        )

    def clear(self, plan: Plan, view: View) -> None:
        """Take it all out of the objects; doing so again changes nothing."""
        ids = frozenset(plan.identities)
        self._finish_rewrites()
        if plan.block and not Blocks(self._blobs).has(plan.block):
            self._make_block(plan, view)
        for video_id in plan.videos:
            self._allowed()
            video = self._records.get(video_id)
            if video_id in plan.removing or video is None:
                self._drop_crops(video_id, keep=())
                self._rereads.lift(video_id)
                self._records.delete(video_id)
                continue
            kept = [_baked(f, view, ids) for f in video.faces if view.origin_of(f) not in ids]
            self._drop_crops(video_id, keep=kept)
            if tuple(kept) != video.faces:
                changed = replace(video, faces=tuple(kept))
                self._rewrite(recording.key_of(video_id), self._records.encoded(changed))
        self._allowed()
        Beside(self._blobs).prune(self._records, plan.videos)
        self._strike(ids.union(plan.removing), plan.stand_ins)

    def left(self, plan: Plan) -> dict[str, int]:
        """What the objects still hold of it: zeros."""
        ids = frozenset(plan.identities)
        records, faces, crops = 0, 0, 0
        for video_id in plan.videos:
            video = self._records.get(video_id)
            records += video_id in plan.removing and video is not None
            held = video.faces if video else ()
            faces += sum(face.identity_id in ids for face in held)
            crops += len(self._crops(video_id) - {face.crop for face in held})
        left, decisions = self._faces_left(), self._log.read()
        gone = ids.union(plan.removing)
        mentioned = sum(mentions(decision, gone, left) for decision in decisions)
        beside = Beside(self._blobs).strays(self._records)
        return {
            "records": records, "faces": faces, "crops": crops, "decisions": mentioned,
            "records_beside": beside,
        }  # fmt: skip

    def _make_block(self, plan: Plan, view: View) -> None:
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
        return {info.key for info in self._blobs.list(f"crops/{video_id}/")}

    def _drop_crops(self, video_id: str, keep: Sequence[Face]) -> None:
        """Also those that no record names: what an ingest that was cut off left there."""
        for key in sorted(self._crops(video_id) - {face.crop for face in keep}):
            self._blobs.delete(key)

    def _strike(self, ids: frozenset[str], stand_ins: Mapping[str, str]) -> None:
        left = self._faces_left()
        for decision in self._log.read():
            without = struck(decision, ids, left, stand_ins)
            if without != decision:
                self._rewrite(log.key_of(decision), log.encode(without))

    def _faces_left(self) -> set[str]:
        """Those of the faces that decisions name which are on record."""
        named = {face for decision in self._log.read() for face in decision.faces}
        if not named:
            return set()
        return {f.face_id for video in self._records.all() for f in video.faces} & named

    def _rewrite(self, key: str, data: bytes) -> None:
        self._blobs.put(REWRITES + key, data)
        self._place(key, data)

    def _place(self, key: str, data: bytes) -> None:
        self._blobs.delete(key)
        self._blobs.put(key, data)
        self._blobs.delete(REWRITES + key)

    def _finish_rewrites(self) -> None:
        for info in list(self._blobs.list(REWRITES)):
            self._place(info.key.removeprefix(REWRITES), self._blobs.get(info.key))


def _cluster(view: View, roots: set[str]) -> set[str]:
    """Every id that goes by one of these."""
    return roots | {joined for joined in view.parents if view.root(joined) in roots}


def _stand_ins(same_as: Mapping[str, str], going: Set[str]) -> dict[str, str]:
    """For each video that goes and was joined to others, one that stays: the one that counts."""
    groups: dict[str, list[str]] = {}
    for video in sorted(same_as):
        counts = same_as[video]
        groups.setdefault(counts, [counts]).append(video)
    found: dict[str, str] = {}
    for group in groups.values():
        left = [video for video in group if video not in going]
        if left:
            found.update((video, left[0]) for video in group if video in going)
    return found


def _baked(face: Face, view: View, ids: frozenset[str]) -> Face:
    """The face; if its record names the person whom a split took it from, by its own id."""
    if face.identity_id not in ids:
        return face
    return replace(face, identity_id=view.origin_of(face))


def struck(
    decision: Decision,
    identities: Set[str],
    faces_left: Set[str],
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """The decision without these identities and videos, and without faces that are gone.

    Args:
        decision: one entry of the log.
        identities: every id that the person went by, and the ids of removed videos.
        faces_left: those of the faces that decisions name which are still on record.
        stand_ins: of a removed video that was joined to others, one of those that stay, so that
            they are still one video, and still separated from those that it was separated from.
    """
    if not mentions(decision, identities, faces_left):
        return decision
    if decision.videos:
        named = dict.fromkeys(stand_ins.get(video, video) for video in decision.videos)
        videos = _others(tuple(named), identities)
        return replace(decision, videos=videos) if len(videos) > 1 else _void(decision)
    if decision.kind is Kind.SPLIT:
        return _split(decision, identities, faces_left)
    if decision.kind is Kind.MERGE:
        stay, *join = _others((decision.identity_id, *decision.others), identities) or ("",)
        return replace(decision, identity_id=stay, others=tuple(join)) if join else _void(decision)
    if decision.kind is Kind.CONSOLIDATE:
        groups = tuple(_others(group, identities) for group in decision.groups)
        left = tuple(group for group in groups if len(group) > 1)
        return replace(decision, groups=left) if left else _void(decision)
    return _void(decision)


def mentions(decision: Decision, identities: Set[str], faces_left: Set[str]) -> bool:
    """Whether the decision holds one of these ids, or a face that is not on record any more."""
    named = {decision.identity_id, decision.new, *decision.others, *decision.videos}
    named |= {identity for group in decision.groups for identity in group}
    if decision.kind is Kind.SPLIT:
        named.add(decision.new_identity)
    return bool(named & identities) or not set(decision.faces) <= faces_left


def _split(decision: Decision, identities: Set[str], faces_left: Set[str]) -> Decision:
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
    return Decision(decision.number, Kind.VOID)


NOT_COVERED = (
    "backups made before",
    "files written by report, export or dump before",
    "copies that a file system, a disk or an object store keeps outside the registry",
)
"""What no registry can reach; every receipt says so."""


def erase_from_index(
    index: Index, records: RecordStore, view: View, plan: Plan, *, keeps_deleted: bool
) -> None:
    """Delete what the objects no longer hold, from the engine's files too.

    With `keeps_deleted`, the engine does not free deleted bytes, and the index is written anew.
    """
    if keeps_deleted:
        rebuild(index, records, view)
        return
    videos = {payload["video_id"] for payload in index.videos(plan.identities)}
    bring_up(index, records, view, sorted(videos | set(plan.videos)))
    # Where a joined video went, another may count in its place.
    joined = index.identities_in({*view.same_as, *view.same_as.values()})
    index.regroup((), joined.union(plan.identities), view)
    index.flush()


def certify(blobs: BlobStore, records: RecordStore, index: Index, plan: Plan) -> dict[str, Any]:
    """Look everywhere once more, and write the receipt. Raises `StoreError` if anything is left."""
    left = Eraser(blobs, records).left(plan)
    left["index_faces"] = sum(1 for i in plan.identities for _ in index.faces_of(i))
    left["index_identities"] = len(index.get_identities(plan.identities))
    left["index_videos"] = sum(index.video(v) is not None for v in plan.removing)
    if any(left.values()):
        raise StoreError(
            f"the erasure left something behind ({left}); it is taken up again "
            "when the registry is opened next"
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
    blobs.put(f"receipts/{receipt['receipt']}.json", json.dumps(receipt, indent=1).encode())
    return receipt
