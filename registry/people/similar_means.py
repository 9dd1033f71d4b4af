"""Pairs of mean vectors that are alike, found by comparing only those that are new. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from registry.domain import Vectors

ROUNDING = 1e-4
"""What a product of float32 vectors may be off. Sums in another order differ by up to 1e-6."""
_CHUNK = 1024
"""Rows of the similarity matrix held at once: 1,024 x 50,000 float32 are 200 MB."""


class SimilarMeans:
    """Remembers which means it compared, so that a second look compares those that changed."""

    def __init__(self) -> None:
        self._least = np.inf
        self._places: dict[Hashable, int] = {}
        self._means: Vectors = np.zeros((0, 0), np.float32)
        self._pairs: Sequence[tuple[Hashable, Hashable]] = ()

    def pairs(
        self, names: Sequence[Hashable], means: Vectors, least: float
    ) -> list[tuple[int, int]]:
        """Places of two means, the lesser first, for each pair whose product is `least` or more.

        Pairs whose product is less may be among them.

        Args:
            names: of the means, all different. A mean is compared again unless the last call had an
                equal one of the same name.
            means: float32 (n, D).
            least: smallest product.
        """
        places = {name: place for place, name in enumerate(names)}
        found: list[tuple[int, int]] = []
        is_new = np.ones(len(names), bool)
        if least >= self._least:
            before = np.array([self._places.get(name, -1) for name in names], np.intp)
            both = np.flatnonzero(before >= 0)
            is_new[both] = (self._means[before[both]] != means[both]).any(axis=1)
            known = (
                (places[one], places[other])
                for one, other in self._pairs
                if one in places and other in places
            )
            found += [(min(p), max(p)) for p in known if not (is_new[p[0]] or is_new[p[1]])]
        found += _pairs_with(np.flatnonzero(is_new), is_new, means, least - ROUNDING)
        self._least = least
        self._places, self._means = places, means
        self._pairs = [(names[i], names[j]) for i, j in found]
        return found


def largest_products(some: Sequence[Vectors], rows: Sequence[Vectors] | Vectors) -> list[float]:
    """The largest product of each vector with a row; minus infinity without rows."""
    if not len(rows):
        return [-np.inf] * len(some)
    others = np.asarray(rows).T
    chunks = [some[start : start + _CHUNK] for start in range(0, len(some), _CHUNK)]
    return [largest for chunk in chunks for largest in (np.stack(chunk) @ others).max(axis=1)]


def _pairs_with(
    new: np.ndarray, is_new: np.ndarray, means: Vectors, least: float
) -> Iterator[tuple[int, int]]:
    """Pairs of each new mean with the others; those of two new ones once."""
    for start in range(0, len(new), _CHUNK):
        rows = new[start : start + _CHUNK]
        # If all are new, earlier ones were compared with these already.
        first = int(rows[0]) if len(new) == len(means) else 0
        above = means[rows] @ means[first:].T >= least
        for row, other in np.argwhere(above).tolist():
            i, j = int(rows[row]), first + other
            if i < j or (i > j and not is_new[j]):
                yield min(i, j), max(i, j)
