"""What is compared again: means that changed, and poor faces that may be like somebody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from registry.domain import Vectors
from registry.people import consolidation, similar_means
from registry.people.consolidation import Group, consolidate
from registry.people.similar_means import ROUNDING, SimilarMeans, largest_products

PEOPLE = 12


def _means(random: np.random.Generator, count: int) -> Vectors:
    people = np.random.default_rng(1).normal(size=(PEOPLE, 16))
    rows = people[random.integers(PEOPLE, size=count)] + random.normal(size=(count, 16))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_pairs_are_those_of_comparing_all_whatever_changed(seed: int) -> None:
    random = np.random.default_rng(seed)
    similar = SimilarMeans()
    held = dict(enumerate(_means(random, 40)))
    for step in range(8):
        for name in random.choice(list(held), int(random.integers(0, len(held) // 2))):
            if random.random() < 0.5:
                held.pop(int(name), None)
            elif name in held:
                held[int(name)] = _means(random, 1)[0]
        held |= dict(enumerate(_means(random, int(random.integers(20))), start=100 * (step + 1)))
        numbers = random.permutation(list(held)).tolist()
        means = np.stack([held[number] for number in numbers])
        names = [(f"{number}", 0) for number in numbers]
        if random.random() < 0.5:
            similar = SimilarMeans.decode(similar.encode())
        least = float(random.choice([0.3, 0.5, 0.7]))
        found = similar.pairs(names, means, least)
        assert len(found) == len(set(found))
        assert all(i < j for i, j in found)
        products = means @ means.T
        clear = {(i, j) for i, j in np.argwhere(products >= least + ROUNDING).tolist() if i < j}
        assert clear <= set(found)


def test_only_means_that_changed_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    similar, random = SimilarMeans(), np.random.default_rng(0)
    means = _means(random, 50)
    names = [("somebody", number) for number in range(50)]
    first = similar.pairs(names, means, 0.5)
    assert similar.pairs(names, means, 0.5) == first
    means = means.copy()
    means[7] = means[3]
    asked: list[int] = []

    class Watched(np.ndarray):
        def __matmul__(self, other: Any) -> Any:
            asked.append(len(self))
            return np.asarray(np.asarray(self) @ np.asarray(other))

    found = similar.pairs(names, means.view(Watched), 0.5)
    assert asked == [1]
    assert (3, 7) in found


def test_what_is_kept_is_not_used_if_it_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    similar, means = SimilarMeans(), _means(np.random.default_rng(0), 30)
    names = [("somebody", number) for number in range(30)]
    found = similar.pairs(names, means, 0.5)
    data = similar.encode()
    again = SimilarMeans.decode(data)
    assert again.encode() == data
    for at in (0, 40, len(data) // 2, len(data) - 1):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert SimilarMeans.decode(damaged).encode() == b""
        assert sorted(SimilarMeans.decode(damaged).pairs(names, means, 0.5)) == sorted(found)
    assert SimilarMeans.decode(b"").encode() == b""
    monkeypatch.setattr(similar_means, "_MOST_PAIRS", 3)
    assert similar.encode() == b""


def _world(seed: int) -> tuple[list[Group], list[tuple[str, str]]]:
    """Groups of good and of poor faces, some in the videos of others, and pairs of two people."""
    random = np.random.default_rng(seed)
    groups = []
    for number in range(60):
        count = int(random.integers(1, 4))
        videos = frozenset(f"v{n}" for n in random.integers(40, size=count))
        tracks = np.repeat(_means(random, 1), count, axis=0) + 0.3 * _means(random, count)
        tracks /= np.linalg.norm(tracks, axis=1, keepdims=True)
        covers = tuple(random.choice([0, 0, 1], count).tolist())
        groups.append(Group(f"g{number}", tracks, (0, count), covers=covers, videos=videos))
    for number in range(60):
        along = (f"g{random.integers(60)}",) if random.random() < 0.2 else ()
        count = int(random.integers(3))
        groups.append(
            Group(
                f"p{number}",
                np.zeros((0, 16), np.float32),
                (0, 1),
                _means(random, count),
                along,
                videos=frozenset(f"v{n}" for n in random.integers(40, size=random.integers(3))),
                elsewhere=bool(random.random() < 0.5),
            )
        )
    names = [group.identity_id for group in groups]
    apart = [(names[a], names[b]) for a, b in random.integers(120, size=(12, 2)) if a != b]
    return groups, apart


@pytest.mark.parametrize("seed", range(8))
def test_poor_faces_that_are_like_nobody_are_left_out_without_changing_an_answer(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, apart = _world(seed)
    found = consolidate(groups, apart, threshold=0.5)
    assert any(join.reason for join in found.joins)

    def all_may_be_alike(some: list[Vectors], rows: object) -> list[float]:
        return [np.inf] * len(some)

    monkeypatch.setattr(consolidation, "largest_products", all_may_be_alike)
    assert consolidate(groups, apart, threshold=0.5) == found


@pytest.mark.parametrize("seed", range(4))
def test_what_was_compared_before_changes_no_answer(seed: int) -> None:
    groups, apart = _world(seed)
    similar = SimilarMeans()
    consolidate(groups[:40], apart, threshold=0.5, similar=similar)
    assert consolidate(groups, apart, threshold=0.5, similar=similar) == consolidate(
        groups, apart, threshold=0.5
    )


def test_largest_products_by_hand() -> None:
    rows = np.array([[1, 0], [0, 1]], np.float32)
    asked = [np.array(row, np.float32) for row in ([0.5, 0.25], [-1, -2])]
    assert largest_products(asked, rows) == [0.5, -1]
    assert largest_products(asked, []) == [-np.inf, -np.inf]
