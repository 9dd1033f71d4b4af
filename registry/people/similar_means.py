"""Pairs of mean vectors that are alike, found by comparing only those that are new. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from registry.domain import Vectors
from registry.people import checked_arrays

ROUNDING = 1e-4
"""What a product of float32 vectors may be off. Sums in another order differ by up to 1e-6."""
_CHUNK = 1024
"""Rows of the similarity matrix held at once: 1,024 x 50,000 float32 are 200 MB."""
_DIGEST = 16
"""Bytes of the digest by which equal means are recognised."""
_FORMAT = 1
_MOST_PAIRS = 1_000_000
"""Pairs that are written to a file, at most: 8 MB. Finding so many again takes longer to put
together than to compare."""

Name = tuple[str, int]
"""Id of an identity, and what covers the faces of which this is the mean."""


class SimilarMeans:
    """Remembers which means it compared, so that a second look compares those that changed."""

    def __init__(self) -> None:
        self._least = np.inf
        self._names: Sequence[Name] = ()
        self._digests: Sequence[bytes] = ()
        self._pairs: Sequence[tuple[int, int]] = ()

    def pairs(self, names: Sequence[Name], means: Vectors, least: float) -> list[tuple[int, int]]:
        """Places of two means, the lesser first, for each pair whose product is `least` or more.

        Pairs whose product is less may be among them.

        Args:
            names: of the means, all different. A mean is compared again unless the last call had an
                equal one of the same name.
            means: float32 (n, D).
            least: smallest product.
        """
        digests = [hashlib.blake2b(row, digest_size=_DIGEST).digest() for row in means]
        found: list[tuple[int, int]] = []
        is_new = np.ones(len(names), bool)
        if least >= self._least:
            before = dict(zip(self._names, self._digests, strict=True))
            is_new[:] = [before.get(one) != own for one, own in zip(names, digests, strict=True)]
            places = {one: place for place, one in enumerate(names) if not is_new[place]}
            place_of = [places.get(one, -1) for one in self._names]
            for i, j in self._pairs:
                two = sorted((place_of[i], place_of[j]))
                if two[0] >= 0:
                    found.append((two[0], two[1]))
        found += _pairs_with(np.flatnonzero(is_new), is_new, means, least - ROUNDING)
        self._least, self._names, self._digests, self._pairs = least, names, digests, found
        return found

    def encode(self) -> bytes:
        """What it remembers, by `checked_arrays`; empty if that is too much or nothing."""
        if not self._names or len(self._pairs) > _MOST_PAIRS:
            return b""
        identities, covers = zip(*self._names, strict=True)
        return checked_arrays.encode(
            {
                "format": np.array(_FORMAT),
                "least": np.array(self._least, np.float64),
                "identities": np.array(identities, "S"),
                "covers": np.array(covers, np.int64),
                "digests": np.frombuffer(b"".join(self._digests), np.uint8),
                "pairs": np.array(self._pairs, np.int32).reshape(-1, 2),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> SimilarMeans:
        """The reverse of `encode`; nothing is remembered of bytes that are damaged."""
        found = cls()
        arrays = checked_arrays.decode(data)
        if arrays is not None and int(arrays["format"]) == _FORMAT:
            identities = arrays["identities"].astype(str).tolist()
            found._names = [*zip(identities, arrays["covers"].tolist(), strict=True)]
            digests = arrays["digests"].tobytes()
            found._digests = [
                digests[start : start + _DIGEST] for start in range(0, len(digests), _DIGEST)
            ]
            found._pairs = [*map(tuple, arrays["pairs"].tolist())]
            found._least = float(arrays["least"])
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
