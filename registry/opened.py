"""A registry, opened: its parts put together, what a crash left settled, and all of it readable.

Opening writes nothing but what a change that was cut off had still to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from registry import contract as contracts
from registry import schema
from registry.blobs.base import BlobStore
from registry.changing import switching
from registry.decisions import View, fold
from registry.domain import Contract, Identity
from registry.erasure import erasing, receipts
from registry.erasure.blocks import Blocks
from registry.erasure.erasing import Eraser, Plan
from registry.errors import EmptyRegistry, StoreError
from registry.finding import find_crop, find_identity, find_video
from registry.index import Index
from registry.intents import ERASE, INCOMING, REINDEX, Intents
from registry.lease import Lease
from registry.log import DecisionLog
from registry.models.base import FaceModel
from registry.parts import HomeLock, load_model
from registry.records import RecordStore
from registry.recovery import settle, settle_if_free
from registry.settings import Settings
from registry.store.base import Payload, Store
from registry.upkeep.rereads import Rereads


class Opened:
    """What a registry is, apart from the changes that can be made to it."""

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

    # --- inside ---------------------------------------------------------------------------------

    def _eraser(self) -> Eraser:
        return Eraser(self.blobs, self.records, allowed=self.check)

    def _erase_index(self, plan: Plan, index: Index) -> dict[str, Any]:
        keeps = self.store.keeps_deleted
        receipts.erase_from_index(index, self.records, self.view, plan, keeps_deleted=keeps)
        return receipts.certify(self.blobs, self.records, index, plan)

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
