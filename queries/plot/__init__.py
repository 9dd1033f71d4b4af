"""Charts of the tables that reports and frames give. Pure.

Each function takes DataFrames and returns an Altair chart: a notebook shows it, and
`chart.save("chart.svg")`, `.png` or `.html` writes it. Axes are in the unit of the metric.
"""

from queries.plot.forest import pairs, ranking
from queries.plot.videos import distribution, over_time, timeline

__all__ = ["distribution", "over_time", "pairs", "ranking", "timeline"]
