"""What people decided about identities and videos: decisions, and the view they fold to. Pure.

A record says what the rule assigned; decisions say what people made of it. No decision changes a
record, so each can be undone, and any earlier state can be seen again.

    name          an identity is called so
    merge         others are the same person as this identity, and go by its id
    split         these faces of an identity are another person
    separate      two identities are two people: never suggested or merged again
    consolidate   groups of identities are one person each, as `identities consolidate` found
    join_videos   videos show the same footage, and count once, as the first one
    separate_videos  two videos do not: never suggested or joined again
    undo          an earlier decision no longer counts; undoing an undo makes it count again
    void          what stood here concerned a person or video that was erased: the number is left
"""

from __future__ import annotations

import getpass
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from registry import ids
from registry.blobs.base import BlobStore
from registry.domain import Face
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked


class Kind(StrEnum):
    """What a decision does."""

    NAME = "name"
    MERGE = "merge"
    SPLIT = "split"
    SEPARATE = "separate"
    CONSOLIDATE = "consolidate"
    JOIN_VIDEOS = "join_videos"
    SEPARATE_VIDEOS = "separate_videos"
    UNDO = "undo"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log."""

    number: int
    """1-based place in the log."""
    kind: Kind
    identity_id: str = ""
    """The identity that it is about; of a merge, the one that stays."""
    others: tuple[str, ...] = ()
    """Of a merge, the identities that join it; of a separation, the other one; of a split, those
    that it had been merged with, whom the faces that leave do not belong to either."""
    faces: tuple[str, ...] = ()
    """Of a split, the ids of the faces that leave."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Of a consolidation: identities that are one person each; the first of a group stays."""
    name: str = ""
    undoes: int = 0
    """Number of the decision that no longer counts."""
    by: str = ""
    """The user who decided."""
    at: str = ""
    """When: ISO 8601, UTC."""
    new: str = ""
    """Of a split of which faces were forgotten since, the id that it gave; see `new_identity`."""
    videos: tuple[str, ...] = ()
    """Ids of the videos that are joined, the one that counts first; or of the two separated."""

    @property
    def new_identity(self) -> str:
        """Of a split, the id of the identity that the faces make up."""
        return self.new or ids.identity_id(f"split {self.number} {' '.join(sorted(self.faces))}")

    @property
    def merges(self) -> list[tuple[str, str]]:
        """(stays, joins) pairs of a merge or a consolidation."""
        if self.kind is Kind.MERGE:
            return [(self.identity_id, other) for other in self.others]
        return [(group[0], other) for group in self.groups for other in group[1:]]

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are stored; `videos` only if there are any."""
        body = asdict(self)
        if not self.videos:
            del body["videos"]
        return body


@dataclass(frozen=True, slots=True)
class View:
    """Decisions folded: how identities stand."""

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
    """Number of the decision that separated a pair of videos, each given by what it counts as."""
    conflicts: tuple[str, ...] = ()
    """Sentences on decisions that contradict each other."""

    def root(self, identity_id: str) -> str:
        """The identity that this one goes by, after all merges."""
        return _root(self.parents, identity_id)

    def origin_of(self, face: Face) -> str:
        """The identity of a face before merges: what a nearest neighbour inherits from it.

        Merges come after inheritance, so that undoing one parts the heirs too.
        """
        return self.moved.get(face.face_id, face.identity_id)

    def identity_of(self, face: Face) -> str:
        """The identity that a face goes by."""
        return self.root(self.origin_of(face))

    def name_of(self, identity_id: str) -> str:
        """The name that people gave; empty if none."""
        return self.names.get(identity_id, "")

    def separated(self, first: str, second: str) -> int | None:
        """Number of the decision that keeps the two apart, or None."""
        return self.apart.get(frozenset((self.root(first), self.root(second))))

    def counted_video(self, video_id: str) -> str:
        """The video that this one counts as: itself, unless it was joined to another."""
        return self.same_as.get(video_id, video_id)

    def separated_videos(self, first: str, second: str) -> int | None:
        """Number of the decision that keeps two videos apart, or None."""
        pair = frozenset((self.counted_video(first), self.counted_video(second)))
        return self.videos_apart.get(pair)


def tidy(name: str) -> str:
    """A name as it is kept: composed (NFC), on one line, without spaces around it."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def unfit(name: str) -> str:
    """What makes a tidy name no name, for a sentence; empty: nothing does."""
    odd = [c for c in name if unicodedata.category(c) in ("Cc", "Cs")]
    if odd:
        return f"it holds {odd[0]!r}, which is no letter"
    return f"it has {len(name)} letters, over {LONGEST_NAME}" if len(name) > LONGEST_NAME else ""


LONGEST_NAME = 200
_SILENT = (Kind.UNDO, Kind.VOID)
"""What an undo does is in what it undoes; a void entry does nothing."""


def undone(decisions: Sequence[Decision]) -> dict[int, int]:
    """The decisions that do not count: the number of the undo by the number of what it undoes."""
    by: dict[int, int] = {}
    for decision in reversed(decisions):
        if decision.kind is Kind.UNDO and decision.number not in by:
            by[decision.undoes] = decision.number
    return by


def standing(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions that count, in order: those that no standing undo names, and not the void."""
    gone = undone(decisions)
    return [d for d in decisions if d.number not in gone and d.kind not in _SILENT]


def fold(decisions: Iterable[Decision], *, as_of: int | None = None) -> View:
    """The state after these decisions, taken in their order.

    Args:
        decisions: the whole log.
        as_of: number of the last decision that counts; 0: none does.
    """
    everything = list(decisions)
    counting = standing([d for d in everything if as_of is None or d.number <= as_of])
    counted = {decision.number for decision in counting}
    folding = _Folding()
    for decision in everything:
        parted = decision.kind is Kind.SPLIT and decision.number not in counted
        if parted and decision.identity_id:
            # Faces may have joined the split-off identity since; they go back with the others.
            _join(folding.parents, decision.identity_id, decision.new_identity)
    for decision in counting:
        folding.take(decision)
    return folding.view()


def concerned(before: Sequence[Decision], after: Sequence[Decision]) -> set[str]:
    """The identities that may differ between two states of the log, as both states call them."""
    changed = set(standing(before)) ^ set(standing(after))
    named = {
        identity
        for d in changed
        for identity in (d.identity_id, *d.others, *(i for group in d.groups for i in group))
    }
    named |= {d.new_identity for d in changed if d.kind is Kind.SPLIT}
    views = fold(before), fold(after)
    return {view.root(identity) for view in views for identity in named if identity}


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
    """The state while decisions are taken one after the other."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.moved: dict[str, str] = {}
        self.pairs: list[tuple[str, str, int]] = []
        self.videos: dict[str, str] = {}
        self.video_pairs: list[tuple[str, str, int]] = []

    def take(self, decision: Decision) -> None:
        if decision.kind is Kind.NAME:
            self.name(decision.identity_id, decision.name)
        elif decision.kind is Kind.SPLIT:
            self.moved.update(dict.fromkeys(decision.faces, decision.new_identity))
        elif decision.kind is Kind.SEPARATE:
            self.pairs.append((decision.identity_id, decision.others[0], decision.number))
        elif decision.kind is Kind.JOIN_VIDEOS:
            for joins in decision.videos[1:]:
                _join(self.videos, decision.videos[0], joins)
        elif decision.kind is Kind.SEPARATE_VIDEOS:
            first, second = decision.videos
            self.video_pairs.append((first, second, decision.number))
        for stays, joins in decision.merges:
            _join(self.parents, stays, joins)

    def name(self, identity: str, name: str) -> None:
        self.names[identity] = name
        if not name:
            # Taken back: the name of one that joined does not show in its place.
            root = _root(self.parents, identity)
            gone = [other for other in self.names if _root(self.parents, other) == root]
            self.names.update(dict.fromkeys(gone, ""))

    def view(self) -> View:
        apart, conflicts = _apart(self.pairs, self.parents, "merges make them one")
        videos_apart, more = _apart(self.video_pairs, self.videos, "others join them")
        return View(
            names=self._names(),
            parents=self.parents,
            moved=self.moved,
            apart=apart,
            same_as={video: _root(self.videos, video) for video in self.videos},
            videos_apart=videos_apart,
            conflicts=(*conflicts, *more),
        )

    def _names(self) -> dict[str, str]:
        """Names by root: an unnamed identity takes the name of one that joined it."""
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
    """Separated pairs by what their members go by, and a sentence for each that is one now."""
    apart: dict[frozenset[str], int] = {}
    conflicts: list[str] = []
    for first, second, number in pairs:
        pair = frozenset((_root(parents, first), _root(parents, second)))
        if len(pair) == 1:
            conflicts.append(f"decision {number} keeps {first} and {second} apart, and {but}")
        apart.setdefault(pair, number)
    return apart, conflicts


_PREFIX = "decisions/"
_NAME = re.compile(_PREFIX + r"(\d{10})\.json")
REWRITES = "rewrites/"
"""Before the key of an object: what an erasure is about to put in its place."""


class DecisionLog:
    """The decisions of one registry. Only its one writer may append."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def read(self) -> list[Decision]:
        """All decisions, in order. Raises `StoreCorrupt` for one that is damaged or missing.

        Numbers have no gaps. That the newest one is missing cannot be seen.
        """
        found = (_NAME.fullmatch(info.key) for info in self._blobs.list(_PREFIX))
        last = max((int(match[1]) for match in found if match), default=0)
        return [self._load(number) for number in range(1, last + 1)]

    def append(self, decision: Decision) -> None:
        """Write a decision that `stamped` made."""
        self._blobs.put(key_of(decision), encode(decision))

    def _load(self, number: int) -> Decision:
        key = _key(number)
        # An erasure takes one away before it puts it back with less in it, and may do so meanwhile.
        for place in (key, REWRITES + key, key):
            with suppress(ObjectMissing):
                return self._loaded(place, number)
        raise StoreCorrupt(f"decision {key} is missing; restore it from a backup")

    def _loaded(self, key: str, number: int) -> Decision:
        data = self._blobs.get(key)
        try:
            decision = _decision(checked.decode(data))
            if decision.number != number:
                raise ValueError(f"it is number {decision.number}")
            return decision
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(
                f"decision {key} is damaged ({exc}); restore it from a backup"
            ) from exc


def key_of(decision: Decision) -> str:
    """Where a decision lies."""
    return _key(decision.number)


def _key(number: int) -> str:
    return f"{_PREFIX}{number:010d}.json"


def encode(decision: Decision) -> bytes:
    """The bytes of a decision."""
    return checked.encode(decision.as_dict())


def stamped(decision: Decision, after: list[Decision]) -> Decision:
    """The decision as the next one after these, with who and when."""
    return replace(
        decision,
        number=after[-1].number + 1 if after else 1,
        by=user(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def repeats(decision: Decision, last: Decision) -> bool:
    """Whether a decision says just what the last one says."""
    return replace(decision, number=last.number, by=last.by, at=last.at) == last


def _decision(body: dict[str, Any]) -> Decision:
    return Decision(
        **{
            **body,
            "kind": Kind(body["kind"]),
            "others": tuple(body["others"]),
            "faces": tuple(body["faces"]),
            "groups": tuple(tuple(group) for group in body["groups"]),
            "videos": tuple(body.get("videos", ())),
        }
    )


def user() -> str:
    """Who runs this process; empty where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
