"""From the two tables to arrays: who is in which video, its value, its weight. Checks the input.

A video counts if it has a value of the metric and, where a weight is asked for, a weight above 0.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from registry.errors import UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}
"""What `pandas.api.types.infer_dtype` says of numbers."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The videos that count, and the people in them."""

    people: tuple[Hashable, ...]
    """As `appearances` names them, in the order of their first row. Some may be in no video."""
    incidence: sparse.csr_array
    """Videos x people, float64: 1 where the person is in the video."""
    values: Floats
    """The metric, one for each video; finite."""
    weights: Floats
    """One for each video, above 0; all 1 without a weight."""
    rows: Integers
    """The row of each video in the table of videos, from 0."""

    @property
    def counts(self) -> Floats:
        """The number of videos of each person."""
        return np.asarray(self.incidence.sum(axis=0), np.float64).ravel()

    @property
    def pairs(self) -> tuple[Integers, Integers]:
        """Video and person of each appearance, sorted by person, then by video."""
        by_person = self.incidence.tocsc()
        lengths = np.diff(by_person.indptr)
        videos = by_person.sorted_indices().indices.astype(np.intp)
        return videos, np.repeat(np.arange(len(lengths), dtype=np.intp), lengths)


def observe(
    appearances: pd.DataFrame, videos: pd.DataFrame, metric: str, weight: str | None
) -> Observations:
    """Check both tables and put them together.

    Raises:
        UsageError: a column is missing or holds what cannot be used, or a video has two rows.
    """
    _require(appearances, ("person", "video"), "appearances")
    _require(videos, ("video", metric, *(() if weight is None else (weight,))), "videos")
    if metric == "video" or weight == "video":
        raise UsageError("The column 'video' names the videos. Choose another metric or weight.")
    _complete(appearances, "person", "appearances")
    _complete(appearances, "video", "appearances")
    _complete(videos, "video", "videos")
    twice = videos["video"][videos["video"].duplicated()]
    if len(twice):
        raise UsageError(
            f"The table of videos has more than one row for {twice.iloc[0]!r}"
            f"{f' and {len(twice) - 1} others' if len(twice) > 1 else ''}. Combine them first, so "
            "that each video has one row."
        )
    values = numbers(videos, metric, "metric")
    weights = np.ones(len(videos)) if weight is None else numbers(videos, weight, "weight")
    if (weights < 0).any():
        worst = videos["video"].iloc[int(np.nanargmin(weights))]
        raise UsageError(
            f"The weight {weight!r} of video {worst!r} is negative. Weights are amounts, such as "
            "views or spend: correct it or leave the video out."
        )
    rows = np.flatnonzero(np.isfinite(values) & (weights > 0))
    person, people = pd.factorize(appearances["person"])
    place = pd.Index(videos["video"]).get_indexer(pd.Index(appearances["video"]))
    if len(appearances) and len(videos) and (place < 0).all():
        raise UsageError(
            f"No video of the appearances (the first is {appearances['video'].iloc[0]!r}) is in "
            f"the table of videos (the first is {videos['video'].iloc[0]!r}). Name videos in the "
            "same way, and with the same type, in both."
        )
    where = np.full(len(videos), -1)
    where[rows] = np.arange(len(rows))
    at = np.where(place < 0, -1, where[place]) if len(videos) else place
    kept = at >= 0
    incidence = sparse.csr_array(
        (np.ones(kept.sum()), (at[kept], person[kept])), shape=(len(rows), len(people))
    )
    incidence.sum_duplicates()
    incidence.data[:] = 1.0  # a person who is named twice for a video is in it once
    return Observations(tuple(people), incidence, values[rows], weights[rows], rows)


def numbers(table: pd.DataFrame, column: str, what: str) -> Floats:
    """A column as float64, NaN where there is no value. Raises `UsageError`."""
    if isinstance(table[column], pd.DataFrame):
        raise UsageError(f"The table of videos has two columns {column!r}. Rename one.")
    try:
        if pd.api.types.infer_dtype(table[column], skipna=True) not in _NUMBERS:
            raise ValueError
        found = table[column].astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise UsageError(
            f"The {what} {column!r} does not hold numbers (its type is {table[column].dtype}). "
            "Convert it, for example with pandas.to_numeric."
        ) from None
    if np.isinf(found).any():
        video = table["video"].iloc[int(np.flatnonzero(np.isinf(found))[0])]
        raise UsageError(
            f"The {what} {column!r} of video {video!r} is infinite. Correct it or leave it blank."
        )
    return np.asarray(found, np.float64)


def inseparable(incidence: sparse.csr_array) -> list[list[int]]:
    """For each person, the other people who are in exactly the same videos."""
    by_person = incidence.tocsc().sorted_indices()
    groups: dict[bytes, list[int]] = {}
    keys = []
    for person in range(incidence.shape[1]):
        key = by_person.indices[by_person.indptr[person] : by_person.indptr[person + 1]].tobytes()
        keys.append(key)
        groups.setdefault(key, []).append(person)
    return [
        [other for other in groups[key] if other != person] if key else []
        for person, key in enumerate(keys)
    ]


def _require(table: object, columns: tuple[str, ...], what: str) -> None:
    if not isinstance(table, pd.DataFrame):
        raise UsageError(f"The table of {what} is a {type(table).__name__}. Give a DataFrame.")
    for column in columns:
        if column not in table.columns:
            listed = ", ".join(str(name) for name in table.columns)
            raise UsageError(
                f"The table of {what} has no column {column!r}. Its columns are: {listed}."
            )


def _complete(table: pd.DataFrame, column: str, what: str) -> None:
    blank = int(table[column].isna().sum())
    if blank:
        raise UsageError(
            f"{blank} rows of the table of {what} have no {column}. Fill them in or leave them out."
        )
