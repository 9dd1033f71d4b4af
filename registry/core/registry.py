"""A registry: its objects and its index, opened together, and the changes that can be made to them.

Opening a registry writes nothing, except to finish a change that a crash interrupted.

A change is safe because of the order of its steps. Crops are stored before the record that names
them. Writing the record commits the change. An intent is there from before the record is written
until the index is up to date, and opening the registry finishes the change of every intent that it
finds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any, NoReturn

from registry import events
from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import erasing, schema, switching
from registry.core.backends import load_model, model_choice
from registry.core.blocks import Blocks
from registry.core.decisions import (
    Decision,
    DecisionKind,
    DecisionLog,
    View,
    affected_identities,
    checked_name,
    fold,
    regrouped_videos,
    repeats,
    stamped,
)
from registry.core.erasing import Eraser, ErasurePlan
from registry.core.guarded import GuardedStore, Lock, WriteRight
from registry.core.index import Index
from registry.core.intents import ERASE, INCOMING, REINDEX, SWITCH, Intents, KeptIntents
from registry.core.lease import Lease
from registry.core.points import IndexedVideo
from registry.core.records import RecordStore, Rereads
from registry.core.recovery import (
    Replacement,
    finish_if_free,
    finish_interrupted,
    records_showing,
    replace_damaged,
)
from registry.core.selectors import find_identity, find_video, read_crop, remembered_videos
from registry.core.shared_crops import leave_out_blocked
from registry.core.switching import Switch
from registry.domain import Contract, Identity, Video
from registry.errors import EmptyRegistry, RegistryLocked, StoreError, UsageError
from registry.faces.matching import assign_video
from registry.models.base import FaceModel
from registry.settings import Settings
from registry.store.base import Store
from registry.urls import Url


class Registry(AbstractContextManager["Registry", None]):
    """One registry. Use `open_registry`, or pass the parts in; close it, or use it in a `with`."""

    def __init__(
        self,
        settings: Settings,
        blobs: BlobStore,
        store: Store,
        *,
        lock: Lock | None = None,
        lease: Lease | None = None,
        steps: Sequence[schema.Step] = schema.STEPS,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`steps` are the upgrades from earlier schemas to the current one.

        `lock` is taken already; `lease` is taken by the first change. Without either, the caller
        ensures that nobody else writes. `say` is told of warnings.
        """
        self.settings, self.store, self.lease = settings, store, lease
        self._lock, self._steps, self.say = lock, steps, say
        self._warned = ""
        self.adopt(blobs)

    def adopt(self, blobs: BlobStore) -> None:
        """Use these objects from now on. They are upgraded if they have an earlier schema."""
        self.blobs = GuardedStore(blobs, *self.rights)
        self.decisions = DecisionLog(self.blobs)
        self.blocks = Blocks(self.blobs)
        self.rereads = Rereads(self.blobs)
        self._index: Index | None = None
        self._view: View | None = None
        self._model: tuple[str, FaceModel] | None = None
        self._intents = Intents(self.blobs)
        self._kept = KeptIntents(self._intents)
        self._load()

    def _load(self) -> None:
        self._reset()
        self.incoming = self._intents.content(INCOMING)
        """Id of the registry that a restore or a migration did not finish copying to here."""
        self._contract: Contract | None = None
        if self.incoming is None:
            if switching.is_pending(self.blobs) or schema.is_due(self.blobs, self._steps):
                if self.lease is not None:
                    self.lease.acquire()
                with self.blobs.writing():
                    switching.complete(self.blobs, self.store)
                    schema.upgrade(self.blobs, self._steps)
            self._contract = contracts.load(self.blobs)
        self._outdated = False

    # --- what it is -----------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been ingested. Raises `StoreError` for half of a copy."""
        if self._outdated:
            self._load()
        if self.incoming is not None:
            raise StoreError(
                f"A restore or a migration into {self.blobs.describe()} did not finish. "
                "Run the same command again."
            )
        return self._contract is None

    @property
    def contract(self) -> Contract:
        """What the registry was built with. Raises `EmptyRegistry` before the first ingest."""
        if self.is_empty or self._contract is None:
            raise EmptyRegistry(
                f"Nothing has been ingested here yet (objects: {self.blobs.describe()}). Run "
                "`face-registry ingest CSV` first."
            )
        return self._contract

    @property
    def records(self) -> RecordStore:
        """The records of its videos."""
        return RecordStore(self.blobs, self.contract.model.dimension)

    @property
    def view(self) -> View:
        """What people decided, as of now."""
        if self._view is None:
            self._view = fold(self.decisions.entries())
        return self._view

    @property
    def index(self) -> Index:
        """The index, up to date with the records. `StoreError` if it must be rebuilt."""
        if self._index is None:
            contract = self.contract
            pending = self._intents.pending()
            is_lost = not {REINDEX, ERASE} & set(pending) and not Index.present(self.store)
            if is_lost and next(self.records.ids(), None) is not None:
                raise StoreError(
                    f"The index ({self.store.describe()}) is empty, and the objects "
                    f"({self.blobs.describe()}) are not. Run `face-registry reindex`."
                )
            index = Index(self.store, contract)
            index.check_owner()
            if pending:
                finish_if_free(self.lease, pending, lambda: self._finish_interrupted(index))
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
            self.say(f"warning: {choice.warning}")
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

    # --- the right to write ---------------------------------------------------------------------

    @property
    def rights(self) -> list[WriteRight]:
        """What gives this process the right to write: the lock on the home folder, or the lease."""
        return [right for right in (self._lock, self.lease) if right is not None]

    def hold(self) -> None:
        """Become the writer of this registry, until it is closed.

        Every change does this by itself. Call it to keep other processes from writing while you
        read. Raises `RegistryLocked` if another process is the writer.
        """
        if self.lease is not None and not self.lease.held:
            self.lease.acquire()
            self._load()  # another process may have written since

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Become the writer of this registry, and make a change in the block.

        Objects can be written inside such a block only (`registry.core.guarded`). Raises
        `RegistryLocked` if another process is the writer, also from a write inside the block.
        """
        self.hold()
        with self.blobs.writing():
            yield

    def finish_erasure(self) -> ErasurePlan | None:
        """Finish an interrupted erasure as far as the objects are concerned.

        Returns its plan; None if there is no such erasure. The index still has what was erased.
        """
        if self._intents.content(ERASE) is None:
            return None
        with self.writing():
            content, self._view = self._intents.content(ERASE), None
            if content is None:
                return None
            plan = self._eraser().erase(erasing.decode_plan(content), self.view)
            self._view = None
            return plan

    # --- reading --------------------------------------------------------------------------------

    def identity(self, key: str) -> Identity:
        """The identity of this id, unique beginning of an id, or name. Raises `UnknownError`."""
        return find_identity(self.index, self.view, key)

    def video(self, key: str) -> IndexedVideo:
        """The video of this URL, id or file name (`find_video`). Raises `UnknownError`."""
        return find_video(self.index, key)

    def crop(self, key: str, digest: str) -> bytes:
        """The JPEG bytes of a crop. Raises `StoreCorrupt` unless they have this SHA-256."""
        return read_crop(self.blobs, key, digest)

    def close(self) -> None:
        """Flush and release everything at the last closing of a shared one; twice is fine."""
        if self._lock and not self._lock.leave():
            return
        try:
            with suppress(RegistryLocked, StoreError):  # the next opening finishes what is left
                self.settle()
            self.store.close()
            if self.lease:
                with suppress(StoreError):  # it expires by itself
                    self.lease.release()
            self.blobs.close()
        finally:
            if self._lock:
                self._lock.release()

    def __reduce__(self) -> NoReturn:
        raise TypeError("A registry cannot be sent to another process. Open it there, to read.")

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- changes --------------------------------------------------------------------------------

    def establish(self, contract: Contract) -> None:
        """Give an empty registry its contract."""
        with self.writing():
            if not self.is_empty:
                raise StoreError(
                    f"The registry in {self.blobs.describe()} is not empty, so its contract is "
                    "fixed. Use another --home."
                )
            Index(self.store, contract).check_owner()
            contracts.save(self.blobs, contract)
            self._contract = contract

    def change_sampling(self, contract: Contract) -> None:
        """Take over the contract with another `max_gap_s` or `cuts`."""
        with self.writing():
            contracts.save(self.blobs, contract)
            self._contract = contract

    def commit(self, video: Video) -> Video:
        """Assign identities to the faces of a video, and record it. Its crops must be stored.

        Returns the video as recorded, without faces of people who are blocked. It replaces the
        record of the same video, and crops that no record names any more are removed.
        """
        with self.writing():
            before = self.records.get(video.video_id)
            given, least = video, self.contract.model.verification_threshold
            video = leave_out_blocked(video, self.blocks.all(), least, self.blobs)
            near, origin_of = self.index.nearest, self.view.origin_of
            video = assign_video(video, before, near, origin_of, self.contract.threshold)
            index = self.index
            replacement = Replacement.of_video(before, given, video, self.view)
            with self.intent(video.video_id, replacement.encode(), keep=True):
                self.records.put(video)
                index.put(video, self.view)
                replacement.remove_crops(self.blobs)
            return video

    def settle(self) -> None:
        """Make the index of all commits durable. Closing the registry does so too."""
        if self._kept:
            with self.writing():
                self.index.flush()
                self._kept.remove()

    def set_primary_metric(self, name: str) -> None:
        """Make a metric the one that reports average by name."""
        with self.writing():
            self._contract = replace(self.contract, primary_metric=name)
            contracts.save(self.blobs, self._contract)

    def decide(self, decision: Decision) -> Decision:
        """Append a decision to the log and update the index. Returns it with its number.

        A decision that equals the last one is not appended again, so that a command can be repeated
        after a crash.

        Raises:
            UsageError: it contradicts decisions that are in effect.
        """
        with self.writing():
            index, before, log = self.index, self.view, self.decisions.entries()
            if log and repeats(decision, log[-1]):
                return log[-1]
            decision = stamped(decision, log)
            after = fold([*log, decision])
            if after.conflicts:
                raise UsageError(f"{after.conflicts[0]} Undo one of them first.")
            with self.intent(REINDEX):
                self.decisions.append(decision)
                self._view = after
                affected = affected_identities(log, [*log, decision])
                affected |= index.identities_in(regrouped_videos(before, after))
                regrouped = (before.parents, before.moved) != (after.parents, after.moved)
                videos = records_showing(index, self.records, affected) if regrouped else ()
                index.regroup(videos, affected, before, after)
                index.flush()
        events.emit("decision", kind=str(decision.kind))
        return decision

    def name(self, key: str, name: str) -> Decision:
        """Give an identity a name, which is stored normalized. An empty name removes it.

        Raises:
            UnknownError: there is no such identity.
            UsageError: the name is not allowed.
        """
        who = self.identity(key).identity_id
        return self.decide(Decision(0, DecisionKind.NAME, who, name=checked_name(name)))

    def reindex(self) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        with self.writing():
            contract, plan = self.contract, self.finish_erasure()
            for _ in self.records.all():
                pass  # a damaged record ends it here, while the index may still know its URL
            with self.intent(REINDEX):
                erasing.drop_evidence(self.blobs)
                Index.drop(self.store)
                index = Index(self.store, contract)
                count = index.rebuild(self.records.all(), self.view)
            if plan:
                erasing.certify(self.blobs, self.records, index, plan)
                self._intents.remove(ERASE)
            self._finish_interrupted(index)
            self._index = index
            return count

    def change_model(self, switch: Switch) -> None:
        """Replace the records with the staged ones, and rebuild the index.

        All of them must be staged (`registry.core.staging`); `registry.changing.change` does that.
        """
        with self.writing():
            with self.intent(SWITCH, switch.encode()):
                switching.complete(self.blobs, self.store)
            self._load()
            self.reindex()

    def forget(self, key: str, *, block: bool = False) -> dict[str, Any]:
        """Erase a person: faces, crops, names, mentions in decisions, and the bytes in the index.

        Args:
            key: what `identity` takes.
            block: keep a template (`registry.core.blocks`) so that the person is not enrolled
                again.

        Returns:
            The receipt, which is also stored under `receipts/`.
        """
        with self.writing():
            who = self.identity(key).identity_id
            return self._erase(self._eraser().plan_person(self.view, who, block=block))

    def unblock(self, block_id: str) -> None:
        """Remove a block and its template. Raises `UnknownError` if there is none of this id."""
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
        """Replace damaged records with failed videos that are to be read again.

        Their faces are removed from the index. A record of a video that the index does not know is
        removed; the next ingest of its URL treats it as a new video. Returns the URLs by id, empty
        if not known.
        """
        with self.writing():
            if not Index.present(self.store):
                self._intents.declare(REINDEX)
            indexed = remembered_videos(self.store, video_ids)
            replace_damaged(self._intents, self.records, self.rereads, video_ids, indexed)
            self._reset()  # opening the index again updates it from the records
            return {i: indexed[i].url if i in indexed else Url("") for i in video_ids}

    # --- inside ---------------------------------------------------------------------------------

    def _eraser(self) -> Eraser:
        return Eraser(self.blobs, self.records, self.model)

    def _erase(self, plan: ErasurePlan) -> dict[str, Any]:
        self.settle()
        index = self.index
        with self.intent(ERASE, plan.encode()):
            plan = self.finish_erasure() or plan
            receipt = self._erase_from_index(plan, index)
        events.emit("erasure", kind=plan.kind, counts=receipt["removed"])
        if self._lock:  # otherwise another process may be reading its downloads
            shutil.rmtree(self.settings.downloads, ignore_errors=True)
        return receipt

    def _erase_from_index(self, plan: ErasurePlan, index: Index) -> dict[str, Any]:
        records, keeps = self.records, self.store.keeps_deleted
        erasing.erase_from_index(index, records, self.view, plan, keeps_deleted=keeps)
        return erasing.certify(self.blobs, records, index, plan)

    @contextmanager
    def intent(self, name: str, content: bytes = b"", *, keep: bool = False) -> Iterator[None]:
        """Declare an intent while the block runs. It stays if the block raises.

        With `keep`, it also stays until `settle`, which is called for many of them at once; the
        block need not flush the index then.
        """
        try:
            if name in self._kept:
                self.settle()  # the new content would replace that of the earlier change
            self._intents.declare(name, content)
            yield
            if not keep:
                self._intents.remove(name)
            elif self._kept.keep(name):
                self.settle()
        except BaseException:
            self._reset()
            raise

    def _finish_interrupted(self, index: Index) -> None:
        with self.blobs.writing():
            if plan := self.finish_erasure():
                self._erase_from_index(plan, index)
                self._intents.remove(ERASE)
            finish_interrupted(self._intents, index, self.records, self.view, self.blobs)
            self._kept.clear()

    def _reset(self) -> None:
        """Drop what was read, so that it is read again and interrupted changes are finished."""
        self._index = self._view = self._model = None
        self._kept.clear()
        self._outdated = True
