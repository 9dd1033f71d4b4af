"""The parts of the statistics against scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from face_registry.statistics import (
    geometric_mean,
    total,
    trimmed_mean,
    weighted_mean,
    weighted_median,
)
from queries.statistics import membership
from queries.statistics.means import median_and_trimmed
from queries.statistics.saddlepoint import Shape, Sums
from queries.statistics.shrinkage import shrink
from registry.errors import UsageError


def test_means_by_hand() -> None:
    values, weights = [1.0, 2.0, 4.0, float("nan")], [1.0, 1.0, 2.0, 5.0]
    assert weighted_mean(values) == pytest.approx(7 / 3)
    assert weighted_mean(values, weights) == pytest.approx(11 / 4)
    assert total(values, weights) == 11
    assert geometric_mean(values) == pytest.approx(2)
    assert geometric_mean(values, weights) == pytest.approx((1 * 2 * 4 * 4) ** 0.25)
    assert weighted_median(values) == 2
    assert weighted_median(values, weights) == 3  # half of the weight on either side of 2 to 4
    assert weighted_median([5.0, 1.0, 3.0, 2.0]) == 2.5
    assert weighted_median([1.0, 2.0, 3.0], [1.0, 1.0, 5.0]) == 3
    sample = np.random.default_rng(0).gamma(1, 1, 37)
    assert trimmed_mean(sample) == pytest.approx(stats.trim_mean(sample, 0.1))
    for given in (None, sample[::-1] * (sample > 0.1)):
        both = weighted_median(sample, given), trimmed_mean(sample, given)
        assert median_and_trimmed(sample, given) == both
    assert np.isnan(weighted_mean([], []))


def test_means_refuse_what_they_cannot_use() -> None:
    with pytest.raises(UsageError, match="values above 0, and 1 are not"):
        geometric_mean([1.0, 0.0])
    with pytest.raises(UsageError, match="2 values and 1 weights"):
        weighted_mean([1.0, 2.0], [1.0])
    with pytest.raises(UsageError, match="weight is negative"):
        total([1.0], [-1.0])
    with pytest.raises(UsageError, match=r"share to trim is 0\.5"):
        trimmed_mean([1.0], share=0.5)


def _videos(seed: int, people: int, videos: int) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    incidence = np.zeros((videos, people))
    for video in range(videos):
        incidence[video, rng.choice(people, rng.integers(1, 4), replace=False)] = 1
    x = np.column_stack([np.ones(videos), rng.normal(size=videos)])
    y = x @ [3.0, 0.5] + incidence @ rng.normal(0, 0.7, people) + rng.normal(size=videos)
    return sparse.csr_array(incidence), y, x


def test_the_mixed_model_is_that_of_statsmodels() -> None:
    incidence, y, x = _videos(1, 25, 150)
    model = membership.fit(incidence, y, x, np.ones(150))
    data = pd.DataFrame({"y": y, "x": x[:, 1], "all": 1})
    columns = {f"p{i}": incidence.toarray()[:, i] for i in range(25)}
    data = data.assign(**columns)
    import statsmodels.api as sm

    reference = sm.MixedLM.from_formula(
        "y ~ x",
        data,
        groups="all",
        re_formula="0",
        vc_formula={"people": "0 + " + " + ".join(columns)},
    ).fit(reml=True)
    assert model.residual_variance == pytest.approx(reference.scale, rel=1e-3)
    assert model.ratio * model.residual_variance == pytest.approx(reference.vcomp[0], rel=1e-2)
    effects = next(iter(reference.random_effects.values())).to_numpy()
    assert model.effects == pytest.approx(effects, abs=5e-3)


def test_many_people_give_what_few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimates for many people are close to the exact ones."""
    incidence, y, x = _videos(2, 300, 1200)
    exact = membership.fit(incidence, y, x, np.ones(1200))
    monkeypatch.setattr(membership, "DENSE", 10)
    found = membership.fit(incidence, y, x, np.ones(1200))
    assert found.ratio == pytest.approx(exact.ratio, rel=0.05)
    assert found.residual_variance == pytest.approx(exact.residual_variance, rel=0.02)
    assert np.corrcoef(found.effects, exact.effects)[0, 1] > 0.999
    assert (found.deviations / exact.deviations).mean() == pytest.approx(1, abs=0.02)


def test_precision_is_relative_to_the_residual_variance() -> None:
    """Only ratios of precisions matter, and videos of little precision have little influence."""
    incidence, y, x = _videos(3, 10, 60)
    one = membership.fit(incidence, y, x, np.ones(60))
    two = membership.fit(incidence, y, x, np.full(60, 4.0))
    assert two.residual_variance == pytest.approx(4 * one.residual_variance)
    assert two.effects == pytest.approx(one.effects, abs=1e-4)
    precision = np.where(np.arange(60) < 30, 1e-6, 1.0)
    noisy = y + np.where(np.arange(60) < 30, 500 * np.random.default_rng(0).normal(size=60), 0)
    known = membership.fit(incidence, noisy, x, precision)
    unknown = membership.fit(incidence, noisy, x, np.ones(60))
    error = [np.abs(found.fitted[30:] - one.fitted[30:]).mean() for found in (known, unknown)]
    assert error[0] < error[1] / 5


@pytest.mark.parametrize("name", ["lognormal", "normal", "rare"])
@pytest.mark.parametrize("n", [3, 10, 40])
def test_tails_are_those_of_resampling(name: str, n: int) -> None:
    rng = np.random.default_rng(0)
    values = {
        "lognormal": np.exp(rng.normal(size=300)),
        "normal": rng.normal(size=300),
        "rare": rng.poisson(3, 300) * (rng.random(300) < 0.3).astype(float),
    }[name]
    standard = (values - values.mean()) / values.std()
    shape = Shape(values, np.ones(300))
    sums = Sums.of(shape, np.array([[1 / n, 0.005]]), np.array([[1 / n**2, -(0.005**2)]]))
    drawn = standard[rng.integers(0, 300, (40_000, n))].mean(axis=1)
    drawn = drawn - standard[rng.integers(0, 300, (40_000, 200))].mean(axis=1)
    for score, chance in ((1.96, 0.025), (2.8, 0.00256)):
        above = float((drawn > sums.quantiles(np.array([score]))[0]).mean())
        assert above == pytest.approx(chance, rel=0.25, abs=0.001)
    x = np.array([float(np.quantile(drawn, 0.9))])
    assert sums.quantiles(sums.scores(x)) == pytest.approx(x, rel=1e-6)


def test_shrinking_by_hand() -> None:
    """With a known spread of people, the share is tau2 / (tau2 + v)."""
    rng = np.random.default_rng(0)
    true = rng.normal(10, 2, 4000)
    variances = rng.choice([1.0, 4.0], 4000)
    means = true + rng.normal(size=4000) * np.sqrt(variances)
    shrunk, error = shrink(means, variances)
    share = 4 / (4 + variances)
    assert shrunk == pytest.approx(share * means + (1 - share) * 10, abs=0.3)
    assert error == pytest.approx(np.sqrt(share * variances), rel=0.05)
    assert np.mean(np.abs(shrunk - true) < 1.96 * error) == pytest.approx(0.95, abs=0.012)
