"""What people say of identities: merge, split, separate, undo. Checked here, then put in the log.

Each decision sticks: later ingests follow it, consolidation never goes against it, and undoing it
restores what was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from registry.core.decisions import Decision, Kind, in_effect, undone_by
from registry.core.registry import Registry
from registry.domain import Identity
from registry.errors import UnknownError, UsageError
from registry.store.base import Payload

_SHORTEST = 4
"""Letters that the beginning of a face's id must have to stand for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Faces of an identity, named by what they have in common. Give one or more of the three."""

    videos: tuple[str, ...] = ()
    """URLs, ids, or unique beginnings of ids."""
    tracks: tuple[str, ...] = ()
    """VIDEO:N, the video as above and the number of the track in it."""
    faces: tuple[str, ...] = ()
    """Ids, or unique beginnings of ids."""


def merge(registry: Registry, keys: Sequence[str]) -> Decision:
    """These identities are one person, who goes by the first one's id.

    Args:
        registry: an open registry.
        keys: two or more ids, unique beginnings of ids, or names.

    Raises:
        UnknownError: there is no such identity.
        UsageError: one is given twice, or two were separated.
    """
    found = _distinct(registry, keys)
    for one, other in combinations(found, 2):
        number = registry.view.separated(one.identity_id, other.identity_id)
        if number is not None:
            raise UsageError(
                f"decision {number} says that {_called(one)} and {_called(other)} are two people; "
                f"`face-registry identities undo {number}` takes that back"
            )
    others = tuple(identity.identity_id for identity in found[1:])
    return registry.decide(Decision(0, Kind.MERGE, found[0].identity_id, others))


def separate(registry: Registry, one: str, other: str) -> Decision:
    """Two identities are two people: never suggested or joined again.

    Raises:
        UnknownError: there is no such identity.
        UsageError: both are one identity, or they are separated already.
    """
    first, second = _distinct(registry, (one, other))
    number = registry.view.separated(first.identity_id, second.identity_id)
    if number is not None:
        raise UsageError(
            f"decision {number} keeps {_called(first)} and {_called(second)} apart already"
        )
    return registry.decide(
        Decision(0, Kind.SEPARATE, first.identity_id, (second.identity_id,)),
    )


def split(registry: Registry, key: str, part: Part) -> Decision:
    """These faces of an identity are another person. `new_identity` of the answer is that one's id.

    Raises:
        UnknownError: there is no such identity or video, or the identity has no such face.
        UsageError: the part is none or all of its faces, or a track is not written VIDEO:N.
    """
    identity = registry.identity(key)
    faces = list(registry.index.faces_of(identity.identity_id))
    leaving = _leaving(registry, identity, faces, part)
    if not leaving:
        raise UsageError("nothing says which faces leave: give --video, --track or --face")
    if len(leaving) == len(faces):
        raise UsageError(
            f"these are all {len(faces)} faces of {_called(identity)}, and none would stay; "
            "`face-registry identities name` names it as it is"
        )
    # Where the merges that made it up are undone, faces that join the new identity from now on go
    # back with those that leave.
    origins = Counter(face["origin_id"] for face in faces if face["face_id"] in leaving)
    home = min(origins, key=lambda origin: (-origins[origin], origin))
    rest = {face["origin_id"] for face in faces} | {identity.identity_id}
    return registry.decide(
        Decision(0, Kind.SPLIT, home, tuple(sorted(rest - {home})), tuple(sorted(leaving)))
    )


def undo(registry: Registry, number: int | None = None) -> tuple[Decision, Decision]:
    """An earlier decision no longer counts. Returns that one, and the one that undoes it.

    Args:
        registry: an open registry.
        number: of the decision; None: the last one that counts. Undoing an undo makes what it undid
            count again.

    Raises:
        UnknownError: there is no decision of this number.
        UsageError: no decision counts, or this one does not any more, or it holds up another.
    """
    log = registry.decisions.entries()
    counting, gone = in_effect(log), undone_by(log)
    if number is None:
        if not counting:
            raise UsageError("there is nothing to undo: no decision counts")
        number = counting[-1].number
    target = next((decision for decision in log if decision.number == number), None)
    if target is None:
        raise UnknownError(
            f"there is no decision {number}; "
            "`face-registry identities list --decisions` shows those there are"
        )
    if target.kind is Kind.VOID:
        raise UsageError(
            f"decision {number} concerned someone who was forgotten, or a video that was removed: "
            "nothing is left"
        )
    if number in gone:
        raise UsageError(
            f"decision {number} is undone already, by decision {gone[number]}; "
            f"`face-registry identities undo {gone[number]}` makes it count again"
        )
    return target, registry.decide(Decision(0, Kind.UNDO, undoes=number))


def _distinct(registry: Registry, keys: Sequence[str]) -> list[Identity]:
    found: dict[str, str] = {}
    identities: list[Identity] = []
    for key in keys:
        identity = registry.identity(key)
        if identity.identity_id in found:
            raise UsageError(
                f"{found[identity.identity_id]!r} and {key!r} are one identity, "
                f"{identity.identity_id}: name others"
            )
        found[identity.identity_id] = key
        identities.append(identity)
    if len(identities) < 2:
        raise UsageError("one identity is not enough: name two or more")
    return identities


def _leaving(
    registry: Registry, identity: Identity, faces: Sequence[Payload], part: Part
) -> set[str]:
    def some(wanted: Iterable[Payload], which: str) -> set[str]:
        ids = {face["face_id"] for face in wanted}
        if not ids:
            raise UnknownError(f"{_called(identity)} has no face {which}")
        return ids

    leaving: set[str] = set()
    for video in part.videos:
        video_id = registry.video(video)["video_id"]
        leaving |= some((f for f in faces if f["video_id"] == video_id), f"in video {video}")
    for track in part.tracks:
        place = _track(registry, track)
        there = (f for f in faces if (f["video_id"], f["track"]) == place)
        leaving |= some(there, f"in track {track}")
    for key in part.faces:
        found = (f for f in faces if _goes_by(f["face_id"], key))
        ids = some(found, f"whose id is or begins with {key}")
        if len(ids) > 1:
            raise UnknownError(f"{key!r} is the beginning of the ids of {len(ids)} faces")
        leaving |= ids
    return leaving


def _track(registry: Registry, text: str) -> tuple[str, int]:
    video, _, number = text.rpartition(":")
    if not video or not number.isdecimal():
        raise UsageError(f"--track {text}: write VIDEO:N, such as 1a2b3c4d:0")
    return registry.video(video)["video_id"], int(number)


def _goes_by(face_id: str, key: str) -> bool:
    return face_id == key or (len(key) >= _SHORTEST and face_id.startswith(key))


def _called(identity: Identity) -> str:
    return f"{identity.identity_id} ({identity.name})" if identity.name else identity.identity_id
