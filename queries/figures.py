"""Numbers of statistics as text. Pure."""

from __future__ import annotations

import math


def interval(middle: float, low: float, high: float) -> str:
    """`+1.2 (0.3 to 2.1)`; `-` for NaN."""
    if math.isnan(middle):
        return "-"
    return f"{'+' if middle > 0 else ''}{figure(middle)} ({figure(low)} to {figure(high)})"


def figure(value: float) -> str:
    """A number with three significant digits, or all before the point; `-` for NaN."""
    if math.isnan(value):
        return "-"
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    if size < 1e-4:
        return f"{value:.1e}"
    return f"{value:.{2 - math.floor(math.log10(size))}f}"
