"""Thresholds from labelled pairs: what they rest on, and whether their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.calibration.sample_size import Pairs, support, wilson
from registry.calibration.thresholds import (
    LEAST_PAIRS,
    Basis,
    estimate_threshold,
    false_rejects,
    too_similar,
)
from registry.faces.rates import Curve, rate, score

CURVE = Curve(((0.0, 0.5), (0.1, rate(1.0))))
"""Strangers' cosines are normal, mean 0, deviation 0.1."""


def crowd(
    seed: int,
    people: int,
    *,
    mean: float = 0.0,
    spread: float = 0.1,
    own: float = 0.5,
    faces: int = 4,
) -> Pairs:
    """All pairs of so many people: of the variance, a share is each one's own likeness to all."""
    random = np.random.default_rng(seed)
    of_person = random.normal(0, np.sqrt(own / 2), people)
    one, other = np.triu_indices(people, 1)
    z = of_person[one] + of_person[other] + random.normal(0, np.sqrt((1 - own) / 2), len(one))
    each = np.repeat(z, faces) + random.normal(0, np.sqrt((1 - own) / 2), len(one) * faces)
    who = np.repeat(np.stack([one, other], axis=1), faces, axis=0)
    return Pairs(mean + spread * each, who)


def couples(seed: int, count: int, *, mean: float = 0.0, spread: float = 0.1) -> Pairs:
    """So many pairs of people, nobody in two of them."""
    who = np.arange(2 * count).reshape(-1, 2)
    return Pairs(np.random.default_rng(seed).normal(mean, spread, count), who)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_the_curve_in_force_has_the_target_at_its_threshold(seed: int, target: float) -> None:
    found = estimate_threshold(couples(seed, 40, mean=0.1), CURVE, target)
    assert found.basis is Basis.MOVED
    assert found.low <= found.high
    assert found.far_low <= found.far <= found.far_high
    if found.threshold > found.shipped:
        assert found.far == pytest.approx(target, rel=1e-6)
        assert found.low <= found.threshold <= found.high


@pytest.mark.parametrize("mean", [-0.05, 0.0, 0.1])
@pytest.mark.parametrize("target", [1e-2, 1e-4])
def test_the_interval_holds_the_true_threshold(mean: float, target: float) -> None:
    """95 % of it, by a hundred registries; 88 is what 95 % gives with a chance of 0.996."""
    truth = mean + 0.1 * 1.2 * score(target)
    samples = [couples(seed, 30, mean=mean, spread=0.12) for seed in range(100)]
    held = sum(
        f.low <= truth <= f.high for f in (estimate_threshold(s, CURVE, target) for s in samples)
    )
    assert held >= 88


def test_it_holds_when_pairs_share_people() -> None:
    truth = 0.05 + 0.1 * 1.2 * score(1e-3)
    samples = [crowd(seed, 15, mean=0.05, spread=0.12) for seed in range(100)]
    held = sum(
        f.low <= truth <= f.high for f in (estimate_threshold(s, CURVE, 1e-3) for s in samples)
    )
    assert held >= 88


def test_the_rate_at_the_threshold_lies_in_its_interval() -> None:
    held = 0
    for seed in range(100):
        found = estimate_threshold(couples(seed, 30, mean=0.1), CURVE, 1e-4)
        held += found.far_low <= rate((found.threshold - 0.1) / 0.1) <= found.far_high
    assert held >= 88


def test_with_enough_pairs_the_rate_is_read_off_them() -> None:
    random = np.random.default_rng(3)
    heavy = Pairs(0.1 * random.standard_t(4, 40_000), np.arange(80_000).reshape(-1, 2))
    found = estimate_threshold(heavy, CURVE, 1e-2)
    assert found.basis is Basis.MEASURED
    share = float((heavy.similarities >= found.threshold).mean())
    assert share == pytest.approx(1e-2, rel=0.1)
    assert found.low < found.threshold < found.high
    assert found.needed == 300


def test_too_few_pairs_leave_the_shipped_threshold() -> None:
    found = estimate_threshold(couples(1, LEAST_PAIRS - 1, mean=0.5), CURVE, 1e-3)
    assert (found.basis, found.threshold) == (Basis.SHIPPED, CURVE.similarity(1e-3))
    own = estimate_threshold(couples(1, 3), CURVE, 1e-3, 0.45)
    assert (own.basis, own.threshold) == (Basis.SHIPPED, 0.45)
    assert own.far == pytest.approx(CURVE.far(0.45))
    nobody = estimate_threshold(Pairs(np.zeros(0), np.zeros((0, 2), np.int64)), CURVE, 1e-3)
    assert (nobody.basis, nobody.support.independent) == (Basis.SHIPPED, 0)


def test_two_hosts_in_a_thousand_videos_are_one_pair() -> None:
    hosts = Pairs(np.random.default_rng(0).normal(0.4, 0.05, 5000), np.tile([0, 1], (5000, 1)))
    assert support(hosts, CURVE).of_people == 1
    assert estimate_threshold(hosts, CURVE, 1e-4).basis is Basis.SHIPPED


def test_a_lower_threshold_needs_evidence_and_a_higher_one_does_not() -> None:
    few, many = (estimate_threshold(couples(2, n, mean=-0.05), CURVE, 1e-3) for n in (12, 2000))
    known = CURVE.similarity(1e-3)
    assert few.threshold == known < few.high
    assert many.threshold < known
    assert many.threshold == pytest.approx(many.high)
    assert estimate_threshold(couples(2, 12, mean=0.2), CURVE, 1e-3).threshold > known


@pytest.mark.parametrize("own", [0.0, 0.3, 0.9])
def test_pairs_that_share_people_are_worth_less(own: float) -> None:
    """Against the variance of the mean as it really is, over many registries."""
    means, singles, worth = [], [], []
    for seed in range(300):
        sample = crowd(seed, 12, own=own, faces=1)
        found = support(sample, CURVE)
        means.append(float(sample.similarities.mean()))
        singles.append(float(sample.similarities.var()))
        worth.append(found.independent)
    truth = np.mean(singles) / np.var(means)
    assert float(np.median(worth)) == pytest.approx(min(truth, 12), rel=0.5)


def test_independent_pairs_are_worth_what_they_are() -> None:
    assert support(couples(5, 200), CURVE).independent == pytest.approx(200, rel=0.02)


@given(st.floats(0, 1), st.floats(1, 1e6))
def test_wilson_holds_the_share(share: float, trials: float) -> None:
    low, high = wilson(share, trials)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_no_error_among_n_is_about_the_rule_of_three() -> None:
    low, high = wilson(0.0, 300)
    assert low == pytest.approx(0, abs=1e-12)
    assert 3 / 300 <= high < 4 / 300
    assert wilson(0.5, 0) == (0, 1)


def test_each_person_rejects_once() -> None:
    people = np.repeat([0, 1], [99, 1])
    found = false_rejects(Pairs(np.repeat([0.9, 0.1], [99, 1]), np.stack([people] * 2, 1)), 0.5)
    assert found is not None
    assert (found.rate, found.people, found.pairs) == (0.5, 2, 100)
    assert false_rejects(Pairs(np.zeros(0), np.zeros((0, 2), np.int64)), 0.5) is None


def test_a_mirror_is_told_from_strangers() -> None:
    strangers = np.random.default_rng(0).normal(0, 0.1, 40).tolist()
    assert too_similar([*strangers, 0.8], CURVE, 0.4) == [False] * 40 + [True]
    alike = (np.array(strangers) + 0.35).tolist()
    assert too_similar(alike, CURVE, 0.4) == [False] * 40
    assert too_similar([], CURVE, 0.4) == []
