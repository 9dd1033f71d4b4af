"""Evidence that identities are, or are not, one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from registry.core.decisions import DecisionKind, in_effect
from registry.core.operating_point import current_thresholds
from registry.core.registry import Registry
from registry.domain import Identity, ModelInfo
from registry.faces.rates import Curve, score
from registry.models.curves import shipped_curve
from registry.people.consolidation import Group
from registry.people.face_sums import FaceSums
from registry.people.kept_evidence import faces_of_videos, kept_similar_means
from registry.people.observed_faces import ObservedFaces, Pair, pair
from registry.people.repetition import FacesIn, Track, stay_alike
from registry.people.similar_means import SimilarMeans

ALIKE_FAR = 1e-6
"""False-accept rate from whose similarity on two faces of one frame are no proof of two people.
Source: docs/BENCHMARKS.md, "One person several times in a frame"."""
_LEAST_PAIRS = 10
"""Pairs of people from which their own similarity counts: as many as calibration needs
(docs/BENCHMARKS.md, "Constants of calibration")."""
_SAMPLE = 2_000
"""Tracks that are compared with each other to find out how alike people are, at most about as many:
two million pairs, in 0.1 s."""
_MORE_ALIKE = 0.5
"""People are more alike than the strangers of the curve if the lower quartile of the scores of all
pairs is higher by so much. Source: docs/BENCHMARKS.md, "Hard footage"."""


@dataclass(frozen=True)
class Evidence:
    """What is known for and against identities being one person."""

    observed: ObservedFaces
    """Their faces."""
    ranks: Mapping[str, tuple[int, ...]]
    """The rank of every identity, which decides whose id is kept: see `Group.rank`."""
    separated: frozenset[Pair] = frozenset()
    """Pairs that a person said are two people."""
    curve: Curve | None = None
    """How alike strangers are. None: any two faces of a frame are two people."""
    steady: frozenset[frozenset[Track]] = frozenset()
    """Pairs of tracks that show one person twice: `repetition.stay_alike`."""
    same_person: float = 1.0
    """Median cosine of two photos of one person: see `consolidate`."""
    several: tuple[float, ...] = (0.0,)
    """By how much several pairs of tracks lower the threshold: see `ModelCurve.lower`."""
    similar: SimilarMeans = field(default_factory=SimilarMeans, compare=False)
    """Which means of identities were compared by earlier looks. It changes no answer."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All identities, by id, with a mean of the good faces of each of their tracks."""
        return self.observed.groups(self.ranks)

    @cached_property
    def alike(self) -> float:
        """Cosine from which two faces of one frame are no proof of two people; above 1: none is.

        It is the cosine of `ALIKE_FAR`. If there are ten pairs of people and more, who resemble
        each other more than the strangers of the curve, it is raised as much: the lower quartile
        gives by how much, so that up to half of the pairs may be mirrors.
        """
        if self.curve is None:
            return 2.0
        similarities = self.observed.similarities_beside()
        centre = 0.0
        if len(similarities) >= _LEAST_PAIRS:
            scores = self.curve.scores(np.array(similarities))
            centre = max(0.0, float(np.quantile(scores, 0.25)) - score(0.75))
        return self.curve.at(centre + score(ALIKE_FAR))

    @cached_property
    def lower(self) -> tuple[float, ...]:
        """By how much several pairs of tracks lower the threshold of a join: `several`, or nothing.

        Nothing if there are fewer than ten pairs of tracks, or if they resemble each other more
        than the strangers of the curve: people of one studio may reach the lower threshold.
        """
        tracks = [track for group in self.groups for track in group.uncovered]
        sample = np.array(tracks[:: len(tracks) // _SAMPLE + 1])
        if self.curve is None or len(sample) * (len(sample) - 1) < 2 * _LEAST_PAIRS:
            return (0.0,)
        similarities = (sample @ sample.T)[~np.tri(len(sample), dtype=bool)]
        quartile = float(np.quantile(self.curve.scores(similarities), 0.25))
        return self.several if quartile - score(0.75) <= _MORE_ALIKE else (0.0,)

    @cached_property
    def together(self) -> Mapping[Pair, int]:
        """The number of frames that show two people side by side, by the pair of identities."""
        return self.observed.together(self.alike)

    @cached_property
    def repeated(self) -> Mapping[Pair, int]:
        """The number of frames that show a pair whose faces are too alike for two people.

        Rather a mirror, a screen, or two pictures of one person: no proof for or against, unless
        they are in `linked`.
        """
        return self.observed.repeated(self.alike)

    @cached_property
    def linked(self) -> frozenset[Pair]:
        """Pairs that stay alike side by side through a shot: one person twice in a frame."""
        return self.observed.linked(self.steady, self.alike)

    @cached_property
    def repeating_videos(self) -> frozenset[str]:
        """Ids of the videos that show one person several times in a frame.

        The faces belong to one identity, or are too alike for two people.
        """
        return self.observed.repeating_videos(self.alike)

    @property
    def apart(self) -> set[Pair]:
        """Pairs that are two people: seen in one frame, or separated by a person."""
        return set(self.together) | self.separated

    def merged(self, groups: Iterable[Sequence[str]]) -> Evidence:
        """The evidence after each of these groups has become its first identity."""
        into = {member: group[0] for group in groups for member in group[1:]}
        return replace(
            self,
            observed=self.observed.merged(into),
            ranks={who: rank for who, rank in self.ranks.items() if who not in into},
            separated=frozenset(pair(into.get(a, a), into.get(b, b)) for a, b in self.separated),
        )


def gather_evidence(registry: Registry, *, keep: bool = False) -> Evidence:
    """The evidence on all identities that are not hidden.

    Faces of videos whose evidence was kept are not read: `registry.people.kept_evidence`. With
    `keep`, what was read is kept for the next time; for the writer of the registry.
    """
    index, model = registry.index, registry.contract.model
    videos = faces_of_videos(registry, keep=keep)
    evidence = evidence_from(registry, videos, index.identities(), model, index.faces_in)
    return replace(evidence, similar=kept_similar_means(registry))


def evidence_from(
    registry: Registry,
    videos: FaceSums,
    identities: Iterable[Identity],
    model: ModelInfo,
    faces_in: FacesIn,
) -> Evidence:
    """The evidence in the faces of these videos, without those of hidden identities.

    Args:
        registry: its decisions say which identities people merged, separated and hid.
        videos: the faces of these videos, added up.
        identities: all that the faces have after merges.
        model: embedded them. The registry's calibration counts only if it is the registry's model.
        faces_in: gives the faces of one video with their vectors, by its id. It is called for
            videos that may show one person twice in a frame.
    """
    view, hidden = registry.view, registry.view.hidden

    def identity_of(origin: str) -> str | None:
        return None if (root := view.root(origin)) in hidden else root

    observed = ObservedFaces(videos, identity_of)
    ranks = {
        i.identity_id: (int(bool(i.name)), i.videos)
        for i in identities
        if i.identity_id not in hidden
    }
    shipped = shipped_curve(model)
    own = model.digest == registry.contract.model.digest
    evidence = Evidence(
        observed,
        ranks,
        _separated_pairs(registry),
        current_thresholds(registry).curve if own else shipped.curve,
        same_person=shipped.same_person,
        several=shipped.lower,
    )
    candidates = observed.repeated_tracks(evidence.alike)
    return replace(evidence, steady=stay_alike(candidates, faces_in, evidence.alike))


def _separated_pairs(registry: Registry) -> frozenset[Pair]:
    """Pairs that people separated, after all merges, and each split with what it left.

    A split says that its faces are another person, so only a person joins the two again.
    """
    view = registry.view
    pairs = [tuple(two) for two in view.apart]
    for decision in in_effect(registry.decisions.entries()):
        if decision.kind is DecisionKind.SPLIT:
            left = [one for one in (decision.identity_id, *decision.others) if one]
            pairs += [(view.root(one), view.root(decision.new_identity)) for one in left]
    return frozenset(pair(*two) for two in pairs if len(set(two)) == 2)
