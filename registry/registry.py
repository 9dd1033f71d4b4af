"""A registry, opened: the parts put together, and every change that can be made to it.

The order of each change is its safety. Crops are there before the record that names them; the
record is the commit; an intent stands from before the record until the index has it, and opening a
registry settles what a crash left standing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from registry import contract as contracts
from registry import erasure, ids, receipts, schema, urls
from registry.blobs.base import BlobStore
from registry.blocks import Blocks, blocked
from registry.decisions import Decision, Kind, View, fold, standing
from registry.domain import Contract, Identity, Video
from registry.erasure import Eraser, Plan
from registry.errors import EmptyRegistry, StoreCorrupt, StoreError, UnknownError, UsageError
from registry.index import Index
from registry.intents import ERASE, INCOMING, REINDEX, Intents
from registry.log import DecisionLog, stamped
from registry.matching import assign
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.parts import HomeLock, open_blobs, open_store, prepare_home
from registry.records import RecordStore
from registry.settings import DEFAULT_MODEL, Settings, load_settings
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
        steps: Sequence[schema.Step] = schema.STEPS,
    ) -> None:
        """`steps` lead from earlier schemas to the one that is worked with."""
        self.settings = settings
        self.store = store
        self._lock = lock
        self._steps = steps
        self.adopt(blobs)

    def adopt(self, blobs: BlobStore) -> None:
        """Take these objects for the registry's, as they are now, and bring up their schema."""
        self.blobs = blobs
        self.decisions = DecisionLog(blobs)
        self.blocks = Blocks(blobs)
        self._intents = Intents(blobs)
        self.incoming = self._intents.body(INCOMING)
        """Id of the registry that was on its way here when a restore or a migration ended early."""
        self._contract: Contract | None = None
        if self.incoming is None:
            schema.upgrade(blobs, self._steps)
            self._contract = contracts.read(blobs)
        self._index: Index | None = None
        self._view: View | None = None
        self._model: FaceModel | None = None

    # --- what it is -----------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever been ingested. Raises `StoreError` for half of a copy."""
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
            self.settle_objects()
            rebuilding = {REINDEX, ERASE} & set(self._intents.pending())
            lost = not rebuilding and not Index.present(self.store)
            if lost and next(self.records.ids(), None) is not None:
                raise StoreError(
                    f"the index ({self.store.describe()}) is empty and the objects "
                    f"({self.blobs.describe()}) are not: run `face-registry reindex`"
                )
            index = Index(self.store, contract)
            index.check_owner()
            self._settle(index)
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

    def establish(self, contract: Contract) -> None:
        """Make this a registry of that contract. Only an empty one can be."""
        if not self.is_empty:
            raise StoreError("this registry has its contract already")
        Index(self.store, contract).check_owner()
        contracts.write(self.blobs, contract)
        self._contract = contract

    def commit(self, video: Video) -> Video:
        """Give the faces of a video their identities and put it on record.

        The crops must be in the blob store. Returns the video as recorded. A video on record is
        replaced, and so are its crops that the new record does not name. A face of someone who is
        blocked is left out, crop and all.
        """
        before = self.records.get(video.video_id)
        video = self._assigned(self._without_blocked(video))
        index = self.index
        with self._intents.declared(video.video_id):
            self.records.put(video)
            index.put(video, self.view)
            index.flush()
        self._drop_crops(before, keep=video)
        return video

    def update_metrics(self, video_id: str, metrics: Mapping[str, float]) -> None:
        """Record other metrics for a video on record, and bring its faces up to them."""
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

        Raises:
            UsageError: it contradicts decisions that stand.
        """
        index, before = self.index, self.view
        log = self.decisions.read()
        decision = stamped(decision, log)
        after = fold([*log, decision])
        if after.conflicts:
            raise UsageError(f"{after.conflicts[0]}; undo one of them first")
        with self._intents.declared(REINDEX):
            self.decisions.append(decision)
            self._view = after
            changed = set(standing(log)) ^ set(standing([*log, decision]))
            touched = _touched(changed, before, after)
            for payload in list(index.videos(sorted(touched))):
                video = self.records.get(payload["video_id"])
                if video is not None:
                    index.put(video, after)
            index.put_identities(touched, after)
            index.flush()
        return decision

    def name(self, key: str, name: str) -> Decision:
        """Give an identity a name; an empty one takes it back."""
        identity = self.identity(key)
        return self.decide(Decision(0, Kind.NAME, identity.identity_id, name=name))

    def reindex(self, progress: Callable[[Video], None] = lambda _: None) -> int:
        """Rebuild the index from the records. Returns how many videos there are."""
        contract = self.contract
        self.settle_objects()
        with self._intents.declared(REINDEX):
            Index.drop(self.store)
            index = Index(self.store, contract)
            count = self._rebuild(index, progress)
        if plan := self._erasing():
            receipts.certify(self.blobs, self.records, index, plan)
        for what in self._intents.pending():
            self._intents.settle(what)
        self._index = index
        return count

    def forget(self, key: str, *, block: bool = False) -> dict[str, Any]:
        """Remove a person for good: faces, crops, names, what decisions say, the index's bytes.

        Args:
            key: what `identity` takes.
            block: keep a template (see `registry.blocks`) so that the person is not enrolled again.

        Returns:
            The receipt, which is also kept under `receipts/`.
        """
        identity = self.identity(key)
        eraser = Eraser(self.blobs, self.records)
        return self._erase(eraser.plan_person(self.view, identity.identity_id, block=block))

    def remove_video(self, key: str) -> dict[str, Any]:
        """Remove a video for good, and those who are in no other. Returns the receipt.

        `key` is what `video` takes.
        """
        video_id = self.video(key)["video_id"]
        return self._erase(Eraser(self.blobs, self.records).plan_video(self.view, video_id))

    def settle_objects(self) -> None:
        """Finish, as far as objects go, an erasure that was cut off."""
        if plan := self._erasing():
            Eraser(self.blobs, self.records).clear(plan, self.view)
            self._view = None

    # --- reading --------------------------------------------------------------------------------

    def identity(self, key: str) -> Identity:
        """The identity of this id, unique beginning of an id, or name. Raises `UnknownError`."""
        found = self.index.get_identities([key]) if _is_uuid(key) else {}
        if found:
            return found[key]
        candidates = self.index.named(key) or [
            i
            for i in self.index.identities()
            if len(key) >= _SHORTEST and i.identity_id.startswith(key)
        ]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            ids = ", ".join(i.identity_id for i in candidates[:5])
            raise UnknownError(f"{key!r} could be any of {len(candidates)} identities: {ids}")
        raise UnknownError(
            f"there is no identity {key!r}; `face-registry identities list` shows those there are"
        )

    def video(self, key: str) -> Payload:
        """The index's payload of the video of this URL, id or unique beginning of an id."""
        found = self.index.video(key if _is_uuid(key) else ids.video_id(_canonical(key)))
        if found is not None:
            return found
        candidates = [
            payload
            for payload in self.index.videos()
            if len(key) >= _SHORTEST and payload["video_id"].startswith(key)
        ]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise UnknownError(f"{key!r} is the beginning of {len(candidates)} videos' ids")
        raise UnknownError(
            f"there is no video {urls.redacted(key)!r}; "
            "`face-registry videos list` shows those there are"
        )

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

    def _assigned(self, video: Video) -> Video:
        if not video.faces:
            return video
        embeddings = np.stack([face.embedding for face in video.faces])
        identities = assign(
            [face.face_id for face in video.faces],
            embeddings,
            self.index.nearest(video.video_id, embeddings),
            self.contract.threshold,
        )
        pairs = zip(video.faces, identities, strict=True)
        return replace(video, faces=tuple(replace(f, identity_id=i) for f, i in pairs))

    def _drop_crops(self, before: Video | None, *, keep: Video) -> None:
        if before is None:
            return
        kept = {face.crop for face in keep.faces}
        for face in before.faces:
            if face.crop not in kept:
                self.blobs.delete(face.crop)

    def _without_blocked(self, video: Video) -> Video:
        if not video.faces or not (blocks := self.blocks.read()):
            return video
        embeddings = np.stack([face.embedding for face in video.faces])
        hit = blocked(embeddings, blocks, self.contract.model.verification_threshold)
        for face in [f for f, is_hit in zip(video.faces, hit, strict=True) if is_hit]:
            self.blobs.delete(face.crop)
        kept = tuple(f for f, is_hit in zip(video.faces, hit, strict=True) if not is_hit)
        return replace(video, faces=kept)

    def _erasing(self) -> Plan | None:
        body = self._intents.body(ERASE)
        return None if body is None else erasure.decode(body)

    def _erase(self, plan: Plan) -> dict[str, Any]:
        index = self.index
        with self._intents.declared(ERASE, plan.encoded()):
            self.settle_objects()
            receipt = self._erase_index(plan, index)
        if self._lock:  # else another process may be reading what it downloaded
            shutil.rmtree(self.settings.downloads, ignore_errors=True)
        return receipt

    def _erase_index(self, plan: Plan, index: Index) -> dict[str, Any]:
        if self.store.keeps_deleted:
            self._rebuild(index, lambda _: None)
        else:
            receipts.erase_from_index(index, self.records, self.view, plan)
        return receipts.certify(self.blobs, self.records, index, plan)

    def _settle(self, index: Index) -> None:
        pending = self._intents.pending()
        if plan := self._erasing():
            self._erase_index(plan, index)
        if REINDEX in pending:
            self._rebuild(index, lambda _: None)
        elif pending:
            receipts.bring_up(index, self.records, self.view, self._intents.pending_videos())
            index.flush()
        for what in pending:
            self._intents.settle(what)

    def _rebuild(self, index: Index, progress: Callable[[Video], None]) -> int:
        def reported() -> Any:
            for video in self.records.all():
                yield video
                progress(video)

        return index.rebuild(reported(), self.view)


def _touched(changed: set[Decision], before: View, after: View) -> set[str]:
    """The identities that decisions change which count in one view and not in the other."""
    named = {
        identity
        for d in changed
        for identity in (d.identity_id, *d.others, *(i for group in d.groups for i in group))
    }
    named |= {d.new_identity for d in changed if d.kind is Kind.SPLIT}
    return {view.root(identity) for view in (before, after) for identity in named if identity}


_SHORTEST = 4
"""Letters that the beginning of an id must have to stand for it."""


def _canonical(location: str) -> str:
    """A URL, or the path of a file, as records name it."""
    return urls.canonical(location if "://" in location else Path(location).resolve().as_uri())


def _is_uuid(key: str) -> bool:
    return len(key) == 36 and key.count("-") == 4


def open_registry(settings: Settings | None = None, **given: Any) -> Registry:
    """Open the registry that the settings describe.

    Args:
        settings: where and what; by default read from `given` and the environment.
        given: fields of `Settings`, such as `home`.

    Raises:
        RegistryLocked: another process uses the home folder.
        StoreError: a store cannot be reached, refuses the credentials, or is damaged.
        UsageError: a setting is wrong.
    """
    settings = settings or load_settings(**given)
    prepare_home(settings.home)
    lock = HomeLock(settings.home) if settings.embedded else None
    if lock:
        lock.acquire()
    try:
        return Registry(settings, open_blobs(settings), open_store(settings), lock=lock)
    except BaseException:
        if lock:
            lock.release()
        raise
