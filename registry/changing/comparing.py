"""What a change of the model does to identities: who is joined, who is split, whose average moves.

Pure: the same faces, grouped two ways. It speaks of the identities that lists and reports show:
provisional ones (hands, a few poor faces) are only counted, in both groupings.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from registry.core.counting import metrics_by_identity
from registry.core.decisions import View
from registry.domain import Video
from registry.faces.appearances import identities


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
    """None: there was none of this id, or a provisional one."""
    after: Standing | None
    """None: all of its good faces belong to others."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs."""

    before: int
    """Identities, provisional ones left aside as everywhere below."""
    after: int
    provisional_before: int
    provisional_after: int
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
            "provisional": {"before": self.provisional_before, "after": self.provisional_after},
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
    # Origin and merges of the view hold for the identity of the rule, whichever it is.
    whole = [shown(video, view) for video in videos]
    later = [shown(_given(video, after), view) for video in videos]
    now, hidden_now = _standings(whole, view, metric)
    then, hidden_then = _standings(later, view, metric)
    went = {face.face_id: face.identity_id for video in later for face in video.faces}
    into: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    out_of: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one, other in (
        (face.identity_id, went.get(face.face_id)) for video in whole for face in video.faces
    ):
        if one in now and other in then:
            into[one][other] += 1
            out_of[other][one] += 1
    same = [
        i for i in now.keys() & then.keys()
        if list(into[i]) == list(out_of[i]) == [i]
        and now[i].faces == then[i].faces == into[i][i]
    ]  # fmt: skip
    return Comparison(
        before=len(now),
        after=len(then),
        provisional_before=hidden_now,
        provisional_after=hidden_then,
        unchanged=len(same),
        named_before=sum(bool(one.name) for one in now.values()),
        named_after=sum(bool(one.name) for one in then.values()),
        joined=_shifts(out_of, then),
        split=_shifts(into, now),
        moved=_moved(now, then),
    )


def shown(video: Video, view: View) -> Video:
    """The video with the identities that its faces go by, as people decided."""
    faces = (replace(face, identity_id=view.identity_of(face)) for face in video.faces)
    return replace(video, faces=tuple(faces))


def _given(video: Video, identity: Mapping[str, str]) -> Video:
    """The video with other identities on record, by face id; faces without one are left out."""
    there = (face for face in video.faces if face.face_id in identity)
    faces = (replace(face, identity_id=identity[face.face_id]) for face in there)
    return replace(video, faces=tuple(faces))


def _standings(videos: Sequence[Video], view: View, metric: str) -> tuple[dict[str, Standing], int]:
    """The identities that lists show, by id, and how many provisional ones there are besides."""
    values = metrics_by_identity(
        ((v.video_id, v.metrics, {face.identity_id for face in v.faces}) for v in videos),
        view.same_as,
    )
    everyone = identities(videos, view.name_of, view.same_as)
    standings = {}
    for one in (one for one in everyone if not one.provisional):
        known = [metrics[metric] for metrics in values[one.identity_id] if metric in metrics]
        average = math.fsum(known) / len(known) if known else None
        standings[one.identity_id] = Standing(
            one.identity_id, one.name, one.faces, one.videos, average
        )
    return standings, len(everyone) - len(standings)


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
