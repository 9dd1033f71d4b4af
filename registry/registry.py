"""A registry, opened: the parts put together, and every change that can be made to it.

The order of each change is its safety. Crops are there before the record that names them; the
record is the commit; an intent stands from before the record until the index has it, and opening a
registry settles what a crash left standing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from registry import contract as contracts
from registry.blobs.base import BlobStore
from registry.decisions import Decision, Kind, View, concerned, fold
from registry.domain import Contract, Identity, Video
from registry.errors import EmptyRegistry, StoreCorrupt, StoreError, UnknownError, UsageError
from registry.finding import find_identity, find_video
from registry.index import Index
from registry.intents import REINDEX, Intents
from registry.lease import Lease
from registry.log import DecisionLog, repeats, stamped
from registry.matching import assign, kept
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.parts import HomeLock
from registry.records import RecordStore
from registry.recovery import Replacing, finish, rebuild, settle, settle_if_free, showing
from registry.settings import DEFAULT_MODEL, Settings
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
    ) -> None:
        self.settings = settings
        self.blobs = blobs
        self.store = store
        self.decisions = DecisionLog(blobs)
        self._intents = Intents(blobs, allowed=self._check, failed=self._forget)
        self._lock, self._lease = lock, lease
        self._contract = contracts.read(blobs)
        self._index: Index | None = None
        self._view: View | None = None
        self._model: FaceModel | None = None

    # --- what it is -----------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever been ingested."""
        return self._contract is None

    @property
    def contract(self) -> Contract:
        """What the registry was built with. Raises `EmptyRegistry` before the first ingest."""
        if self._contract is None:
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
            lost = not Index.present(self.store) and REINDEX not in pending
            if lost and next(self.records.ids(), None) is not None:
                raise StoreError(
                    f"the index ({self.store.describe()}) is empty and the objects "
                    f"({self.blobs.describe()}) are not: run `face-registry reindex`"
                )
            index = Index(self.store, contract)
            index.check_owner()
            settle_if_free(self._lease, pending, lambda: self._settle(index))
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
            chosen = source or self.settings.model or self._built_with() or DEFAULT_MODEL
            model = catalogue.load(
                chosen,
                device=self.settings.device,
                cache=self.settings.model_cache,
                threads=threads,
            )
            if self._contract is not None:
                contracts.check_model(self._contract, model.info)
            self._model = model
        return self._model

    def _built_with(self) -> str | None:
        return self._contract.model_source if self._contract else None

    # --- changes --------------------------------------------------------------------------------

    def hold(self) -> None:
        """Become the one writer, as every change does. Raises `RegistryLocked` if another is."""
        if self._lease is not None and not self._lease.held:
            self._lease.acquire()
            self._forget()  # another may have written since
            self._contract = contracts.read(self.blobs)

    def establish(self, contract: Contract) -> None:
        """Make this a registry of that contract. Only an empty one can be."""
        self.hold()
        if self._contract is not None:
            raise StoreError("this registry has its contract already")
        Index(self.store, contract).check_owner()
        contracts.write(self.blobs, contract)
        self._contract = contract

    def commit(self, video: Video) -> Video:
        """Give the faces of a video, whose crops must be stored, identities, and put it on record.

        Returns the video as recorded. It replaces one on record, and the crops that only that had.
        """
        self.hold()
        before = self.records.get(video.video_id)
        video = self._assigned(video, before)
        index = self.index
        replaced = Replacing.of(before, video, self.view)
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
            regrouped = (before.parents, before.moved) != (after.parents, after.moved)
            videos = showing(index, self.records, touched) if regrouped else ()
            index.regroup(videos, touched, after)
            index.flush()
        return decision

    def name(self, key: str, name: str) -> Decision:
        """Give an identity a name; an empty one takes it back."""
        identity = self.identity(key)
        return self.decide(Decision(0, Kind.NAME, identity.identity_id, name=name))

    def reindex(self, progress: Callable[[Video], None] = lambda _: None) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        self.hold()
        contract = self.contract
        with self._intents.declared(REINDEX):
            Index.drop(self.store)
            index = Index(self.store, contract)
            count = rebuild(index, self.records, self.view, progress)
        self._settle(index)
        self._index = index
        return count

    # --- reading --------------------------------------------------------------------------------

    def identity(self, key: str) -> Identity:
        """The identity of this id, unique beginning of an id, or name. Raises `UnknownError`."""
        return find_identity(self.index, key)

    def video(self, key: str) -> Payload:
        """The index's payload of the video of this URL, id or unique beginning of an id."""
        return find_video(self.index, key)

    def crop(self, key: str, digest: str) -> bytes:
        """The JPEG bytes of a crop. Raises `StoreCorrupt` if they are not what was stored."""
        picture = self.blobs.get(key)
        if hashlib.sha256(picture).hexdigest() != digest:
            raise StoreCorrupt(
                f"crop {key} is damaged: its bytes are not those that were stored; "
                "restore it from a backup, or remove its video and ingest it again"
            )
        return picture

    def close(self) -> None:
        """Flush and let go of every part; closing twice is fine."""
        try:
            self.store.close()
            if self._lease:
                with suppress(StoreError):  # it runs out by itself
                    self._lease.release()
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

    def _assigned(self, video: Video, before: Video | None = None) -> Video:
        """The video with identities; read again, a face that is as it was keeps its own."""
        if not video.faces:
            return video
        embeddings = np.stack([face.embedding for face in video.faces])
        stored = self.index.nearest(video.video_id, embeddings)
        if before is not None and before.faces:
            stored = kept(video.faces, before.faces, stored, self.view.origin_of)
        ids = [face.face_id for face in video.faces]
        identities = assign(ids, embeddings, stored, self.contract.threshold)
        pairs = zip(video.faces, identities, strict=True)
        return replace(video, faces=tuple(replace(f, identity_id=i) for f, i in pairs))

    def _settle(self, index: Index) -> None:
        settle(self._intents, index, self.records, self.view, self.blobs)

    def _check(self) -> None:
        self.hold()
        if self._lease is not None:
            self._lease.check()

    def _forget(self) -> None:
        """After a change that was cut off, what was read before it is read again, and settled."""
        self._index = self._view = None
