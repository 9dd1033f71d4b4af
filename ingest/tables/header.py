"""Finds the header of a table: the first row that has the named columns.

Names are compared as written, except for surrounding white space and invisible characters. If no
column has the name, case and white space are ignored; two columns that match only then are a usage
error.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.tables.cells import header_text, looks_like_url
from ingest.tables.sheet import Row
from ingest.tables.specs import MetricSpec, likely_spec, parse_spec
from registry.errors import SourceError, UsageError
from registry.urls import printable

_SHOWN = 20
_SAMPLE = 200
"""Rows whose cells are searched for URLs."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header row of a table, and the positions of the named columns."""

    row: int
    columns: tuple[str, ...]
    """Names, without white space around them; `""` for a blank one."""
    url: int
    """Position of the URL column."""
    specs: tuple[MetricSpec, ...]
    places: Mapping[str, int]
    """Positions of metric and weight columns, by their names in the specs."""
    absent: tuple[str, ...] = ()
    """Requested metrics that have no column."""


def find_header(
    source: str,
    rows: Sequence[Row],
    url_column: str,
    metrics: Sequence[str],
    *,
    partial: bool = False,
) -> Header | None:
    """The first row that has all named columns; None if none does.

    With `partial`, a row is taken for the header if it has the URL column and one of the metrics.
    Raises `UsageError` if names match several columns loosely or a spec has several readings, and
    `SourceError` if two columns have just the name that was asked for.
    """
    for row, cells in rows:
        names = tuple(header_text(cell) for cell in cells)
        heading = _Headings(names)
        specs = [parse_spec(header_text(text), heading.has) for text in metrics]
        fitting = [spec for spec in specs if spec is not None]
        absent = [text for text, spec in zip(metrics, specs, strict=True) if spec is None]
        if not heading.has(url_column) or (absent if not partial else not fitting):
            continue
        required = [name for spec in fitting for name in (spec.name, spec.weight) if name]
        return Header(
            row,
            names,
            heading.place(source, url_column),
            tuple(fitting),
            {name: heading.place(source, name) for name in required},
            tuple(absent),
        )
    return None


class _Headings:
    """The names in a row, as written and in loose form (`loose`)."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._exact = _places(names)
        self._loose = _places([loose(name) for name in names])

    def has(self, name: str) -> bool:
        return header_text(name) in self._exact or loose(name) in self._loose

    def place(self, source: str, name: str) -> int:
        exact = self._exact.get(header_text(name), [])
        if len(exact) > 1:
            raise SourceError(
                f'{source} has {len(exact)} columns named "{printable(name)}". '
                "Rename all but the right one."
            )
        places = exact or self._loose[loose(name)]
        if len(places) > 1:
            alike = " and ".join(f'"{printable(self._names[place])}"' for place in places)
            raise UsageError(
                f'{source} has no column with the exact name "{printable(name)}", and {alike} '
                "differ from it only in case and space. Give the exact name of one of them."
            )
        return places[0]


def _places(names: Sequence[str]) -> Mapping[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name:
            places.setdefault(name, []).append(place)
    return places


def loose(name: str) -> str:
    """A name without case and white space."""
    return "".join(header_text(name).split()).casefold()


def missing(
    source: str, rows: Sequence[Row], url_column: str, metrics: Sequence[str]
) -> SourceError:
    """The error for a table without a row that has all named columns."""
    if not rows:
        return SourceError(f"{source} is empty. A header and one row for each video are expected.")
    place = _likely_header(rows, url_column, metrics)
    columns = [header_text(cell) for cell in rows[place][1]]
    heading = _Headings(columns)
    named = [name for name in columns if name]
    shown = ", ".join(f'"{printable(name)}"' for name in named[:_SHOWN])
    more = ", …" if len(named) > _SHOWN else ""
    lacking = [] if heading.has(url_column) else [url_column]
    for text in metrics:
        if parse_spec(header_text(text), heading.has) is None:
            spec = likely_spec(header_text(text))
            lacking += [name for name in (spec.name, spec.weight) if name and not heading.has(name)]
    lacking = list(dict.fromkeys(lacking))
    hints = [hint for name in lacking if (hint := _hint(name, named))]
    if not heading.has(url_column):
        below = [cells for _, cells in rows[place + 1 :][:_SAMPLE]]
        links = [f'--url-column "{printable(name)}"' for name in _link_columns(columns, below)]
        hints.append(
            f"The cells of these columns look like URLs: {' or '.join(links)}."
            if links
            else "No column has cells that look like URLs. Name the column of the videos with "
            '--url-column. If it contains ids, also give the form of the URL: --url-template "https://'
            'www.youtube.com/watch?v={}".'
        )
    if lacking[-1:] != [url_column]:
        hints.append("Name the metrics with --metric.")
    absent = " and no ".join(f'column "{printable(name)}"' for name in lacking)
    message = f"{source} has no {absent}. Its columns are {shown}{more}."
    return SourceError(" ".join([message, *hints]))


def _hint(name: str, columns: Sequence[str]) -> str:
    folded = {column.casefold(): column for column in columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f'Did you mean "{printable(folded[close[0]])}"?' if close else ""


def _likely_header(rows: Sequence[Row], url_column: str, metrics: Sequence[str]) -> int:
    """Position of the row with most of the named columns, then with most filled cells."""
    scores = [_score(cells, url_column, metrics) for _, cells in rows]
    return scores.index(max(scores))


def _score(cells: Sequence[object], url_column: str, metrics: Sequence[str]) -> tuple[int, int]:
    names = [header_text(cell) for cell in cells]
    has = _Headings(names).has
    requested = [url_column, *(likely_spec(header_text(text)).name for text in metrics)]
    return sum(map(has, requested)), sum(map(bool, names))


def closeness(rows: Sequence[Row], url_column: str, metrics: Sequence[str]) -> tuple[int, int]:
    """How well rows match: the most named columns in one row, and the filled cells of that row."""
    return max((_score(cells, url_column, metrics) for _, cells in rows), default=(0, 0))


def _link_columns(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns of which most cells look like URLs."""
    names = []
    for place, name in enumerate(columns):
        cells = [row[place] for row in rows if place < len(row) and row[place] not in (None, "")]
        if name and cells and 2 * sum(map(looks_like_url, cells)) > len(cells):
            names.append(name)
    return names
