"""A registry: its parts, opened together, and every change that can be made to them.

Opening writes nothing, except to finish a change that a crash cut off.

The order of the steps makes a change safe. Crops are stored before the record that names them.
Writing the record is the commit. An intent stands from before the record is written until the index
is up to date, and opening a registry settles any intent that a crash left behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from registry import events
from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import erasing, schema, switching
from registry.core.assignment import assigned, without_blocked
from registry.core.blocks import Blocks
from registry.core.decisions import (
    Decision,
    DecisionKind,
    DecisionLog,
    View,
    concerned,
    fold,
    repeats,
    stamped,
    tidy,
    unfit,
)
from registry.core.erasing import Eraser, Plan
from registry.core.finding import find_crop, find_identity, find_video, remembered_videos
from registry.core.guarded import GuardedStore, WriteRight
from registry.core.index import Index
from registry.core.intents import ERASE, INCOMING, REINDEX, SWITCH, Intents
from registry.core.lease import Lease
from registry.core.parts import HomeLock, load_model, model_choice
from registry.core.points import IndexedVideo
from registry.core.records import RecordStore, Rereads
from registry.core.recovery import Replacing, finish, settle, showing
from registry.core.switching import Switch
from registry.domain import Contract, Identity, Video
from registry.errors import EmptyRegistry, RegistryLocked, StoreError, UnknownError, UsageError
from registry.models.base import FaceModel
from registry.settings import Settings
from registry.store.base import Store
from registry.urls import Url


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
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`steps` lead from earlier schemas to the current one; `say` is told of warnings."""
        self.settings = settings
        self.store = store
        self.lease = lease
        self._lock, self._steps, self._say = lock, steps, say
        self._warned = ""
        self.adopt(blobs)

    def adopt(self, blobs: BlobStore) -> None:
        """Take these objects for the registry's, as they are now, and bring up their schema."""
        self.blobs = GuardedStore(blobs, *self.rights)
        self.decisions = DecisionLog(self.blobs)
        self.blocks = Blocks(self.blobs)
        self.rereads = Rereads(self.blobs)
        self._index: Index | None = None
        self._view: View | None = None
        self._model: tuple[str, FaceModel] | None = None
        self._intents = Intents(self.blobs)
        self._read()

    def _read(self) -> None:
        self._forget()
        self.incoming = self._intents.body(INCOMING)
        """Id of the registry that was on its way here when a restore or a migration ended early."""
        self._contract: Contract | None = None
        if self.incoming is None:
            if switching.pending(self.blobs) or schema.is_due(self.blobs, self._steps):
                self._acquire()
                with self.blobs.writing():
                    switching.finish(self.blobs, self.store)
                    schema.upgrade(self.blobs, self._steps)
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
            self._settle_if_free(index, pending)
            self._index = index
        return self._index

    def model_source(self, asked: str | None = None) -> str:
        """The name or folder of the registry's model.

        See `registry.core.contract.choose_model`. Warns, through `say`, if FACE_REGISTRY_MODEL
        names another one.

        Args:
            asked: a catalogue name or folder that goes first.
        """
        choice = model_choice(self.settings, asked, self._contract)
        if choice.warning and choice.warning != self._warned:
            self._say(f"warning: {choice.warning}")
            self._warned = choice.warning
        return choice.source

    def model(self, asked: str | None = None) -> FaceModel:
        """The registry's model, loaded once.

        Args:
            asked: a catalogue name or folder; see `model_source`.

        Raises:
            ContractError: the registry was built with another model.
            ModelError: the model cannot be loaded.
        """
        source = self.model_source(asked)
        if self._model is None or self._model[0] != source:
            model = load_model(self.settings, source)
            if self._contract is not None:
                contracts.check_model(self._contract, model.info)
            self._model = (source, model)
        return self._model[1]

    # --- the one writer ------------------------------------------------------------------------

    @property
    def rights(self) -> list[WriteRight]:
        """What gives this process the right to write: the lock on the home folder, or the lease."""
        return [right for right in (self._lock, self.lease) if right is not None]

    def hold(self) -> None:
        """Become the one writer, until the registry is closed.

        Every change does this by itself. Call it to keep others from writing before a change, or
        while reading. Raises `RegistryLocked` if another process is the writer.
        """
        if self.lease is not None and not self.lease.held:
            self._acquire()
            self._read()  # another may have written since

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Become the one writer and make one change (`registry.core.guarded`) in the block.

        Objects can only be written inside such a block. Raises `RegistryLocked` if another process
        is the writer, also from a write inside the block.
        """
        self.hold()
        with self.blobs.writing():
            yield

    def settle_objects(self) -> Plan | None:
        """Finish, as far as objects go, an erasure that was cut off. Returns what is to go."""
        if self._intents.body(ERASE) is None:
            return None
        with self.writing():
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

    def video(self, key: str) -> IndexedVideo:
        """The video of this URL, id or unique beginning of an id. Raises `UnknownError`."""
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
        with self.writing():
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
        with self.writing():
            before = self.records.get(video.video_id)
            given, model = video, self.contract.model
            video = without_blocked(video, self.blocks.read(), model.verification_threshold)
            video = self._assigned(video, before)
            index = self.index
            replaced = Replacing.of(before, given, video, self.view)
            with self._declared(video.video_id, replaced.encoded()):
                self.records.put(video)
                index.put(video, self.view)
                finish(replaced, index, self.blobs, self.view)
            return video

    def update_metrics(self, video_id: str, metrics: Mapping[str, float]) -> None:
        """Record other metrics for a video on record, and bring its faces up to them."""
        with self.writing():
            video = self.records.get(video_id)
            if video is None:
                raise UnknownError(f"no video {video_id} is on record")
            video = replace(video, metrics=dict(metrics))
            index = self.index
            with self._declared(video_id):
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
        with self.writing():
            index, before, log = self.index, self.view, self.decisions.read()
            if log and repeats(decision, log[-1]):
                return log[-1]
            decision = stamped(decision, log)
            after = fold([*log, decision])
            if after.conflicts:
                raise UsageError(f"{after.conflicts[0]}; undo one of them first")
            with self._declared(REINDEX):
                self.decisions.append(decision)
                self._view = after
                touched = concerned(log, [*log, decision])
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
        return self.decide(Decision(0, DecisionKind.NAME, identity.identity_id, name=tidied))

    def reindex(self) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        with self.writing():
            contract, plan = self.contract, self.settle_objects()
            for _ in self.records.all():
                pass  # a damaged one ends it here: the index may still know its URL
            with self._declared(REINDEX):
                Index.drop(self.store)
                index = Index(self.store, contract)
                count = index.rebuild(self.records.all(), self.view)
            if plan:
                erasing.certify(self.blobs, self.records, index, plan)
                self._intents.settle(ERASE)
            self._settle(index)
            self._index = index
            return count

    def change_model(self, switch: Switch) -> None:
        """Take the records beside for the registry's own, and rebuild the index.

        They must all be there: `registry.changing.change` stages them.
        """
        with self.writing():
            with self._declared(SWITCH, switch.encoded()):
                switching.finish(self.blobs, self.store)
            self._read()
            self.reindex()

    def forget(self, key: str, *, block: bool = False) -> dict[str, Any]:
        """Remove a person for good: faces, crops, names, what decisions say, the index's bytes.

        Args:
            key: what `identity` takes.
            block: keep a template (`registry.core.blocks`) so that the person is not enrolled
                again.

        Returns:
            The receipt, which is also kept under `receipts/`.
        """
        with self.writing():
            who = self.identity(key).identity_id
            return self._erase(self._eraser().plan_person(self.view, who, block=block))

    def unblock(self, block_id: str) -> None:
        """Lift a block, template and all. Raises `UnknownError` if there is none."""
        with self.writing():
            self.blocks.lift(block_id)

    def remove_videos(self, keys: Sequence[str]) -> dict[str, Any]:
        """Remove videos for good, at least one, and the identities that are in no other.

        `keys` are what `video` takes. All share a receipt, and the index is rebuilt once.
        """
        with self.writing():
            going = sorted({self.video(key).video_id for key in keys})
            return self._erase(self._eraser().plan_videos(self.view, going))

    def give_up(self, video_ids: Sequence[str]) -> dict[str, Url]:
        """Put failed videos in the places of records that are damaged, to be read again.

        Their faces go from the index. A record of a video that the index does not know is removed;
        ingesting its URL takes it for a new one. Returns the URLs by id, empty where not known.
        """
        with self.writing():
            remembered, found = remembered_videos(self.store, video_ids), {}
            if not Index.present(self.store):
                self._intents.declare(REINDEX)
            for video_id in video_ids:
                known = remembered.get(video_id)
                found[video_id] = known.url if known else Url("")
                self._intents.declare(video_id)
                if known:
                    self.rereads.mark(video_id)
                    self.records.put(known)
                else:
                    self.records.delete(video_id)
            self._forget()  # opening the index anew brings it up to the records
            return found

    # --- inside ---------------------------------------------------------------------------------

    def _eraser(self) -> Eraser:
        return Eraser(self.blobs, self.records)

    def _erase_index(self, plan: Plan, index: Index) -> dict[str, Any]:
        keeps = self.store.keeps_deleted
        erasing.erase_from_index(index, self.records, self.view, plan, keeps_deleted=keeps)
        return erasing.certify(self.blobs, self.records, index, plan)

    @contextmanager
    def _declared(self, intent: str, body: bytes = b"") -> Iterator[None]:
        """Hold an intent for as long as the block runs; it stays if the block does not end well."""
        try:
            self._intents.declare(intent, body)
            yield
            self._intents.settle(intent)
        except BaseException:
            self._forget()
            raise

    def _settle_if_free(self, index: Index, pending: list[str]) -> None:
        """Finish what was cut off, unless another process is changing the registry: it does then.

        Raises `RegistryLocked` if that process is rebuilding the index, or erasing.
        """
        if not pending:
            return
        if self.lease is None or self.lease.held:
            self._settle(index)
            return
        try:
            self.lease.acquire(wait=False)
        except RegistryLocked:
            if {REINDEX, ERASE} & set(pending):
                raise
            return
        try:
            self._settle(index)
        finally:
            self.lease.release()

    def _settle(self, index: Index) -> None:
        with self.blobs.writing():
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
        with self._declared(ERASE, plan.encoded()):
            self.settle_objects()
            receipt = self._erase_index(plan, index)
        events.emit("erasure", kind=plan.kind, counts=receipt["removed"])
        if self._lock:  # else another process may be reading what it downloaded
            shutil.rmtree(self.settings.downloads, ignore_errors=True)
        return receipt
