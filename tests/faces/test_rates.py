"""Curves from similarity to false-accept rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.faces.rates import Curve, fit, identification_rate, rate, score
from registry.models.curves import CURVES, shipped_curve
from registry.models.entries import CATALOGUE
from tests.support.factories import MODEL

SFACE = CURVES[CATALOGUE["sface"].digest].curve


@given(st.floats(1e-12, 1 - 1e-9))
def test_score_and_rate_are_inverse(far: float) -> None:
    assert rate(score(far)) == pytest.approx(far, rel=1e-6)


@pytest.mark.parametrize("curve", [c.curve for c in CURVES.values()])
@given(st.floats(-1, 1), st.floats(0, 0.5))
def test_a_higher_threshold_accepts_less(curve: Curve, at: float, more: float) -> None:
    assert 0 <= curve.far(at + more) <= curve.far(at) <= 1


@given(st.floats(1e-8, 0.5), st.floats(-2, 2), st.floats(0.5, 2))
def test_the_threshold_of_a_rate_has_that_rate(far: float, shift: float, scale: float) -> None:
    curve = SFACE.moved(shift, scale)
    similarity = curve.similarity(far)
    if -1 < similarity < 1:
        assert curve.far(similarity) == pytest.approx(far, rel=1e-6)


@given(st.floats(-1, 1), st.floats(0.5, 2), st.floats(-0.1, 0.6))
def test_moving_a_curve_moves_the_scores(shift: float, scale: float, at: float) -> None:
    moved = SFACE.moved(shift, scale)
    [before], [after] = SFACE.scores(np.array([at])), moved.scores(np.array([at]))
    assert after == pytest.approx((before - shift) / scale, abs=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.3), st.floats(-0.2, 0.4))
def test_a_fitted_curve_finds_a_normal_again(seed: int, spread: float, mean: float) -> None:
    curve = fit(np.random.default_rng(seed).normal(mean, spread, 20_000))
    for far in (0.5, 0.1, 0.01, 1e-4, 1e-6):
        expected = mean + spread * score(far)
        assert curve.similarity(far) == pytest.approx(np.clip(expected, -1, 1), abs=0.6 * spread)


def test_weights_count_as_repetitions() -> None:
    x = np.random.default_rng(0).normal(0.1, 0.1, 500)
    twice = fit(np.concatenate([x, x[:100]]))
    weighted = fit(x, np.r_[np.full(100, 2.0), np.ones(400)])
    for far in (0.3, 0.05, 1e-4):
        assert weighted.similarity(far) == pytest.approx(twice.similarity(far), abs=0.01)


def test_equal_similarities_still_give_a_curve() -> None:
    assert fit(np.full(200, 0.25)).far(0.5) < 1e-6


@pytest.mark.parametrize(
    "knots",
    [((0.1, 0.5),), ((0.1, 0.5), (0.2, 0.5)), ((0.2, 0.5), (0.1, 0.1)), ((0.1, 0.5), (0.2, 0.0))],
)
def test_what_is_no_curve_is_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="a curve needs"):
        Curve(knots)


def test_the_shipped_thresholds_have_the_rates_that_are_stated() -> None:
    assert SFACE.far(0.40) == pytest.approx(1.1e-4, rel=0.05)
    assert SFACE.far(0.38) == pytest.approx(2.9e-4, rel=0.05)
    assert shipped_curve(MODEL).measured is False
    assert CURVES[CATALOGUE["buffalo_l"].digest].curve.far(0.4078) == pytest.approx(1e-6, rel=1e-3)
    assert not CURVES[CATALOGUE["buffalo_l"].digest].measured


@given(st.floats(1e-9, 0.2), st.integers(1, 10_000))
def test_a_larger_gallery_names_strangers_more_often(far: float, n: int) -> None:
    fpir = identification_rate(far, n)
    assert far * (1 - 1e-9) <= fpir <= min(1.0, n * far * (1 + 1e-9))
    assert identification_rate(far, n + 1) >= fpir
