"""Snapshots: reading a registry from its objects while another process writes to it.

The objects are the truth, and each change commits with one write to one of them. A snapshot holds
all of them but the crops, as they were at one moment, so it is a state that was committed. No lock
is needed: the objects are listed, what is new or changed is read, and this is repeated until a
listing finds nothing new. A listing gives a version of each object, so objects that are the same in
two listings did not change in between, and what was read of them is what they all held at the end
of the first listing.

The index is computed from the snapshot, in memory, and only as far as it is asked for: reports need
videos and identities, lookups also the faces with their vectors.

Crops are read when they are needed. One that was replaced or erased since is missing or does not
match its digest; `is_outdated` then tells that the snapshot is the reason.

An erasure changes many objects, one after the other. What its plan says is done in the snapshot as
well, so that it shows nothing of what is being erased; crops cannot be read from it. A switch to
another model is short, and a snapshot waits until it is complete.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, NoReturn

from registry.blobs.base import BlobInfo, BlobStore
from registry.core import contract as contracts
from registry.core import keys
from registry.core.decision_redaction import redact_all
from registry.core.decisions import DecisionLog, View, encode_decision, fold
from registry.core.erasing import decided_faces_left, decode_plan, without_people
from registry.core.index import FACES, IDENTITIES, VIDEOS
from registry.core.intents import ERASE, INCOMING, SWITCH
from registry.core.points import decided_identity, face_points, identity_point, video_point
from registry.core.records import RecordStore
from registry.domain import Appearance, Contract
from registry.errors import ObjectMissing, RegistryLocked
from registry.store.base import Point
from registry.store.memory import MemoryStore, PointTable

if TYPE_CHECKING:
    from registry.core.registry import Registry

PATIENCE_S = 30.0
"""Seconds to try for. A chosen value: a listing of 3,000 records takes 20 ms, and a commit several
times as long, so that it takes many commits in a row to need more than a few listings."""
_PAUSE_S = 0.05
_TAKEN = (
    *(prefix for prefix in keys.DURABLE if prefix != keys.CROPS),
    *(keys.INTENTS, keys.REWRITES),
)
"""Where a snapshot holds all objects. Crops, and what is in preparation, are read when needed."""
_LISTED = (
    *(prefix for prefix in _TAKEN if prefix != keys.INTENTS),
    *(keys.intent(name) for name in (ERASE, SWITCH, INCOMING)),
)
"""The objects that are taken. The other intents are left out: they concern the writer's index."""
_Version = tuple[int, str]
"""Size and version of an object in a listing."""


class SnapshotStore:
    """A `BlobStore` with the objects of a registry as they were at one moment.

    Crops are those of the store that it was taken from. Writing raises `RegistryLocked`.
    """

    def __init__(
        self,
        blobs: BlobStore | None,
        objects: Mapping[str, tuple[_Version, bytes]],
        taken_at: datetime,
        place: str,
    ) -> None:
        """Use `take_snapshot`.

        Args:
            blobs: the store that they were read from; None if there is none.
            objects: version and bytes, by key.
            taken_at: when they were like this.
            place: what `describe` returns.
        """
        self._blobs, self._place = blobs, place
        self._versions = {key: version for key, (version, _) in objects.items()}
        self._objects = {key: data for key, (_, data) in objects.items()}
        self._during_erasure = False
        self.taken_at = taken_at

    def is_outdated(self) -> bool:
        """Whether the objects have changed since."""
        return self._blobs is not None and (
            _is_replaced(self._blobs) or _listed(self._blobs) != self._versions
        )

    def complete_erasure(self) -> None:
        """If an erasure is not complete, do in this snapshot what its plan says."""
        content = self._objects.pop(keys.intent(ERASE), None)
        contract = contracts.load(self) if content is not None else None
        if content is None or contract is None:
            return
        self._during_erasure = True
        for key in [key for key in self._objects if key.startswith(keys.REWRITES)]:
            self._objects[key.removeprefix(keys.REWRITES)] = self._objects.pop(key)
        plan, records = decode_plan(content), RecordStore(self, contract.model.dimension)
        entries = DecisionLog(self).entries()
        view, ids = fold(entries), frozenset(plan.identities)
        for video_id in plan.videos:
            video, key = records.get(video_id), keys.record(video_id)
            if video is None or video_id in plan.removing:
                self._objects.pop(key, None)
            else:
                self._objects[key] = records.encode(without_people(video, view, ids))
        gone, left = ids.union(plan.removing), decided_faces_left(entries, records)
        for entry in redact_all(entries, gone, left, plan.stand_ins):
            self._objects[keys.decision(entry.number)] = encode_decision(entry)

    def describe(self) -> str:
        """As of the store that it was taken from."""
        return self._place

    def get(self, key: str) -> bytes:
        """As `BlobStore.get`."""
        if self._during_erasure and key.startswith(keys.CROPS):
            raise RegistryLocked(
                f"An erasure in {self._place} is not complete, and until then no face image can be "
                f"read. {_WAIT}"
            )
        if self._blobs is not None and not key.startswith(_TAKEN):
            return self._blobs.get(key)
        if key not in self._objects:
            raise ObjectMissing(f"There is no object {key} in {self._place}.")
        return self._objects[key]

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """As `BlobStore.get_tagged`."""
        data = self.get(key)
        return data, hashlib.sha256(data).hexdigest()

    def exists(self, key: str) -> bool:
        """As `BlobStore.exists`."""
        if self._blobs is not None and not key.startswith(_TAKEN):
            return self._blobs.exists(key)
        return key in self._objects

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """As `BlobStore.list`."""
        taken = (
            BlobInfo(key, len(data), self._versions.get(key, (0, ""))[1])
            for key, data in sorted(self._objects.items())
            if key.startswith(prefix)
        )
        if self._blobs is None or prefix.startswith(_TAKEN):
            return taken
        others = (i for i in self._blobs.list(prefix) if not i.key.startswith(_TAKEN))
        return heapq.merge(taken, others, key=attrgetter("key"))

    def put(self, key: str, data: bytes) -> None:
        """Raise `RegistryLocked`."""
        self._refuse(key)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Raise `RegistryLocked`."""
        self._refuse(next(iter(objects), ""))

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Raise `RegistryLocked`."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Raise `RegistryLocked`."""
        self._refuse(key)

    def close(self) -> None:
        """As `BlobStore.close`."""
        if self._blobs is not None:
            self._blobs.close()

    def _refuse(self, key: str) -> NoReturn:
        raise RegistryLocked(f"{key} of {self._place} cannot be written: this is a snapshot.")


def take_snapshot(
    open_blobs: Callable[[], BlobStore], *, patience_s: float = PATIENCE_S
) -> SnapshotStore:
    """Take a snapshot of the objects that a registry has now.

    Args:
        open_blobs: opens the objects, without changing any.
        patience_s: seconds to try for.

    Raises:
        RegistryLocked: the objects did not stay the same for the time that a listing takes, or a
            switch to another model did not end.
        StoreError: the objects cannot be read.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            blobs = open_blobs()
        except ObjectMissing:  # a restore is between its two renames
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
            continue
        try:
            taken = _take(blobs, deadline)
        except BaseException:
            blobs.close()
            raise
        if taken is not None:
            taken.complete_erasure()
            return taken
        blobs.close()


def empty_snapshot(place: str) -> SnapshotStore:
    """The snapshot of a registry that does not exist."""
    return SnapshotStore(None, {}, datetime.now(UTC), place)


def _take(blobs: BlobStore, deadline: float) -> SnapshotStore | None:
    """The snapshot; None if the objects must be opened again."""
    objects: dict[str, tuple[_Version, bytes]] = {}
    while True:
        now, listed = datetime.now(UTC), _listed(blobs)
        same = {key for key, version in listed.items() if _version(objects, key) == version}
        complete = len(same) == len(listed) == len(objects)
        switching = keys.intent(SWITCH) in listed
        if _is_replaced(blobs):
            return None
        if complete and not switching:
            return SnapshotStore(blobs, objects, now, blobs.describe())
        if time.monotonic() > deadline:
            raise _not_taken(blobs, switching=switching)
        if complete:
            time.sleep(_PAUSE_S)
        objects = {key: objects[key] for key in same}
        for key in listed.keys() - same:
            with suppress(ObjectMissing):  # the next listing does not have it either
                objects[key] = listed[key], blobs.get(key)


def _not_taken(blobs: BlobStore, *, switching: bool) -> RegistryLocked:
    if switching:
        return RegistryLocked(
            f"A change of the model in {blobs.describe()} is not complete, and until then nothing "
            f"can be read there. {_WAIT}"
        )
    return RegistryLocked(
        f"The registry in {blobs.describe()} changed whenever it was read. Try again when the "
        "process that writes to it has less to do."
    )


_WAIT = (
    "Wait for the process that makes it. If that has ended, run `face-registry status` as a user "
    "who may write there, which completes it."
)


def _version(objects: Mapping[str, tuple[_Version, bytes]], key: str) -> _Version | None:
    return objects[key][0] if key in objects else None


def _listed(blobs: BlobStore) -> dict[str, _Version]:
    return {
        info.key: (info.size, info.version) for prefix in _LISTED for info in blobs.list(prefix)
    }


def _is_replaced(blobs: BlobStore) -> bool:
    """Whether a restore has put another folder in the place of the one that is open."""
    check: Callable[[], bool] | None = getattr(blobs, "is_replaced", None)
    return check is not None and check()


def snapshot_of(registry: Registry) -> SnapshotStore | None:
    """The snapshot that a registry was opened from; None if it was opened as usual."""
    blobs = registry.blobs.unguarded
    return blobs if isinstance(blobs, SnapshotStore) else None


# --- the index ------------------------------------------------------------------------------------


def index_in_memory(blobs: BlobStore) -> MemoryStore:
    """A store with the index of a registry, computed from its objects when it is needed."""
    if blobs.exists(keys.intent(INCOMING)):
        return MemoryStore()  # there is half of a registry, which refuses to be read
    contract = contracts.load(blobs)
    return MemoryStore(_ComputedIndex(blobs, contract).tables() if contract else {})


class _ComputedIndex:
    def __init__(self, blobs: BlobStore, contract: Contract) -> None:
        self._blobs, self._contract = blobs, contract
        self._records = RecordStore(blobs, contract.model.dimension)

    def tables(self) -> dict[str, PointTable]:
        return {
            FACES: PointTable(self._contract.model.dimension, self._faces),
            VIDEOS: PointTable(None, lambda: self._videos_and_identities[0]),
            IDENTITIES: PointTable(None, lambda: self._videos_and_identities[1]),
        }

    @cached_property
    def _view(self) -> View:
        return fold(DecisionLog(self._blobs).entries())

    @cached_property
    def _videos_and_identities(self) -> tuple[list[Point], list[Point]]:
        view, videos = self._view, []
        seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
        for video in self._records.all():
            point, appearances = video_point(video, view, self._contract)
            videos.append(point)
            for appearance in appearances:
                seen[appearance.identity_id].append((video.video_id, appearance))
        people = (decided_identity(i, where, view) for i, where in seen.items())
        return videos, [identity_point(person) for person in people if person]

    def _faces(self) -> Iterator[Point]:
        for video in self._records.all():
            yield from face_points(video, self._view, self._contract)
