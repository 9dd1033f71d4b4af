"""Decisions of people about identities: merge, split, separate, hide, undo.

They are checked here and then appended to the log. Later ingests follow a decision, consolidation
does not contradict it, and undoing it restores the earlier state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from registry.core.decisions import Decision, DecisionKind, fold, in_effect, stamped, undone_by
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.core.selectors import begins, find_distinct, label, list_some
from registry.domain import Identity
from registry.errors import UnknownError, UsageError
from registry.people.side_by_side import seen_side_by_side


@dataclass(frozen=True, slots=True)
class FaceSelection:
    """Some faces of an identity: those in any of these videos or tracks, and these faces."""

    videos: tuple[str, ...] = ()
    """URLs, ids, or unique beginnings of ids."""
    tracks: tuple[str, ...] = ()
    """VIDEO:N: the video as above, and the number of the track in it."""
    faces: tuple[str, ...] = ()
    """VIDEO:N:FRAME: the track as above, and the number of the frame; or ids, or unique beginnings
    of ids."""


def merge(registry: Registry, keys: Sequence[str]) -> Decision:
    """Decide that these identities are one person, who keeps the first one's id.

    Args:
        registry: an open registry.
        keys: two or more ids, unique beginnings of ids, or names.

    Raises:
        UnknownError: there is no such identity.
        UsageError: one is given twice, or two were separated.
    """
    identities = _distinct_identities(registry, keys)
    for one, other in combinations(identities, 2):
        number = registry.view.separated(one.identity_id, other.identity_id)
        if number is not None:
            raise UsageError(
                f"Decision {number} says that {label(one)} and {label(other)} are two people. "
                f"`face-registry identities undo {number}` takes it back."
            )
    first, *others = (identity.identity_id for identity in identities)
    return registry.decide(Decision(0, DecisionKind.MERGE, first, tuple(others)))


def merge_warnings(registry: Registry, keys: Sequence[str]) -> list[str]:
    """What speaks against merging these identities: sentences; empty if nothing does.

    They were seen side by side in a frame, or have different names. Then a sentence says which name
    stays. Keys and errors are those of `merge`.
    """
    identities = _distinct_identities(registry, keys)
    warnings = []
    for one, other in combinations(identities, 2):
        seen = seen_side_by_side(registry, one.identity_id, other.identity_id)
        if seen:
            warnings.append(f"{label(one)} and {label(other)} are probably two people. {seen}")
    named = [identity for identity in identities if identity.name]
    if len({identity.name for identity in named}) > 1:
        first, *others = (identity.identity_id for identity in identities)
        log = registry.decisions.entries()
        merged = stamped(Decision(0, DecisionKind.MERGE, first, tuple(others)), log)
        stays = fold([*log, merged]).name_of(first)
        gone = sorted({identity.name for identity in named} - {stays})
        warnings.append(
            f"{' and '.join(map(label, named))} have different names. The name {stays} stays, and "
            f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} no longer used."
        )
    return warnings


def separate(registry: Registry, one: str, other: str) -> Decision:
    """Decide that two identities are two people: they are never suggested or joined again.

    Raises:
        UnknownError: there is no such identity.
        UsageError: both are one identity, or they are separated already.
    """
    first, second = _distinct_identities(registry, (one, other))
    number = registry.view.separated(first.identity_id, second.identity_id)
    if number is not None:
        raise UsageError(
            f"Decision {number} says already that {label(first)} and {label(second)} are two "
            "people."
        )
    return registry.decide(
        Decision(0, DecisionKind.SEPARATE, first.identity_id, (second.identity_id,)),
    )


def hide(registry: Registry, keys: Sequence[str]) -> Decision:
    """Decide that identities are not of interest, or not faces.

    Lists, reports and counts leave them out, as they do provisional identities, and they are not
    suggested. `undo` shows them again.

    Args:
        registry: an open registry.
        keys: one or more ids, unique beginnings of ids, or names.

    Raises:
        UnknownError: there is no such identity.
        UsageError: no identity is given, one is given twice, or one is hidden already.
    """
    identities = find_distinct(keys, registry.identity, lambda one: one.identity_id, "identity")
    if not identities:
        raise UsageError("No identity is given. Name one or more.")
    hidden = registry.view.hidden
    if already := [label(one) for one in identities if one.identity_id in hidden]:
        raise UsageError(f"{already[0]} is hidden already. Leave it out.")
    first, *others = (identity.identity_id for identity in identities)
    return registry.decide(Decision(0, DecisionKind.HIDE, first, tuple(others)))


def split(registry: Registry, key: str, selection: FaceSelection) -> Decision:
    """Decide that some faces of an identity are another person.

    If these are all the faces that the name of the identity was given to, as after a merge of
    somebody without a name into it, the name goes along with them. Another name of the identity,
    which did not count because of it, counts again.

    Returns the decision; its `new_identity` is the id of that person, and its `name` the name that
    goes along, or empty.

    Raises:
        UnknownError: there is no such identity or video, or the identity has no such face.
        UsageError: the selection holds none or all of its faces, or a track is not VIDEO:N.
    """
    identity = registry.identity(key)
    faces = list(registry.index.faces_of(identity.identity_id))
    selected = _selected_ids(registry, identity, faces, selection)
    if not selected:
        raise UsageError("No faces are selected. Give --video, --track or --face.")
    if len(selected) == len(faces):
        raise UsageError(
            f"These are all {len(faces)} faces of {label(identity)}, so none would stay. "
            "Leave some out, or give the identity a name with `face-registry identities name`."
        )
    # If the merges that made up the identity are undone, faces that join the new identity from now
    # on go back to where most of the selected faces came from.
    origins = Counter(face.origin_id for face in faces if face.face_id in selected)
    home = min(origins, key=lambda origin: (-origins[origin], origin))
    rest = {face.origin_id for face in faces} | {identity.identity_id}
    return registry.decide(
        Decision(
            0,
            DecisionKind.SPLIT,
            home,
            tuple(sorted(rest - {home})),
            tuple(sorted(selected)),
            name=identity.name if _take_name_along(registry, identity, faces, selected) else "",
        )
    )


def _take_name_along(
    registry: Registry, identity: Identity, faces: Iterable[IndexedFace], selected: Set[str]
) -> bool:
    """Whether the selected faces are all those that the name of the identity was given to."""
    if not identity.name:
        return False
    log = registry.decisions.entries()
    origins: set[str] = set()
    for naming in in_effect(log):
        here = registry.view.root(naming.identity_id) == identity.identity_id
        if naming.kind is DecisionKind.NAME and naming.name == identity.name and here:
            then = fold(log, as_of=naming.number)
            named = then.root(naming.identity_id)
            origins |= {f.origin_id for f in faces if then.root(f.origin_id) == named}
        if naming.kind is DecisionKind.SPLIT and naming.name == identity.name:
            origins.add(naming.new_identity)
    named_faces = {face.face_id for face in faces if face.origin_id in origins}
    return bool(named_faces) and named_faces <= selected


def undo(registry: Registry, number: int | None = None) -> tuple[Decision, Decision]:
    """Take back a decision. Returns that decision, and the one that undoes it.

    Args:
        registry: an open registry.
        number: of the decision; None takes the last one that counts. Undoing an undo makes the
            earlier decision count again.

    Raises:
        UnknownError: there is no decision of this number.
        UsageError: no decision counts, this one does not count any more, or another depends on it.
    """
    log = registry.decisions.entries()
    counting, gone = in_effect(log), undone_by(log)
    if number is None:
        if not counting:
            raise UsageError("There is nothing to undo. No decision counts.")
        number = counting[-1].number
    target = next((decision for decision in log if decision.number == number), None)
    if target is None:
        raise UnknownError(
            f"There is no decision {number}. "
            "`face-registry identities list --decisions` lists all decisions."
        )
    if target.kind is DecisionKind.VOID:
        raise UsageError(
            f"Decision {number} cannot be undone. It was about a person who has been forgotten, "
            "or about a video that has been removed."
        )
    if number in gone:
        raise UsageError(
            f"Decision {number} is undone already, by decision {gone[number]}. "
            f"`face-registry identities undo {gone[number]}` makes it count again."
        )
    return target, registry.decide(Decision(0, DecisionKind.UNDO, undoes=number))


def _distinct_identities(registry: Registry, keys: Sequence[str]) -> list[Identity]:
    """The identities of these keys, two or more. Raises `UsageError` if two are the same."""
    identities = find_distinct(keys, registry.identity, lambda one: one.identity_id, "identity")
    if len(identities) < 2:
        raise UsageError("One identity is not enough. Name two or more.")
    return identities


def _selected_ids(
    registry: Registry, identity: Identity, faces: Sequence[IndexedFace], selection: FaceSelection
) -> set[str]:
    """Ids of the selected faces. Raises `UnknownError` for a selector that selects none."""

    def ids_of(wanted: Iterable[IndexedFace], description: str) -> set[str]:
        ids = {face.face_id for face in wanted}
        if not ids:
            raise UnknownError(f"{label(identity)} has no face {description}.")
        return ids

    selected: set[str] = set()
    for video in selection.videos:
        video_id = registry.video(video).video_id
        in_video = (face for face in faces if face.video_id == video_id)
        selected |= ids_of(in_video, f"in video {video}")
    for track in selection.tracks:
        video_id, number = _parse_track(registry, track)
        in_track = (f for f in faces if f.video_id == video_id and f.track == number)
        selected |= ids_of(in_track, f"in track {track}")
    for key in selection.faces:
        if ":" in key:
            video_id, number, frame = _parse_face(registry, key)
            at = (video_id, number, frame)
            in_frame = (f for f in faces if (f.video_id, f.track, f.frame) == at)
            selected |= ids_of(in_frame, key)
            continue
        ids = ids_of(
            (face for face in faces if begins(face.face_id, key)),
            f"whose id is or begins with {key}",
        )
        if len(ids) > 1:
            raise UnknownError(
                f"The ids of {len(ids)} faces begin with {key!r}: {list_some(sorted(ids))}. Give "
                "more characters."
            )
        selected |= ids
    return selected


def _parse_track(registry: Registry, text: str) -> tuple[str, int]:
    """The video id and the number of the track in VIDEO:N."""
    video, _, number = text.rpartition(":")
    if not video or not number.isdecimal():
        raise UsageError(f"--track {text} is not VIDEO:N. An example is 1a2b3c4d:0.")
    return registry.video(video).video_id, int(number)


def _parse_face(registry: Registry, text: str) -> tuple[str, int, int]:
    """The video id, the track and the frame in VIDEO:N:FRAME."""
    track, _, frame = text.rpartition(":")
    video, _, number = track.rpartition(":")
    if not (video and number.isdecimal() and frame.isdecimal()):
        raise UsageError(f"--face {text} is not VIDEO:N:FRAME. An example is 1a2b3c4d:0:120.")
    return registry.video(video).video_id, int(number), int(frame)
