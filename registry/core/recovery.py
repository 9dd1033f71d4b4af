"""Bringing the index up to the records, after a crash and after each change."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain

from registry.blobs.base import BlobStore
from registry.core.decisions import View
from registry.core.index import Index
from registry.core.intents import ERASE, INCOMING, REINDEX, SWITCH, Intents
from registry.core.lease import Lease
from registry.core.records import RecordStore, Rereads
from registry.domain import Video
from registry.errors import RegistryLocked


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a new record replaces: the content of the intent of a video.

    It is written down because neither the index nor the record can tell it once both have the new
    video.
    """

    identities: tuple[str, ...] = ()
    """Identities that the video showed before."""
    crops: tuple[str, ...] = ()
    """Keys of crops that no record names any more."""

    @classmethod
    def of_video(cls, before: Video | None, given: Video, after: Video, view: View) -> Replacement:
        """What changes when the record of a video is written.

        Args:
            before: the video on record; None if there is none.
            given: the video with all faces whose crops are stored.
            after: the video as it will be recorded.
            view: what people decided.
        """
        faces = before.faces if before else ()
        if before is None and len(given.faces) == len(after.faces):
            return cls()  # nobody is left out, so no crop is covered either
        kept = {face.crop for face in after.faces}
        gone = {face.crop for face in chain(faces, given.faces) if face.crop not in kept}
        return cls(tuple(sorted({view.identity_of(face) for face in faces})), tuple(sorted(gone)))

    def encode(self) -> bytes:
        """The bytes of the intent."""
        return json.dumps(asdict(self)).encode()

    def remove_crops(self, blobs: BlobStore) -> None:
        """Remove the crops that are gone, once the new record is written."""
        for crop in self.crops:
            blobs.delete(crop)

    @classmethod
    def decode(cls, content: bytes | None) -> Replacement | None:
        """From the bytes of the intent; None if they cannot be read."""
        try:
            fields = json.loads(content or b"{}")
            return cls(tuple(fields.get("identities", ())), tuple(fields.get("crops", ())))
        except (ValueError, AttributeError, TypeError):
            return None


def remove_replaced(replacement: Replacement, index: Index, blobs: BlobStore, view: View) -> None:
    """Remove identities and crops that are gone, once the index has the new video."""
    index.refresh(set(replacement.identities), view)
    index.flush()
    replacement.remove_crops(blobs)


def finish_interrupted(
    intents: Intents, index: Index, records: RecordStore, view: View, blobs: BlobStore
) -> None:
    """Finish every change that was interrupted between the record and the index.

    Erasures, copies and switches to another model are not among them: they begin with the objects.
    """
    pending = [name for name in intents.pending() if name not in {ERASE, INCOMING, SWITCH}]
    videos = [name for name in pending if name != REINDEX]
    replacements = {name: Replacement.decode(intents.content(name)) for name in videos}
    if REINDEX in pending or None in replacements.values():
        index.rebuild(records.all(), view)
    else:
        update_index(index, records, view, videos)
    for video_id, replacement in replacements.items():
        if replacement is not None:
            video = records.get(video_id)
            named = {face.crop for face in video.faces} if video else set()
            # If the crash came before the record was written, the old record still names them.
            unnamed = tuple(crop for crop in replacement.crops if crop not in named)
            remove_replaced(Replacement(replacement.identities, unnamed), index, blobs, view)
    if pending:
        index.flush()
    for name in pending:
        intents.remove(name)


def finish_if_free(
    lease: Lease | None, pending: Collection[str], finish: Callable[[], None]
) -> None:
    """Call `finish`, unless another process is the writer, which finishes its changes itself.

    Args:
        lease: the right to write; None if the process has another one.
        pending: the names of all intents.
        finish: finishes interrupted changes.

    Raises:
        RegistryLocked: another process is rebuilding the index, or erasing.
    """
    if lease is None or lease.held:
        finish()
        return
    try:
        lease.acquire(wait=False)
    except RegistryLocked:
        if {REINDEX, ERASE} & set(pending):
            raise
        return
    try:
        finish()
    finally:
        lease.release()


def replace_damaged(
    intents: Intents,
    records: RecordStore,
    rereads: Rereads,
    video_ids: Iterable[str],
    indexed: Mapping[str, Video],
) -> None:
    """Replace damaged records with failed videos that are to be read again.

    Args:
        intents: gets an intent for each video, so that opening the index updates it.
        records: where the damaged records are.
        rereads: marks the videos.
        video_ids: whose records are damaged.
        indexed: failed videos to put in their places, by id. The record of any other is removed.
    """
    for video_id in video_ids:
        intents.declare(video_id)
        if video := indexed.get(video_id):
            rereads.mark(video_id)
            records.put(video)
        else:
            records.delete(video_id)


def update_index(index: Index, records: RecordStore, view: View, video_ids: Iterable[str]) -> None:
    """Bring the index up to the records of these videos."""

    def on_record() -> Iterator[Video]:
        for video_id in video_ids:
            video = records.get(video_id)
            if video is None:
                index.remove(video_id, view)
            else:
                yield video

    index.restore(on_record(), view)


def records_showing(index: Index, records: RecordStore, identity_ids: set[str]) -> Iterator[Video]:
    """Yield the records of the videos that show one of these identities."""
    for video_id in list(index.video_ids(sorted(identity_ids))):
        video = records.get(video_id)
        if video is not None:
            yield video
