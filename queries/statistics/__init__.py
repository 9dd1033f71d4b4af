"""Statistics of two tables: who is in which video, and what the videos achieved. Pure."""

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
