"""Staging: the registry as another model sees it, made under `next/` while the registry is in use.

It holds the future contract and, for each video, a record with the new embeddings. A face is
recognised by its id, its landmarks and the digest of its crop, so the registry may change
meanwhile: embeddings of unchanged faces are used, the others are computed again. Crops are shared.
Staging is not backed up, since all of it can be computed from records and crops.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.records import RecordStore
from registry.domain import Contract, Face, Vectors, Video
from registry.errors import StoreCorrupt, UsageError


class Staging:
    """The staging of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @property
    def contract(self) -> Contract | None:
        """The future contract; None if no change of the model has begun."""
        return contracts.load(self._blobs, under=keys.STAGING)

    @property
    def records(self) -> RecordStore:
        """The future records. They can be written once there is a contract."""
        contract = self.contract
        dimension = contract.model.dimension if contract else 0  # 0: there is nothing to read
        return RecordStore(self._blobs, dimension, under=keys.STAGING)

    def begin(self, contract: Contract) -> None:
        """Begin the change to this contract, or continue it.

        Raises `UsageError` if a change to another model has begun.
        """
        begun = self.contract
        if begun is not None and begun.model.digest != contract.model.digest:
            raise UsageError(
                f"A change to {begun.model.name} has begun here. Finish it with `face-registry "
                f"migrate --model {begun.model_source} --switch`, or drop it with `face-registry "
                "migrate --discard`."
            )
        if begun is not None and begun.schema != contract.schema:
            self.discard()
        if begun != contract:
            contracts.save(self._blobs, contract, under=keys.STAGING)

    def embeddings(self, video: Video) -> dict[str, Vectors]:
        """The new embeddings of those faces of a video that have not changed since, by face id."""
        staged = self._load(video.video_id)
        if staged is None:
            return {}
        known = {_fingerprint(face): face.embedding for face in staged.faces}
        return {f.face_id: known[_fingerprint(f)] for f in video.faces if _fingerprint(f) in known}

    def prune(self, records: RecordStore, gone: Collection[str] = ()) -> None:
        """Remove the records of `gone` videos, and all that hold faces that are not on record."""
        staged = self.records
        for video_id in list(staged.ids()):
            if video_id in gone or self._is_stale(video_id, records):
                staged.delete(video_id)

    def count_stale(self, records: RecordStore) -> int:
        """How many future records hold faces that are not on record."""
        return sum(self._is_stale(video_id, records) for video_id in self.records.ids())

    def describe(self) -> dict[str, Any] | None:
        """Name of the model and number of videos; None if no change of the model has begun."""
        contract = self.contract
        if contract is None:
            return None
        return {"model": contract.model.name, "videos": sum(1 for _ in self.records.ids())}

    def discard(self) -> int:
        """Remove all of it. Returns how many objects there were."""
        staged = [info.key for info in self._blobs.list(keys.STAGING)]
        # The contract goes last: it says which model made the records that are still there.
        for key in sorted(staged, key=lambda key: (key == keys.staged(keys.CONTRACT), key)):
            self._blobs.delete(key)
        return len(staged)

    def _is_stale(self, video_id: str, records: RecordStore) -> bool:
        staged, video = self._load(video_id), records.get(video_id)
        if staged is None or video is None:
            return True
        on_record = {_fingerprint(face) for face in video.faces}
        return any(_fingerprint(face) not in on_record for face in staged.faces)

    def _load(self, video_id: str) -> Video | None:
        """The future record of a video; None if there is none or it is damaged."""
        try:
            return RecordStore(self._blobs, 0, under=keys.STAGING).get(video_id)
        except StoreCorrupt:
            return None  # it is computed again


def _fingerprint(face: Face) -> tuple[str, str, bytes]:
    """What a new embedding depends on."""
    return face.face_id, face.crop_digest, face.landmarks.tobytes()
