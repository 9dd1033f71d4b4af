"""How a change of the model changes identities: which are joined or split, which averages move.

Pure: it compares two groupings of the same faces. It covers the identities that lists and reports
show; provisional ones (hands, a few poor faces) are only counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from registry.core.counting import metrics_by_identity
from registry.core.decisions import View, relabelled
from registry.domain import Video
from registry.faces.appearances import identities, mean


@dataclass(frozen=True, slots=True)
class IdentitySummary:
    """An identity in one of the two groupings."""

    identity: str
    name: str
    faces: int
    videos: int
    average: float | None
    """Mean of the primary metric over distinct videos; None if no video has a value."""


@dataclass(frozen=True, slots=True)
class Regrouping:
    """An identity whose faces belong to two or more identities in the other grouping."""

    identity: str
    name: str
    others: Mapping[str, int]
    """Those identities, with the number of faces that each shares with it; most first."""


@dataclass(frozen=True, slots=True)
class AverageChange:
    """An identity whose average or number of videos changes."""

    identity: str
    name: str
    before: IdentitySummary | None
    """None: there is no identity of this id now, or a provisional one."""
    after: IdentitySummary | None
    """None: there will be none, or a provisional one."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The differences between the current grouping and that after the change."""

    before: int
    """Identities now. Provisional ones count nowhere but in the two fields of their own."""
    after: int
    """Identities after the change."""
    provisional_before: int
    provisional_after: int
    unchanged: int
    """Identities that keep exactly their faces."""
    named_before: int
    named_after: int
    joined: tuple[Regrouping, ...]
    """New identities with faces of two or more current ones; named first, then by faces."""
    split: tuple[Regrouping, ...]
    """Current identities whose faces will belong to two or more, in the same order."""
    averages: tuple[AverageChange, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "identities": {
                "before": self.before, "after": self.after, "unchanged": self.unchanged,
                "named_before": self.named_before, "named_after": self.named_after,
            },
            "provisional": {"before": self.provisional_before, "after": self.provisional_after},
            "joined": [_regrouping_document(one, "of") for one in self.joined],
            "split": [_regrouping_document(one, "into") for one in self.split],
            "averages": [asdict(change) for change in self.averages],
        }  # fmt: skip


def preview_change(
    videos: Sequence[Video], after: Mapping[str, str], view: View, metric: str
) -> Preview:
    """Compare the current identities with those after the change.

    Args:
        videos: the current records; their embeddings are not used.
        after: the identity of each face after the change, by face id. Faces without one are left
            out.
        view: the decisions, which are the same before and after.
        metric: the primary metric.
    """
    # The view applies splits and merges to either grouping.
    current = [relabelled(video, view.identity_of) for video in videos]
    given = (relabelled(video, lambda face: after.get(face.face_id)) for video in videos)
    later = [relabelled(video, view.identity_of) for video in given]
    now, provisional_now = _summaries(current, view, metric)
    then, provisional_then = _summaries(later, view, metric)
    identity_then = {face.face_id: face.identity_id for video in later for face in video.faces}
    into: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    out_of: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one, other in (
        (face.identity_id, identity_then.get(face.face_id))
        for video in current
        for face in video.faces
    ):
        if one in now and other in then:
            into[one][other] += 1
            out_of[other][one] += 1
    unchanged = [
        i for i in now.keys() & then.keys()
        if list(into[i]) == list(out_of[i]) == [i]
        and now[i].faces == then[i].faces == into[i][i]
    ]  # fmt: skip
    return Preview(
        before=len(now),
        after=len(then),
        provisional_before=provisional_now,
        provisional_after=provisional_then,
        unchanged=len(unchanged),
        named_before=sum(bool(one.name) for one in now.values()),
        named_after=sum(bool(one.name) for one in then.values()),
        joined=_regroupings(out_of, then),
        split=_regroupings(into, now),
        averages=_average_changes(now, then),
    )


def _summaries(
    videos: Sequence[Video], view: View, metric: str
) -> tuple[dict[str, IdentitySummary], int]:
    """The identities that lists show, by id, and the number of provisional ones."""
    seen = metrics_by_identity(
        ((v.video_id, v.metrics, {face.identity_id for face in v.faces}) for v in videos),
        view.same_as,
    )
    everyone = identities(videos, view.name_of, view.same_as, view.hidden)
    summaries = {}
    for one in (one for one in everyone if not one.provisional):
        known = [values[metric] for values in seen[one.identity_id] if metric in values]
        summaries[one.identity_id] = IdentitySummary(
            one.identity_id, one.name, one.faces, one.videos, mean(known) if known else None
        )
    return summaries, len(everyone) - len(summaries)


def _regroupings(
    shared: Mapping[str, Mapping[str, int]], summaries: Mapping[str, IdentitySummary]
) -> tuple[Regrouping, ...]:
    regroupings = [
        Regrouping(
            identity,
            summaries[identity].name,
            dict(sorted(others.items(), key=lambda item: (-item[1], item[0]))),
        )
        for identity, others in shared.items()
        if len(others) > 1
    ]

    def order(one: Regrouping) -> tuple[bool, int, str]:
        return not one.name, -summaries[one.identity].faces, one.identity

    return tuple(sorted(regroupings, key=order))


def _average_changes(
    now: Mapping[str, IdentitySummary], then: Mapping[str, IdentitySummary]
) -> tuple[AverageChange, ...]:
    changes = []
    for identity in now.keys() | then.keys():
        one, other = now.get(identity), then.get(identity)
        if one and other and (one.average, one.videos) == (other.average, other.videos):
            continue
        names = [side.name for side in (other, one) if side]
        changes.append(AverageChange(identity, names[0], one, other))

    def order(change: AverageChange) -> tuple[bool, bool, int, str]:
        most = max(side.faces for side in (change.before, change.after) if side)
        return not change.name, not (change.before and change.after), -most, change.identity

    return tuple(sorted(changes, key=order))


def _regrouping_document(regrouping: Regrouping, side: str) -> dict[str, Any]:
    others = [{"identity": identity, "faces": n} for identity, n in regrouping.others.items()]
    return {"identity": regrouping.identity, "name": regrouping.name, side: others}
