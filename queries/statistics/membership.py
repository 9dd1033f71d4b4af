"""Multiple membership: the value of a video is the sum of the contributions of its people.

    y = X b + Z u + e,   u ~ N(0, r s2),   e ~ N(0, s2 / precision)

Z is the incidence of videos and people, so that a video with three people has three contributions.
The ratio r is chosen by restricted maximum likelihood (Patterson and Thompson 1971), and the
predicted u are those of ridge regression with the penalty 1 / r (Henderson 1975). With the columns
of X projected out, all that REML needs is the spectrum of A = Z'MZ and b = Z'My:

    -2 log L(r) = d log(q(r) / d) + log det(I + r A),   q(r) = y'My - r b'(I + r A)^-1 b

with d = videos - rank(X). Up to `DENSE` people the spectrum is computed. Beyond that, it is
estimated with Lanczos quadrature from fixed random vectors (Ubaru, Chen and Saad 2017), and the
diagonal of the inverse from each person and their direct neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize, sparse, special
from scipy.sparse.linalg import LinearOperator, cg

from queries.statistics.observations import Floats

DENSE = 1200
"""Number of people up to which everything is exact: the eigenvectors take 0.5 s at most."""
_PROBES, _STEPS = 12, 40
_GRID = 41
_FEW = 7


@dataclass(frozen=True, slots=True)
class Membership:
    """A fitted model. Everything in the units of y."""

    effects: Floats
    """The predicted contribution of each person, shrunk towards 0."""
    deviations: Floats
    """Standard error of each, which includes that the ratio is uncertain."""
    fitted: Floats
    """X b + Z u, of each video."""
    ratio: float
    """Variance between people, as a multiple of the residual variance."""
    residual_variance: float
    """Of a video with precision 1."""
    evidence: float
    """How much the deviance falls from a ratio of 0, where people do not differ, to this one."""
    freedom: float
    """Degrees of freedom of the residuals: videos, less the effective number of parameters."""


def orthonormal(covariates: Floats, precision: Floats) -> Floats:
    """An orthonormal basis of the covariates, with videos scaled by the root of the precision."""
    q, r, _ = linalg.qr(covariates * np.sqrt(precision)[:, None], mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    return np.asarray(q[:, size > 1e-9 * size[0]])


def fit(
    incidence: sparse.csr_array, y: Floats, covariates: Floats, precision: Floats
) -> Membership:
    """Fit the model.

    Args:
        incidence: videos x people.
        y: float64, one for each video.
        covariates: videos x columns; one of them, or a sum of them, is constant.
        precision: above 0, one for each video.

    Returns:
        The model. There have to be more videos than columns of independent covariates.
    """
    root = np.sqrt(precision)
    basis = orthonormal(covariates, precision)
    z = sparse.csr_array(incidence * root[:, None])
    scaled = y * root
    residual = scaled - basis @ (basis.T @ scaled)
    d = len(y) - basis.shape[1]
    dense = incidence.shape[1] <= DENSE
    spectrum: _Dense | _Sparse = (_Dense if dense else _Sparse)(z, basis, z.T @ residual)
    square = float(residual @ residual)

    def unexplained(ratio: float) -> float:  # q(r), kept above 0
        return max(square - spectrum.explained(ratio), 1e-12 * square)

    def deviance(ratio: float) -> float:
        return float(d * np.log(unexplained(ratio)) + spectrum.log_determinant(ratio))

    if square <= 0 or d < 2 or not incidence.nnz:
        zeros = np.zeros(incidence.shape[1])
        fitted = (scaled - residual) / root
        return Membership(zeros, zeros, fitted, 0.0, square / max(d, 1), 0.0, max(d, 0))
    unit = incidence.shape[1] / max(spectrum.trace, 1e-12)  # r at which a person is half shrunk
    roots = np.sqrt(unit) * np.r_[0, np.geomspace(0.03, 300, _GRID - 1)]
    deviances = np.array([deviance(root_ratio**2) for root_ratio in roots])
    best = int(deviances.argmin())
    low, high = roots[max(best - 1, 0)], roots[min(best + 1, _GRID - 1)]
    found = optimize.minimize_scalar(
        lambda at: deviance(at * at),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6 * high},
    )
    ratio = float(found.x) ** 2 if found.fun < deviances[0] - 1e-9 else 0.0
    # How uncertain the ratio is: a grid, whose weights are likelihood times prior. The prior of the
    # deviation between people is half-Cauchy with the deviation of y as its scale (Gelman 2006):
    # nearly flat, and it keeps the intervals of two or three people finite.
    left = np.array([unexplained(at) for at in roots**2])
    prior = 1 / (1 + roots**2 * left / square)
    weights = np.exp(-(deviances - deviances.min()) / 2) * prior * np.gradient(roots)
    weights /= weights.sum()
    if not dense:
        cumulative = np.cumsum(weights)
        quantiles = (np.arange(_FEW) + 0.5) / _FEW
        roots, weights = roots[np.searchsorted(cumulative, quantiles)], np.full(_FEW, 1 / _FEW)
    used = weights > 1e-3
    effects = spectrum.effects(ratio)
    mean, second = np.zeros_like(effects), np.zeros_like(effects)
    for at, weight in zip(roots[used] ** 2, weights[used] / weights[used].sum(), strict=True):
        one = spectrum.effects(at)
        noise = unexplained(at) / d
        mean += weight * one
        second += weight * (one**2 + noise * at * spectrum.inverse_diagonal(at))
    deviations = np.sqrt(np.maximum(second - mean**2, 0) + (mean - effects) ** 2)
    rest = scaled - z @ effects
    fitted = (basis @ (basis.T @ rest) + z @ effects) / root
    variance = unexplained(ratio) / d
    evidence = float(deviances[0]) - deviance(ratio)
    freedom = d - spectrum.parameters(ratio)
    return Membership(effects, deviations, fitted, ratio, variance, evidence, max(freedom, 0.0))


def interval(model: Membership, level: float) -> tuple[Floats, Floats]:
    """Ends of the interval of each contribution."""
    margin = float(special.stdtrit(max(model.freedom, 1), (1 + level) / 2)) * model.deviations
    return model.effects - margin, model.effects + margin


class _Dense:
    """The eigenvalues and eigenvectors of A."""

    def __init__(self, z: sparse.csr_array, basis: Floats, b: Floats) -> None:
        shared = z.T @ basis
        a = (z.T @ z).toarray() - shared @ shared.T
        values, self._vectors = linalg.eigh(a, overwrite_a=True, check_finite=False)
        self._values = np.maximum(values, 0)
        self.trace = float(self._values.sum())
        self._turned = self._vectors.T @ b
        self._squares: Floats | None = None

    def log_determinant(self, ratio: float) -> float:
        return float(np.log1p(ratio * self._values).sum())

    def explained(self, ratio: float) -> float:
        return float((ratio * self._turned**2 / (1 + ratio * self._values)).sum())

    def effects(self, ratio: float) -> Floats:
        return np.asarray(self._vectors @ (ratio * self._turned / (1 + ratio * self._values)))

    def inverse_diagonal(self, ratio: float) -> Floats:
        if self._squares is None:
            self._squares = self._vectors**2
        return np.asarray(self._squares @ (1 / (1 + ratio * self._values)))

    def parameters(self, ratio: float) -> float:
        return float((ratio * self._values / (1 + ratio * self._values)).sum())


class _Sparse:
    """A as an operator: Lanczos quadrature, conjugate gradients, and neighbours."""

    def __init__(self, z: sparse.csr_array, basis: Floats, b: Floats) -> None:
        self._shared = z.T @ basis
        self._together = sparse.csr_array(z.T @ z)
        self._b = b
        self._diagonal = self._together.diagonal()
        self.trace = float(self._diagonal.sum() - (self._shared**2).sum())
        size = len(b)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (size, _PROBES))
        self._nodes = [(size / _PROBES, pair) for pair in self._lanczos(signs)]
        self._own = [(float(b @ b), pair) for pair in self._lanczos(b[:, None])]

    def _times(self, x: Floats) -> Floats:
        return np.asarray(self._together @ x - self._shared @ (self._shared.T @ x))

    def _lanczos(self, start: Floats) -> list[tuple[Floats, Floats]]:
        """Nodes and weights of the quadrature of each starting vector, all at once."""
        norms = np.sqrt((start**2).sum(axis=0))
        q = start / np.where(norms > 0, norms, 1)
        previous, beta = np.zeros_like(q), np.zeros(q.shape[1])
        main, off = [], []
        for _ in range(_STEPS):
            step = self._times(q) - beta * previous
            alpha = (q * step).sum(axis=0)
            step -= alpha * q
            beta = np.sqrt((step**2).sum(axis=0))
            main.append(alpha)
            off.append(beta)
            previous, q = q, step / np.where(beta > 1e-12, beta, 1)
        found = []
        for column in range(start.shape[1]):
            a, c = np.array(main)[:, column], np.array(off)[:-1, column]
            values, vectors = linalg.eigh_tridiagonal(a, c)
            found.append((np.maximum(values, 0), vectors[0] ** 2))
        return found

    def _sum(
        self, pairs: list[tuple[float, tuple[Floats, Floats]]], ratio: float, what: str
    ) -> float:
        functions = {
            "log": lambda s: np.log1p(ratio * s),
            "inverse": lambda s: ratio / (1 + ratio * s),
            "share": lambda s: ratio * s / (1 + ratio * s),
        }
        return float(sum(size * (w @ functions[what](s)) for size, (s, w) in pairs))

    def log_determinant(self, ratio: float) -> float:
        return self._sum(self._nodes, ratio, "log")

    def explained(self, ratio: float) -> float:
        return self._sum(self._own, ratio, "inverse")

    def parameters(self, ratio: float) -> float:
        return self._sum(self._nodes, ratio, "share")

    def _solve(self, ratio: float, right: Floats) -> Floats:
        size = len(right)
        operator = LinearOperator((size, size), matvec=lambda x: x + ratio * self._times(x))
        jacobi = 1 / (1 + ratio * self._diagonal)
        inverse = LinearOperator((size, size), matvec=lambda x: jacobi * x)
        return np.asarray(cg(operator, right, rtol=1e-8, maxiter=500, M=inverse)[0])

    def effects(self, ratio: float) -> Floats:
        return ratio * self._solve(ratio, self._b)

    def inverse_diagonal(self, ratio: float) -> Floats:
        """Of each person with their neighbours, whose own links are left out."""
        own = 1 + ratio * self._diagonal
        links = self._together.copy()
        links.setdiag(0)
        links.eliminate_zeros()
        toward = ratio**2 * (links.multiply(links) @ (1 / own))
        toward = np.minimum(toward, 0.9 * own)
        return np.asarray(1 / (own - toward))
