"""The registry as another model sees it, while it is made: beside the one in use, under `next/`.

Here lie the contract to be and, for each video, a record with the new embeddings. A face is known
again by its id, its box and the digest of its crop, so the registry in use may go on changing:
what is here and fits is used, the rest is made anew. Crops are shared. Nothing here is needed to
keep: all of it follows from records and crops.
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


class Beside:
    """The state beside of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @property
    def contract(self) -> Contract | None:
        """What the registry is to become; None if nothing has been begun."""
        return contracts.read(self._blobs, under=keys.STAGING)

    @property
    def records(self) -> RecordStore:
        """The records to be. Writing one needs a contract."""
        contract = self.contract
        dimension = contract.model.dimension if contract else 0  # 0: there is nothing to read
        return RecordStore(self._blobs, dimension, under=keys.STAGING)

    def begin(self, contract: Contract) -> None:
        """Make this the state of that contract. Raises `UsageError` if it is another model's."""
        found = self.contract
        if found is not None and found.model.digest != contract.model.digest:
            raise UsageError(
                f"a change to {found.model.name} was begun here: finish it with `face-registry "
                f"migrate --model {found.model_source} --switch`, or drop it with `face-registry "
                "migrate --discard`"
            )
        if found is not None and found.schema != contract.schema:
            self.discard()
        if found != contract:
            contracts.write(self._blobs, contract, under=keys.STAGING)

    def embeddings(self, video: Video) -> dict[str, Vectors]:
        """The new embeddings of those faces of a video that are as they were, by face id."""
        found = self._read(video.video_id)
        if found is None:
            return {}
        known = {_mark(face): face.embedding for face in found.faces}
        return {f.face_id: known[_mark(f)] for f in video.faces if _mark(f) in known}

    def prune(self, records: RecordStore, gone: Collection[str] = ()) -> None:
        """Remove the records of `gone` videos, and all that hold faces that are not on record."""
        beside = self.records
        for video_id in list(beside.ids()):
            if video_id in gone or self._strays(video_id, records):
                beside.delete(video_id)

    def strays(self, records: RecordStore) -> int:
        """How many videos here hold faces that are not on record."""
        return sum(self._strays(video_id, records) for video_id in self.records.ids())

    def describe(self) -> dict[str, Any] | None:
        """Model and number of videos, for people; None if nothing has been begun."""
        contract = self.contract
        if contract is None:
            return None
        return {"model": contract.model.name, "videos": sum(1 for _ in self.records.ids())}

    def discard(self) -> int:
        """Remove all of it. Returns how many objects there were."""
        there = [info.key for info in self._blobs.list(keys.STAGING)]
        # The contract goes last: it says which model made what is still there.
        for key in sorted(there, key=lambda key: (key == keys.staged(keys.CONTRACT), key)):
            self._blobs.delete(key)
        return len(there)

    def _strays(self, video_id: str, records: RecordStore) -> bool:
        found, video = self._read(video_id), records.get(video_id)
        return found is None or video is None or not _marks(found) <= _marks(video)

    def _read(self, video_id: str) -> Video | None:
        try:
            return RecordStore(self._blobs, 0, under=keys.STAGING).get(video_id)
        except StoreCorrupt:
            return None  # it is made anew


def _mark(face: Face) -> tuple[str, str, bytes]:
    """What a new embedding depends on."""
    return face.face_id, face.crop_digest, face.landmarks.tobytes()


def _marks(video: Video) -> set[tuple[str, str, bytes]]:
    return {_mark(face) for face in video.faces}
