"""What a change of the model does to identities: who is joined, who is split, whose average moves.

Pure: the same faces, grouped two ways.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from registry.decisions import View
from registry.domain import Video


@dataclass(frozen=True, slots=True)
class Standing:
    """How an identity stands."""

    identity: str
    name: str
    faces: int
    videos: int
    average: float | None
    """Mean of the primary metric over distinct videos; None if none has a value."""


@dataclass(frozen=True, slots=True)
class Shift:
    """An identity that has other faces than before: one line of a preview."""

    identity: str
    name: str
    others: Mapping[str, int]
    """The identities on the other side, with the number of faces that they share with it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An identity whose average or number of videos is another."""

    identity: str
    name: str
    before: Standing | None
    """None: there was none of this id."""
    after: Standing | None
    """None: all of its faces belong to others."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs."""

    before: int
    """Identities."""
    after: int
    unchanged: int
    """Identities of exactly the faces they had."""
    named_before: int
    named_after: int
    joined: tuple[Shift, ...]
    """Identities to be that hold faces of two or more of now; the most named and largest first."""
    split: tuple[Shift, ...]
    """Identities of now whose faces will belong to two or more."""
    moved: tuple[Moved, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "identities": {
                "before": self.before, "after": self.after, "unchanged": self.unchanged,
                "named_before": self.named_before, "named_after": self.named_after,
            },
            "joined": [_shift(shift, "of") for shift in self.joined],
            "split": [_shift(shift, "into") for shift in self.split],
            "averages": [asdict(moved) for moved in self.moved],
        }  # fmt: skip


def compare(
    videos: Sequence[Video], after: Mapping[str, str], view: View, metric: str
) -> Comparison:
    """Compare how faces are grouped now with how they are to be.

    Args:
        videos: records as they are now; their embeddings are not looked at.
        after: the identity that the record of each face is to name, by face id. Faces without one
            are left out.
        view: what people decided, the same before and after.
        metric: the primary one.
    """
    pairs: list[tuple[str, str | None, Video]] = []
    for video in videos:
        for face in video.faces:
            # Origin and merges of the view hold for the identity of the rule, whichever it is.
            given = after.get(face.face_id)
            moved = None if given is None else view.moved.get(face.face_id, given)
            later = None if moved is None else view.root(moved)
            pairs.append((view.identity_of(face), later, video))
    now = _standings(((one, video) for one, _, video in pairs), view, metric)
    then = _standings(((one, video) for _, one, video in pairs if one), view, metric)
    into: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    out_of: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one, other, _ in pairs:
        if other is not None:
            into[one][other] += 1
            out_of[other][one] += 1
    same = [
        i for i in now.keys() & then.keys()
        if len(into[i]) == len(out_of[i]) == 1 and now[i].faces == then[i].faces
    ]  # fmt: skip
    return Comparison(
        before=len(now),
        after=len(then),
        unchanged=len(same),
        named_before=sum(bool(one.name) for one in now.values()),
        named_after=sum(bool(one.name) for one in then.values()),
        joined=_shifts(out_of, then),
        split=_shifts(into, now),
        moved=_moved(now, then),
    )


def _standings(faces: Iterable[tuple[str, Video]], view: View, metric: str) -> dict[str, Standing]:
    seen: dict[str, dict[str, Video]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for identity, video in faces:
        seen[identity][video.video_id] = video
        counts[identity] += 1
    standings = {}
    for identity, videos in seen.items():
        values = [v.metrics[metric] for v in videos.values() if metric in v.metrics]
        average = math.fsum(values) / len(values) if values else None
        name, faces_ = view.name_of(identity), counts[identity]
        standings[identity] = Standing(identity, name, faces_, len(videos), average)
    return standings


def _shifts(
    sides: Mapping[str, Mapping[str, int]], standings: Mapping[str, Standing]
) -> tuple[Shift, ...]:
    found = [
        Shift(
            identity,
            standings[identity].name,
            dict(sorted(others.items(), key=lambda item: (-item[1], item[0]))),
        )
        for identity, others in sides.items()
        if len(others) > 1
    ]
    size = {identity: standing.faces for identity, standing in standings.items()}
    return tuple(sorted(found, key=lambda s: (not s.name, -size[s.identity], s.identity)))


def _moved(now: Mapping[str, Standing], then: Mapping[str, Standing]) -> tuple[Moved, ...]:
    moved = []
    for identity in now.keys() | then.keys():
        one, other = now.get(identity), then.get(identity)
        if one and other and (one.average, one.videos) == (other.average, other.videos):
            continue
        names = [side.name for side in (other, one) if side]
        moved.append(Moved(identity, names[0], one, other))

    def first(line: Moved) -> tuple[bool, bool, int, str]:
        most = max(side.faces for side in (line.before, line.after) if side)
        return not line.name, not (line.before and line.after), -most, line.identity

    return tuple(sorted(moved, key=first))


def _shift(shift: Shift, side: str) -> dict[str, Any]:
    others = [{"identity": identity, "faces": n} for identity, n in shift.others.items()]
    return {"identity": shift.identity, "name": shift.name, side: others}
