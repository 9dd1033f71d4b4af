"""A registry: its parts, opened together, and every change that can be made to them.

Opening writes nothing, except to finish a change that a crash cut off.

The order of the steps makes a change safe. Crops are stored before the record that names them.
Writing the record is the commit. An intent stands from before the record is written until the index
is up to date, and opening a registry settles any intent that a crash left behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from registry import events
from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import erasing, schema, switching
from registry.core.blocks import Block, Blocks, blocked
from registry.core.decisions import (
    Decision,
    DecisionLog,
    Kind,
    View,
    concerned,
    fold,
    regrouped_videos,
    repeats,
    stamped,
    tidy,
    unfit,
)
from registry.core.erasing import Eraser, Plan
from registry.core.finding import find_crop, find_identity, find_video, remembered_videos
from registry.core.index import Index
from registry.core.intents import ERASE, INCOMING, REINDEX, SWITCH, Intents
from registry.core.lease import Lease
from registry.core.parts import HomeLock, load_model
from registry.core.records import RecordStore, Rereads, lost
from registry.core.recovery import Replacing, finish, rebuild, settle, settle_if_free, showing
from registry.core.switching import Switch
from registry.domain import Contract, Identity, Video
from registry.errors import EmptyRegistry, StoreError, UnknownError, UsageError
from registry.faces.matching import assign, kept
from registry.models.base import FaceModel
from registry.settings import Settings
from registry.store.base import Payload, Store


class Registry:
    """One registry. Use `open_registry`, or pass the parts in; close it, or use it in a `with`."""

    def __init__(
        self,
        settings: Settings,
        blobs: BlobStore,
        store: Store,
        *,
        lock: HomeLock | None = None,
        lease: Lease | None = None,
        steps: Sequence[schema.Step] = schema.STEPS,
    ) -> None:
        """`steps` lead from earlier schemas to the one that is worked with."""
        self.settings = settings
        self.store = store
        self.lease = lease
        self._lock, self._steps = lock, steps
        self.adopt(blobs)

    def adopt(self, blobs: BlobStore) -> None:
        """Take these objects for the registry's, as they are now, and bring up their schema."""
        self.blobs = blobs
        self.decisions = DecisionLog(blobs)
        self.blocks = Blocks(blobs)
        self.rereads = Rereads(blobs)
        self._index: Index | None = None
        self._view: View | None = None
        self._model: FaceModel | None = None
        self._intents = Intents(blobs, allowed=self.check, failed=self._forget)
        self._read()

    def _read(self) -> None:
        self._forget()
        self.incoming = self._intents.body(INCOMING)
        """Id of the registry that was on its way here when a restore or a migration ended early."""
        self._contract: Contract | None = None
        if self.incoming is None:
            if switching.pending(self.blobs):
                self._acquire()
                switching.finish(self.blobs, self.store)
            schema.upgrade(self.blobs, self._steps, allowed=self._acquire)
            self._contract = contracts.read(self.blobs)
        self._unread = False

    # --- what it is -----------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever been ingested. Raises `StoreError` for half of a copy."""
        if self._unread:
            self._read()
        if self.incoming is not None:
            raise StoreError(
                f"a restore or a migration into {self.blobs.describe()} did not finish: "
                "run the same command again"
            )
        return self._contract is None

    @property
    def contract(self) -> Contract:
        """What the registry was built with. Raises `EmptyRegistry` before the first ingest."""
        if self.is_empty or self._contract is None:
            raise EmptyRegistry(
                "nothing has been ingested here yet: run `face-registry ingest CSV` first "
                f"(objects: {self.blobs.describe()})"
            )
        return self._contract

    @property
    def records(self) -> RecordStore:
        """The records of its videos."""
        return RecordStore(self.blobs, self.contract.model.dimension)

    @property
    def view(self) -> View:
        """What people decided, as it stands now."""
        if self._view is None:
            self._view = fold(self.decisions.read())
        return self._view

    @property
    def index(self) -> Index:
        """The index, brought up to the records. Raises `StoreError` if it must be rebuilt first."""
        if self._index is None:
            contract = self.contract
            pending = self._intents.pending()
            lost = not {REINDEX, ERASE} & set(pending) and not Index.present(self.store)
            if lost and next(self.records.ids(), None) is not None:
                raise StoreError(
                    f"the index ({self.store.describe()}) is empty and the objects "
                    f"({self.blobs.describe()}) are not: run `face-registry reindex`"
                )
            index = Index(self.store, contract)
            index.check_owner()
            settle_if_free(self.lease, pending, lambda: self._settle(index))
            self._index = index
        return self._index

    def model(self, source: str | None = None, *, threads: int | None = None) -> FaceModel:
        """The registry's model, loaded once.

        Args:
            source: a catalogue name or folder; by default what the registry was built with, then
                FACE_REGISTRY_MODEL, then sface.
            threads: threads of one inference; None leaves it to the runtime.

        Raises:
            ContractError: the registry was built with another model.
            ModelError: the model cannot be loaded.
        """
        if self._model is None:
            model = load_model(self.settings, source, built_with=self._contract, threads=threads)
            if self._contract is not None:
                contracts.check_model(self._contract, model.info)
            self._model = model
        return self._model

    # --- the one writer ------------------------------------------------------------------------

    def hold(self) -> None:
        """Become the one writer, as every change does. Raises `RegistryLocked` if another is."""
        if self.lease is not None and not self.lease.held:
            self._acquire()
            self._read()  # another may have written since

    def check(self) -> None:
        """Return if this process may write now. Raises `RegistryLocked` if another took over."""
        self.hold()
        if self.lease is not None:
            self.lease.check()

    def settle_objects(self) -> Plan | None:
        """Finish, as far as objects go, an erasure that was cut off. Returns what is to go."""
        if self._intents.body(ERASE) is None:
            return None
        self.check()
        body, self._view = self._intents.body(ERASE), None
        plan = None if body is None else erasing.decode(body)
        if plan:
            self._eraser().clear(plan, self.view)
            self._view = None
        return plan

    # --- reading --------------------------------------------------------------------------------

    def identity(self, key: str) -> Identity:
        """The identity of this id, unique beginning of an id, or name. Raises `UnknownError`."""
        return find_identity(self.index, self.view, key)

    def video(self, key: str) -> Payload:
        """The index's payload of the video of this URL, id or unique beginning of an id."""
        return find_video(self.index, key)

    def crop(self, key: str, digest: str) -> bytes:
        """The JPEG bytes of a crop. Raises `StoreCorrupt` if they are not what was stored."""
        return find_crop(self.blobs, key, digest)

    def close(self) -> None:
        """Flush and let go of every part; closing twice is fine."""
        try:
            self.store.close()
            if self.lease:
                with suppress(StoreError):  # it runs out by itself
                    self.lease.release()
            self.blobs.close()
        finally:
            if self._lock:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- changes --------------------------------------------------------------------------------

    def establish(self, contract: Contract) -> None:
        """Make this a registry of that contract. Only an empty one can be."""
        self.hold()
        if not self.is_empty:
            raise StoreError("this registry has its contract already")
        Index(self.store, contract).check_owner()
        contracts.write(self.blobs, contract)
        self._contract = contract

    def commit(self, video: Video) -> Video:
        """Give the faces of a video, whose crops must be stored, identities, and put it on record.

        Returns the video as recorded, without faces of people who are blocked. It replaces one on
        record, and the crops that it does not name are removed.
        """
        self.hold()
        before = self.records.get(video.video_id)
        given, model = video, self.contract.model
        video = without_blocked(video, self.blocks.read(), model.verification_threshold)
        video = self._assigned(video, before)
        index = self.index
        replaced = Replacing.of(before, given, video, self.view)
        with self._intents.declared(video.video_id, replaced.encoded()):
            self.records.put(video)
            index.put(video, self.view)
            finish(replaced, index, self.blobs, self.view)
        return video

    def update_metrics(self, video_id: str, metrics: Mapping[str, float]) -> None:
        """Record other metrics for a video on record, and bring its faces up to them."""
        self.hold()
        video = self.records.get(video_id)
        if video is None:
            raise UnknownError(f"no video {video_id} is on record")
        video = replace(video, metrics=dict(metrics))
        index = self.index
        with self._intents.declared(video_id):
            self.records.put(video)
            index.put_metrics(video)
            index.flush()

    def decide(self, decision: Decision) -> Decision:
        """Put a decision in the log and bring the index up to it. Returns it with its number.

        One that says what the last one says is that one: whoever was cut off and does it again
        does not do it twice.

        Raises:
            UsageError: it contradicts decisions that stand.
        """
        self.hold()
        index, before, log = self.index, self.view, self.decisions.read()
        if log and repeats(decision, log[-1]):
            return log[-1]
        decision = stamped(decision, log)
        after = fold([*log, decision])
        if after.conflicts:
            raise UsageError(f"{after.conflicts[0]}; undo one of them first")
        with self._intents.declared(REINDEX):
            self.decisions.append(decision)
            self._view = after
            touched = concerned(log, [*log, decision])
            touched |= index.identities_in(regrouped_videos(before, after))
            regrouped = (before.parents, before.moved) != (after.parents, after.moved)
            videos = showing(index, self.records, touched) if regrouped else ()
            index.regroup(videos, touched, after)
            index.flush()
        events.emit("decision", kind=str(decision.kind))
        return decision

    def name(self, key: str, name: str) -> Decision:
        """Give an identity a name, kept as `tidy` makes it; an empty one takes it back.

        Raises:
            UnknownError: there is no such identity.
            UsageError: the name is none.
        """
        identity, tidied = self.identity(key), tidy(name)
        why = "it is nothing but space; '' takes a name back" if name and not tidied else ""
        if why := why or unfit(tidied):
            raise UsageError(f"{name!r} cannot be a name: {why}")
        return self.decide(Decision(0, Kind.NAME, identity.identity_id, name=tidied))

    def reindex(self, progress: Callable[[Video], None] = lambda _: None) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        self.hold()
        contract, plan = self.contract, self.settle_objects()
        for _ in self.records.all():
            pass  # one that is damaged ends it here: the index may know what its URL was
        with self._intents.declared(REINDEX):
            Index.drop(self.store)
            index = Index(self.store, contract)
            count = rebuild(index, self.records, self.view, progress)
        if plan:
            erasing.certify(self.blobs, self.records, index, plan)
            self._intents.settle(ERASE)
        self._settle(index)
        self._index = index
        return count

    def change_model(
        self, switch: Switch, progress: Callable[[Video], None] = lambda _: None
    ) -> None:
        """Take the records beside for the registry's own, and rebuild the index.

        They must be all there (see `registry.core.switching`); `registry.changing.change` puts
        them there.
        """
        self.check()
        with self._intents.declared(SWITCH, switch.encoded()):
            switching.finish(self.blobs, self.store)
        self.adopt(self.blobs)
        self.reindex(progress)

    def forget(self, key: str, *, block: bool = False) -> dict[str, Any]:
        """Remove a person for good: faces, crops, names, what decisions say, the index's bytes.

        Args:
            key: what `identity` takes.
            block: keep a template (`registry.core.blocks`) so that the person is not enrolled
                again.

        Returns:
            The receipt, which is also kept under `receipts/`.
        """
        self.hold()
        who = self.identity(key).identity_id
        return self._erase(self._eraser().plan_person(self.view, who, block=block))

    def unblock(self, block_id: str) -> None:
        """Lift a block, template and all. Raises `UnknownError` if there is none."""
        self.check()
        self.blocks.lift(block_id)

    def remove_video(self, key: str) -> dict[str, Any]:
        """Remove a video, named as for `video`, for good, and those who are in no other."""
        return self.remove_videos([key])

    def remove_videos(self, keys: Sequence[str]) -> dict[str, Any]:
        """Remove videos, at least one, in one go: one receipt, and the index is rebuilt once."""
        self.hold()
        going = sorted({str(self.video(key)["video_id"]) for key in keys})
        return self._erase(self._eraser().plan_videos(self.view, going))

    def give_up(self, video_ids: Sequence[str]) -> dict[str, str]:
        """Put failed videos in the places of records that are damaged, to be read again.

        Their faces go from the index. A record of a video that the index does not know is removed;
        ingesting its URL takes it for a new one. Returns the URLs by id, empty where not known.
        """
        self.check()
        remembered, found = remembered_videos(self.store, video_ids), {}
        if not Index.present(self.store):
            self._intents.declare(REINDEX)
        for video_id in video_ids:
            known = remembered.get(video_id)
            found[video_id] = str(known["url"]) if known else ""
            self._intents.declare(video_id)
            if known:
                self.rereads.mark(video_id)
                self.records.put(lost(known))
            else:
                self.records.delete(video_id)
        self._forget()  # opening the index anew brings it up to the records
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _eraser(self) -> Eraser:
        return Eraser(self.blobs, self.records, allowed=self.check)

    def _erase_index(self, plan: Plan, index: Index) -> dict[str, Any]:
        keeps = self.store.keeps_deleted
        erasing.erase_from_index(index, self.records, self.view, plan, keeps_deleted=keeps)
        return erasing.certify(self.blobs, self.records, index, plan)

    def _settle(self, index: Index) -> None:
        if plan := self.settle_objects():
            self._erase_index(plan, index)
            self._intents.settle(ERASE)
        settle(self._intents, index, self.records, self.view, self.blobs)

    def _acquire(self) -> None:
        if self.lease is not None:
            self.lease.acquire()

    def _forget(self) -> None:
        """After a change that was cut off, what was read before it is read again, and settled."""
        self._index = self._view = self._model = None
        self._unread = True

    def _assigned(self, video: Video, before: Video | None = None) -> Video:
        return assigned(video, before, self.index, self.view, self.contract.threshold)

    def _erase(self, plan: Plan) -> dict[str, Any]:
        index = self.index
        with self._intents.declared(ERASE, plan.encoded()):
            self.settle_objects()
            receipt = self._erase_index(plan, index)
        events.emit("erasure", kind=plan.kind, counts=receipt["removed"])
        if self._lock:  # else another process may be reading what it downloaded
            shutil.rmtree(self.settings.downloads, ignore_errors=True)
        return receipt


def without_blocked(video: Video, blocks: Sequence[Block], threshold: float) -> Video:
    """The video without the faces that have a cosine to a block of at least `threshold`."""
    if not video.faces or not blocks:
        return video
    hit = blocked(np.stack([face.embedding for face in video.faces]), blocks, threshold)
    left = tuple(f for f, is_hit in zip(video.faces, hit, strict=True) if not is_hit)
    return replace(video, faces=left)


def assigned(
    video: Video, before: Video | None, index: Index, view: View, threshold: float
) -> Video:
    """The video with identities; read again, a face that is as it was `before` keeps its own."""
    if not video.faces:
        return video
    embeddings = np.stack([face.embedding for face in video.faces])
    stored = index.nearest(video.video_id, embeddings)
    if before is not None and before.faces:
        stored = kept(video.faces, before.faces, stored, view.origin_of)
    identities = assign([face.face_id for face in video.faces], embeddings, stored, threshold)
    pairs = zip(video.faces, identities, strict=True)
    return replace(video, faces=tuple(replace(f, identity_id=i) for f, i in pairs))
