"""Statistics of two tables: who is in which video, and what the videos achieved. Pure.

This module imports nothing, so that the columns are known without SciPy, which takes 0.6 s.
`face_registry.statistics` has the public functions.
"""

COLUMNS = (
    "person",
    "n",
    "mean",
    "total",
    "difference",
    "low",
    "high",
    "p",
    "q",
    "verdict",
    "shrunk",
    "shrunk_low",
    "shrunk_high",
    "shared_credit",
    "shared_low",
    "shared_high",
    "adjusted",
    "inseparable_from",
)
"""Of the table that `performance` returns, in order."""
