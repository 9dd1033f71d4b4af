"""Shrunk means: empirical Bayes over people with unequal numbers of videos. Pure.

    mean of a person ~ N(theta, v),   theta ~ N(mu, tau2)

(Fay and Herriot 1979). tau is not set to one value: the result is averaged over a grid with the
restricted likelihood as weight and a flat prior on tau (Morris 1983; Gelman 2006), so that an
estimate of 0 does not make everybody equal and certain.
"""

from __future__ import annotations

import numpy as np

from queries.statistics.observations import Floats

_GRID = 60


def shrink(means: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """Shrunk means and their standard errors.

    Args:
        means: float64, one for each person.
        variances: of each mean as an estimate, above 0; `inf` for a person without a value, whose
            shrunk mean is the mean of all.

    Returns:
        Two arrays like `means`. With fewer than three people nothing is known of how people differ;
        the mean of all then has no weight, and means stay as they are.
    """
    known = np.isfinite(variances)
    if known.sum() < 3:
        return np.where(known, means, np.nan), np.sqrt(np.where(known, variances, np.nan))
    y, v = means[known], variances[known]
    spread = max(float(np.sqrt(np.var(y, ddof=1))), float(np.sqrt(v.min())), 1e-12)
    grid = spread * np.r_[0, np.geomspace(0.02, 8, _GRID - 1)]
    precision = 1 / (grid[:, None] ** 2 + v)
    information = precision.sum(axis=1)
    middle = (precision @ y) / information
    misfit = (precision * (y - middle[:, None]) ** 2).sum(axis=1)
    log = -(np.log(1 / precision).sum(axis=1) + np.log(information) + misfit) / 2
    weight = np.exp(log - log.max()) * np.gradient(grid)
    weight /= weight.sum()
    value = np.where(known, means, 0.0)
    noise = np.where(known, variances, 1.0)
    share = known * grid[:, None] ** 2 / (grid[:, None] ** 2 + noise)
    theta = share * value + (1 - share) * middle[:, None]
    within = np.where(known, share * noise, grid[:, None] ** 2)  # variance of theta, given tau, mu
    within = within + (1 - share) ** 2 / information[:, None]
    mean = weight @ theta
    return mean, np.sqrt(np.maximum(weight @ (within + theta**2) - mean**2, 0))
