"""The pairs of a page: people who are in the same videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from queries.page import marks
from queries.page.contents import PairRow
from queries.page.wording import decimals, signed
from queries.pairs import pairs
from queries.selections import Selection
from registry.core.registry import Registry
from registry.terminal import short

MOST = 50
"""Pairs of a page, those with most videos in common."""
_LEAST_VIDEOS = 2


@dataclass(frozen=True, slots=True)
class PairRows:
    """The table of pairs."""

    rows: tuple[PairRow, ...]
    axis: marks.Axis | None
    note: str
    """Which pairs are listed, or why there are none."""


def pair_rows(
    registry: Registry,
    selection: Selection,
    *,
    metric: str,
    weight: str,
    provisional: bool,
    stills: bool,
    keys: Mapping[str, str],
    labels: Mapping[str, str],
    as_of: int | None,
) -> PairRows:
    """The people of a page who are together in two videos or more.

    Args:
        registry: an open registry.
        selection: which videos count.
        metric: the page's.
        weight: as for `queries.report.report`.
        provisional: whether provisional identities have pairs, too.
        stills: as for `queries.report.report`.
        keys: of the people on the page, by identity.
        labels: of everybody, by identity.
        as_of: if given, there are no pairs: they are known for the current state only.
    """
    if as_of is not None:
        return PairRows((), None, "Pairs are not given in a page as of an earlier decision.")
    table = pairs(
        registry,
        metric=metric,
        weight=weight,
        selection=selection,
        min_videos=_LEAST_VIDEOS,
        top=MOST,
        provisional=provisional,
        stills=stills,
    ).table
    if table.empty:
        return PairRows((), None, "No two people are together in two videos or more.")
    found = table.to_dict(orient="records")
    axis = marks.axis_of_differences(
        [(row["difference"], row["low"], row["high"]) for row in found], ratios=False
    )
    rows = []
    for row in found:
        low, middle, high = row["low"], row["difference"], row["high"]
        digits = decimals((high - low) / 2)
        known = row["verdict"] != "too few"
        difference = signed(middle, digits, False) if known else ""
        interval = f"{signed(low, digits, False)} to {signed(high, digits, False)}" if known else ""
        rows.append(
            PairRow(
                first=keys.get(row["first"], ""),
                second=keys.get(row["second"], ""),
                first_label=labels.get(row["first"], short(row["first"])),
                second_label=labels.get(row["second"], short(row["second"])),
                videos=row["videos"],
                seconds=row["seconds"],
                means=tuple(
                    (row[f"mean_{which}"], row[f"n_{which}"])
                    for which in ("together", "first_alone", "second_alone")
                ),
                verdict=row["verdict"],
                difference=difference,
                interval=interval,
                forest=marks.forest(
                    axis, middle, low, high, row["verdict"],
                    f"difference {difference}, likely {interval}",
                ),
            )
        )  # fmt: skip
    more = f" The {MOST} pairs with most videos in common." if len(found) == MOST else ""
    return PairRows(
        tuple(rows), axis, f"Pairs with {_LEAST_VIDEOS} videos in common or more.{more}"
    )
