"""Bringing the index up to the records: after a crash, and from nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from registry.blobs.base import BlobStore
from registry.core.decisions import View
from registry.core.index import Index
from registry.core.intents import ERASE, INCOMING, REINDEX, SWITCH, Intents
from registry.core.records import RecordStore
from registry.domain import Video


@dataclass(frozen=True, slots=True)
class Replacing:
    """What a record takes the place of: the body of the intent of a video.

    Once index and record have the new video, neither can tell what else was to follow.
    """

    identities: tuple[str, ...] = ()
    """Identities that the video showed before."""
    crops: tuple[str, ...] = ()
    """Keys of crops that it no longer names."""

    @classmethod
    def of(cls, before: Video | None, given: Video, after: Video, view: View) -> Replacing:
        """What changes when a record is written over another, or over none.

        `given` is the video with all faces whose crops are stored, `after` the one on record.
        """
        shown = before.faces if before else ()
        gone = {face.crop for face in (*shown, *given.faces)} - {face.crop for face in after.faces}
        return cls(tuple(sorted({view.identity_of(face) for face in shown})), tuple(sorted(gone)))

    def encoded(self) -> bytes:
        """As the body of an intent."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, body: bytes | None) -> Replacing | None:
        """From the body of an intent; None if it cannot be read."""
        try:
            found = json.loads(body or b"{}")
            return cls(tuple(found.get("identities", ())), tuple(found.get("crops", ())))
        except (ValueError, AttributeError, TypeError):
            return None


def finish(replaced: Replacing, index: Index, blobs: BlobStore, view: View) -> None:
    """What follows once the index has the new video: identities and crops that it has no more."""
    index.regroup((), set(replaced.identities), view)
    index.flush()
    for crop in replaced.crops:
        blobs.delete(crop)


def settle(
    intents: Intents, index: Index, records: RecordStore, view: View, blobs: BlobStore
) -> None:
    """Finish what a crash left standing between record and index.

    Not an erasure, a copy or a change of the model: those begin with the objects.
    """
    pending = [what for what in intents.pending() if what not in {ERASE, INCOMING, SWITCH}]
    bodies = {what: Replacing.decoded(intents.body(what)) for what in pending if what != REINDEX}
    if REINDEX in pending or None in bodies.values():
        index.rebuild(records.all(), view)
    else:
        bring_up(index, records, view, bodies)
    for video_id, replaced in bodies.items():
        if replaced is not None:
            video = records.get(video_id)
            named = {face.crop for face in video.faces} if video else set()
            # The crash may have come before the record: then the old one still names them.
            unnamed = tuple(crop for crop in replaced.crops if crop not in named)
            finish(Replacing(replaced.identities, unnamed), index, blobs, view)
    if pending:
        index.flush()
    for what in pending:
        intents.settle(what)


def bring_up(index: Index, records: RecordStore, view: View, video_ids: Iterable[str]) -> None:
    """Make the index say of these videos what their records do."""
    for video_id in video_ids:
        video = records.get(video_id)
        if video is None:
            index.remove(video_id, view)
        else:
            index.put(video, view)


def showing(index: Index, records: RecordStore, identity_ids: set[str]) -> Iterator[Video]:
    """The records of the videos that show one of these identities, one at a time."""
    for video_id in list(index.video_ids(sorted(identity_ids))):
        video = records.get(video_id)
        if video is not None:
            yield video
