"""How well a grouping of faces matches the people in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """One grouping against the truth."""

    precision: float
    """B-cubed: averaged over faces, the share of its group that is the same person."""
    recall: float
    """B-cubed: averaged over faces, the share of its person that is in its group."""
    per_person: float
    """Groups that a person is spread over, averaged over people; 1 is right."""
    wrong: int
    """Wrong merges: for each group, its people beyond the first."""
    groups: int

    @property
    def f1(self) -> float:
        """Harmonic mean of B-cubed precision and recall."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def score(people: Sequence[str | None], groups: Sequence[str]) -> Score:
    """B-cubed (Bagga and Baldwin 1998; Amigo et al. 2009) and plain counts.

    Args:
        people: who each of n faces is; a face of None counts nowhere.
        groups: the group that each was given.
    """
    pairs = [(p, g) for p, g in zip(people, groups, strict=True) if p is not None]
    if not pairs:
        raise ValueError("no face is labelled")
    both = Counter(pairs)
    person = Counter(p for p, _ in pairs)
    group = Counter(g for _, g in pairs)
    n = len(pairs)
    return Score(
        precision=sum(c * c / group[g] for (_, g), c in both.items()) / n,
        recall=sum(c * c / person[p] for (p, _), c in both.items()) / n,
        per_person=len(both) / len(person),
        wrong=len(both) - len(group),
        groups=len(group),
    )
