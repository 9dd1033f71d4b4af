"""Attributes of videos as covariates: categories, numbers and dates. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from queries.statistics.observations import Floats, Integers
from registry.errors import UsageError


def covariates(videos: pd.DataFrame, adjust: Sequence[str], rows: Integers) -> Floats:
    """The columns of the model for these attributes, the constant first.

    Numbers (also as text) and dates (also as ISO 8601 text) enter linearly. Everything else is a
    category, with one column for each value but the first. A blank is a category of its own; beside
    numbers and dates it also stands for their mean.

    Raises:
        UsageError: there is no such column, or it has so many categories that it leaves fewer than
            two videos for each.
    """
    columns = [np.ones(len(rows))]
    for name in adjust:
        if name not in videos.columns:
            listed = ", ".join(str(column) for column in videos.columns)
            raise UsageError(
                f"The table of videos has no column {name!r} to adjust for. Its columns are: "
                f"{listed}."
            )
        columns += _coded(videos[name].iloc[rows], name)
    return np.column_stack(columns)


def _coded(values: pd.Series, name: str) -> list[Floats]:
    blank = values.isna().to_numpy()
    marks = [blank.astype(np.float64)] if blank.any() and not blank.all() else []
    if blank.all():
        return []
    numbers = _numbers(values[~blank])
    if numbers is not None:
        if not np.isfinite(numbers).all():
            raise UsageError(f"The attribute {name!r} has an infinite value. Correct it first.")
        column = np.zeros(len(values))
        spread = numbers.std()
        if spread <= 0:
            return marks
        column[~blank] = (numbers - numbers.mean()) / spread
        return [column, *marks]
    codes, found = pd.factorize(values.astype(str).where(~values.isna()))
    if len(found) > max(len(values) / 2, 1):
        raise UsageError(
            f"The attribute {name!r} has {len(found)} values in {len(values)} videos, so adjusting "
            "for it leaves nothing to compare. Choose an attribute that groups videos."
        )
    return [(codes == code).astype(np.float64) for code in range(1, len(found))] + marks


def _numbers(values: pd.Series) -> Floats | None:
    """As numbers, where all of them are numbers or dates."""
    if pd.api.types.is_bool_dtype(values.dtype) or isinstance(values.dtype, pd.CategoricalDtype):
        return None
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(np.float64)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return _days(pd.to_datetime(values, utc=True))
    text = values.astype(str)
    number = pd.to_numeric(text, errors="coerce")
    if number.notna().all():
        return number.to_numpy(np.float64)
    try:
        dates = pd.to_datetime(text, format="ISO8601", utc=True)
    except (ValueError, OverflowError):
        return None
    return _days(dates)


def _days(dates: pd.Series) -> Floats:
    elapsed = dates - dates.min()
    return np.asarray(elapsed.dt.total_seconds() / 86_400, np.float64)
