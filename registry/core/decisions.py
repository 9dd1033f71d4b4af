"""What people decided about identities and videos: the log, and the view that it folds to.

A record holds what the rule assigned; decisions hold what people changed. No decision changes a
record, so each can be undone, and any earlier state can be shown again.

    name          an identity has this name
    merge         other identities are the same person as this one, and get its id
    split         these faces of an identity are another person
    separate      two identities are two people: they are never suggested or merged again
    hide          identities are not of interest, or not faces: lists and reports leave them out
    consolidate   groups of identities are one person each, as `identities consolidate` computed
    join_videos   videos show the same footage, and count once, as the first one
    separate_videos  two videos do not: they are never suggested or joined again
    undo          an earlier decision no longer counts; undoing an undo makes it count again
    void          the entry concerned a person or video that was erased: only its number is left
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from registry import ids
from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Face, Video
from registry.errors import ObjectMissing, StoreCorrupt, UsageError
from registry.system import checked_json as checked
from registry.system.process import user_name


class DecisionKind(StrEnum):
    """What a decision does."""

    NAME = "name"
    MERGE = "merge"
    SPLIT = "split"
    SEPARATE = "separate"
    HIDE = "hide"
    CONSOLIDATE = "consolidate"
    JOIN_VIDEOS = "join_videos"
    SEPARATE_VIDEOS = "separate_videos"
    UNDO = "undo"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log."""

    number: int
    """Place in the log, from 1."""
    kind: DecisionKind
    identity_id: str = ""
    """The identity that is decided about; in a merge, the one whose id is kept."""
    others: tuple[str, ...] = ()
    """In a merge, the identities that join it. In a separation, the other identity. In a hiding,
    others that are hidden too. In a split, the identities that it had been merged with, to which
    the split faces do not belong either."""
    faces: tuple[str, ...] = ()
    """In a split, the ids of the faces that leave."""
    groups: tuple[tuple[str, ...], ...] = ()
    """In a consolidation, identities that are one person each; the id of the first is kept."""
    name: str = ""
    """In a naming, the name; empty removes the name. In a split, the name that goes along with the
    faces; empty if it stays."""
    undoes: int = 0
    """In an undo, the number of the decision that no longer counts."""
    by: str = ""
    """The user who decided."""
    at: str = ""
    """ISO 8601, UTC."""
    new: str = ""
    """In a split some of whose faces were erased, the id that it gave; see `new_identity`."""
    videos: tuple[str, ...] = ()
    """Ids of the videos that are joined, the one that counts first; or of the two separated."""

    @property
    def new_identity(self) -> str:
        """In a split, the id of the identity that the faces get."""
        return self.new or ids.identity_id(f"split {self.number} {' '.join(sorted(self.faces))}")

    @property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs (identity that is kept, identity that joins it) of a merge or consolidation."""
        if self.kind is DecisionKind.MERGE:
            return [(self.identity_id, other) for other in self.others]
        return [(group[0], other) for group in self.groups for other in group[1:]]

    @property
    def identities(self) -> set[str]:
        """Ids of all identities that it names, with the one that a split makes."""
        named = {self.identity_id, *self.others, *(i for group in self.groups for i in group)}
        if self.kind is DecisionKind.SPLIT:
            named.add(self.new_identity)
        return named - {""}

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are stored; `videos` only if there are any."""
        body = asdict(self)
        if not self.videos:
            del body["videos"]
        return body


@dataclass(frozen=True, slots=True)
class View:
    """The state of all identities and joined videos after a number of decisions."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Name by identity."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """The identity that an identity was merged into."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """The identity that a split gave a face, by face id."""
    apart: Mapping[frozenset[str], int] = field(default_factory=dict)
    """Number of the decision that separated a pair of identities."""
    same_as: Mapping[str, str] = field(default_factory=dict)
    """The video that a joined video counts as, by id; the one that counts is not a key."""
    videos_apart: Mapping[frozenset[str], int] = field(default_factory=dict)
    """Number of the decision that separated a pair of videos, each given as the video that it
    counts as."""
    hidden: frozenset[str] = frozenset()
    """Identities that lists and reports leave out, as they do provisional ones."""
    conflicts: tuple[str, ...] = ()
    """Sentences on decisions that contradict each other."""

    def root(self, identity_id: str) -> str:
        """The id that this identity has after all merges."""
        return _root(self.parents, identity_id)

    def origin_of(self, face: Face) -> str:
        """The identity of a face before merges, which its nearest neighbours inherit.

        Merges are applied after inheritance, so that undoing one also separates the faces that
        inherited from it.
        """
        return self.moved.get(face.face_id, face.identity_id)

    def identity_of(self, face: Face) -> str:
        """The identity of a face."""
        return self.root(self.origin_of(face))

    def name_of(self, identity_id: str) -> str:
        """The name of an identity; empty if it has none."""
        return self.names.get(identity_id, "")

    def separated(self, first: str, second: str) -> int | None:
        """Number of the decision that separated the two; None if they are not separated."""
        return self.apart.get(frozenset((self.root(first), self.root(second))))

    def is_joined(self, video_id: str) -> bool:
        """Whether this video and another one count as one video."""
        return video_id in self.same_as or video_id in self.same_as.values()

    def counted_video(self, video_id: str) -> str:
        """The video that this one counts as: itself, unless it was joined to another."""
        return self.same_as.get(video_id, video_id)

    def separated_videos(self, first: str, second: str) -> int | None:
        """Number of the decision that separated two videos; None if they are not separated."""
        pair = frozenset((self.counted_video(first), self.counted_video(second)))
        return self.videos_apart.get(pair)


def relabelled(video: Video, identity_of: Callable[[Face], str | None]) -> Video:
    """The video with its faces under other identities; faces that are given None are left out."""
    return replace(video, faces=tuple(relabelled_faces(video.faces, identity_of)))


def relabelled_faces(
    faces: Iterable[Face], identity_of: Callable[[Face], str | None]
) -> Iterator[Face]:
    """The faces under other identities; those that are given None are left out."""
    for face in faces:
        who = identity_of(face)
        if who is not None:
            yield face if face.identity_id == who else replace(face, identity_id=who)


def normalize_name(name: str) -> str:
    """A name as it is stored: composed (NFC), on one line, without spaces around it."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def fold_name(name: str) -> str:
    """A name as it is compared: normalized, and without case and accents."""
    apart = unicodedata.normalize("NFKD", normalize_name(name))
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold()


def checked_name(name: str) -> str:
    """The normalized name. Raises `UsageError` if it cannot be stored."""
    given, name = name, normalize_name(name)
    if given and not name:
        raise UsageError(
            f"{given!r} cannot be a name, since it only contains spaces. '' removes a name."
        )
    unprintable = [c for c in name if unicodedata.category(c) in ("Cc", "Cs")]
    if unprintable:
        raise UsageError(
            f"{name!r} cannot be a name: it contains {unprintable[0]!r}, which cannot be printed. "
            "Leave that out."
        )
    if ids.looks_like_id(name):
        raise UsageError(
            f"{name!r} cannot be a name: it looks like an id or the beginning of one. Add a word, "
            f"as in 'Person {name}'."
        )
    if len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r} cannot be a name: it has {len(name)} characters, and {LONGEST_NAME} are "
            "allowed. Choose a shorter one."
        )
    return name


LONGEST_NAME = 200
"""Characters; a chosen limit, far above the length of a name."""
_SILENT = (DecisionKind.UNDO, DecisionKind.VOID)
"""Kinds without an effect of their own: an undo takes away another's, a void entry has none."""


def undone_by(decisions: Sequence[Decision]) -> dict[int, int]:
    """The decisions that are undone: number of the decision to number of the undo."""
    by: dict[int, int] = {}
    for decision in reversed(decisions):
        if decision.kind is DecisionKind.UNDO and decision.number not in by:
            by[decision.undoes] = decision.number
    return by


def in_effect(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions that count, in order: without those that are undone, undos and void entries."""
    gone = undone_by(decisions)
    return [d for d in decisions if d.number not in gone and d.kind not in _SILENT]


def fold(decisions: Iterable[Decision], *, as_of: int | None = None) -> View:
    """The state after these decisions.

    Args:
        decisions: the whole log, in order.
        as_of: number of the last decision to take into account; 0 for none, None for all.
    """
    everything = list(decisions)
    counting = in_effect([d for d in everything if as_of is None or d.number <= as_of])
    counted = {decision.number for decision in counting}
    folding = _Folding()
    for decision in everything:
        undone = decision.kind is DecisionKind.SPLIT and decision.number not in counted
        if undone and decision.identity_id:
            # Faces may have joined the new identity since; they go back with the split faces.
            _join(folding.parents, decision.identity_id, decision.new_identity)
    for decision in counting:
        folding.take(decision)
    return folding.view()


def affected_identities(before: Sequence[Decision], after: Sequence[Decision]) -> set[str]:
    """Ids, in both states, of the identities that may differ between two states of the log."""
    changed = set(in_effect(before)) ^ set(in_effect(after))
    named = {identity for decision in changed for identity in decision.identities}
    return {view.root(identity) for view in (fold(before), fold(after)) for identity in named}


def regrouped_videos(before: View, after: View) -> set[str]:
    """The videos of every group of joined videos that differs between two views."""
    groups = [defaultdict[str, set[str]](set) for _ in range(2)]
    for view, members in zip((before, after), groups, strict=True):
        for video, counted in view.same_as.items():
            members[counted] |= {video, counted}
    first, second = groups
    return {
        video
        for counted in first.keys() | second.keys()
        if first.get(counted) != second.get(counted)
        for video in first.get(counted, set()) | second.get(counted, set())
    }


class _Folding:
    """The state while decisions are applied one after the other."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.moved: dict[str, str] = {}
        self.pairs: list[tuple[str, str, int]] = []
        self.hidden: set[str] = set()
        self.videos: dict[str, str] = {}
        self.video_pairs: list[tuple[str, str, int]] = []

    def take(self, decision: Decision) -> None:
        if decision.kind is DecisionKind.NAME:
            self.name(decision.identity_id, decision.name)
        elif decision.kind is DecisionKind.SPLIT:
            self.split(decision)
        elif decision.kind is DecisionKind.SEPARATE:
            self.pairs.append((decision.identity_id, decision.others[0], decision.number))
        elif decision.kind is DecisionKind.HIDE:
            self.hidden |= {decision.identity_id, *decision.others}
        elif decision.kind is DecisionKind.JOIN_VIDEOS:
            for joins in decision.videos[1:]:
                _join(self.videos, decision.videos[0], joins)
        elif decision.kind is DecisionKind.SEPARATE_VIDEOS:
            first, second = decision.videos
            self.video_pairs.append((first, second, decision.number))
        for stays, joins in decision.merges:
            _join(self.parents, stays, joins)

    def split(self, decision: Decision) -> None:
        new = decision.new_identity
        self.moved.update(dict.fromkeys(decision.faces, new))
        if decision.name:
            root = _root(self.parents, decision.identity_id)
            for other, name in self.names.items():
                if name == decision.name and _root(self.parents, other) == root:
                    self.names[other] = ""
            self.names[new] = decision.name

    def name(self, identity: str, name: str) -> None:
        self.names[identity] = name
        if not name:
            # Removed: the name of an identity that joined must not take its place.
            root = _root(self.parents, identity)
            gone = [other for other in self.names if _root(self.parents, other) == root]
            self.names.update(dict.fromkeys(gone, ""))

    def view(self) -> View:
        apart, conflicts = _apart(self.pairs, self.parents, "merges join them")
        videos_apart, more = _apart(self.video_pairs, self.videos, "other decisions join them")
        return View(
            names=self._names(),
            parents=self.parents,
            moved=self.moved,
            apart=apart,
            same_as={video: _root(self.videos, video) for video in self.videos},
            videos_apart=videos_apart,
            hidden=frozenset(self.hidden - self.parents.keys()),
            conflicts=(*conflicts, *more),
        )

    def _names(self) -> dict[str, str]:
        """Names by root: an identity without a name gets the name of one that joined it."""
        names: dict[str, str] = {}
        for identity, name in self.names.items():
            root = _root(self.parents, identity)
            if name and (identity == root or not self.names.get(root)):
                names[root] = name
        return names


def _root(parents: Mapping[str, str], member: str) -> str:
    while member in parents:
        member = parents[member]
    return member


def _join(parents: dict[str, str], stays: str, joins: str) -> None:
    first, second = _root(parents, stays), _root(parents, joins)
    if first != second:
        parents[second] = first


def _apart(
    pairs: Iterable[tuple[str, str, int]], parents: Mapping[str, str], but: str
) -> tuple[dict[frozenset[str], int], list[str]]:
    """The separated pairs as pairs of roots, and a sentence for each whose members were joined."""
    apart: dict[frozenset[str], int] = {}
    conflicts: list[str] = []
    for first, second, number in pairs:
        pair = frozenset((_root(parents, first), _root(parents, second)))
        if len(pair) == 1:
            conflicts.append(f"Decision {number} separates {first} and {second}, and {but}.")
        apart.setdefault(pair, number)
    return apart, conflicts


_KEY = re.compile(keys.DECISIONS + r"(\d{10})\.json")


class DecisionLog:
    """The log of decisions of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def entries(self) -> list[Decision]:
        """All decisions, in order. Raises `StoreCorrupt` for one that is damaged or missing.

        A missing decision is noticed by the gap in the numbers, except if it is the last one.
        """
        matches = (_KEY.fullmatch(info.key) for info in self._blobs.list(keys.DECISIONS))
        last = max((int(match[1]) for match in matches if match), default=0)
        return [self._load(number) for number in range(1, last + 1)]

    def append(self, decision: Decision) -> None:
        """Write a decision that `stamped` made."""
        self._blobs.put(keys.decision(decision.number), encode_decision(decision))

    def _load(self, number: int) -> Decision:
        key = keys.decision(number)
        # An erasure in another process deletes an entry before it writes it again.
        for place in (key, keys.rewrite(key), key):
            with suppress(ObjectMissing):
                return self._load_from(place, number)
        raise StoreCorrupt(f"Decision {key} is missing. Restore it from a backup.")

    def _load_from(self, key: str, number: int) -> Decision:
        data = self._blobs.get(key)
        try:
            decision = _decode_decision(checked.decode(data))
            if decision.number != number:
                raise ValueError(f"it is number {decision.number}")
            return decision
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(
                f"Decision {key} is damaged ({exc}). Restore it from a backup."
            ) from exc


def encode_decision(decision: Decision) -> bytes:
    """The bytes of a decision."""
    return checked.encode(decision.as_dict())


def stamped(decision: Decision, after: list[Decision]) -> Decision:
    """The decision with the number that follows these, the user and the time."""
    return replace(
        decision,
        number=after[-1].number + 1 if after else 1,
        by=user_name(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def repeats(decision: Decision, last: Decision) -> bool:
    """Whether a decision is the same as the last one, apart from number, user and time."""
    return replace(decision, number=last.number, by=last.by, at=last.at) == last


def _decode_decision(fields: dict[str, Any]) -> Decision:
    return Decision(
        **{
            **fields,
            "kind": DecisionKind(fields["kind"]),
            "others": tuple(fields["others"]),
            "faces": tuple(fields["faces"]),
            "groups": tuple(tuple(group) for group in fields["groups"]),
            "videos": tuple(fields.get("videos", ())),
        }
    )
