"""Statistics of anybody's two tables: who is in which video, and what the videos achieved.

    from face_registry.statistics import performance

    table = performance(appearances, videos, "ROAS", weight="Spend")

Pure functions of DataFrames and numbers; no registry is needed. `docs/METRICS.md` defines them.
"""

from queries.statistics.means import (
    geometric_mean,
    total,
    trimmed_mean,
    weighted_mean,
    weighted_median,
)
from queries.statistics.performance import performance

__all__ = [
    "geometric_mean",
    "performance",
    "total",
    "trimmed_mean",
    "weighted_mean",
    "weighted_median",
]
