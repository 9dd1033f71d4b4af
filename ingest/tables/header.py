"""The header of a table: the first row that has the named columns.

A name is looked for as it is written, white space and invisible characters aside. If no column is
called so, upper and lower case and white space do not count; two columns that match only then are a
usage error.
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
"""Rows whose cells are looked at for URLs."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header row of a table, with every named column found."""

    row: int
    columns: tuple[str, ...]
    """Names, without white space around them; `""` for a blank one."""
    url: int
    """Place of the URL column."""
    specs: tuple[MetricSpec, ...]
    places: Mapping[str, int]
    """Of metric and weight columns, by the name that was asked for."""
    absent: tuple[str, ...] = ()
    """Metrics that were asked for and have no column."""


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
        found = _Columns(names)
        specs = [parse_spec(header_text(text), found.has) for text in metrics]
        fitting = [spec for spec in specs if spec is not None]
        absent = [text for text, spec in zip(metrics, specs, strict=True) if spec is None]
        if not found.has(url_column) or (absent if not partial else not fitting):
            continue
        wanted = [name for spec in fitting for name in (spec.name, spec.weight) if name]
        return Header(
            row,
            names,
            found.place(source, url_column),
            tuple(fitting),
            {name: found.place(source, name) for name in wanted},
            tuple(absent),
        )
    return None


class _Columns:
    """The names of a row, by how they are written and by what is left without case and space."""

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
                f'{source} has {len(exact)} columns named "{printable(name)}"; '
                "rename all but the one that is meant."
            )
        places = exact or self._loose[loose(name)]
        if len(places) > 1:
            found = " and ".join(f'"{printable(self._names[place])}"' for place in places)
            raise UsageError(
                f'{source} has no column that is called just "{printable(name)}", and {found} '
                "differ from it only in case and space; name one of them as it is written."
            )
        return places[0]


def _places(names: Sequence[str]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name:
            found.setdefault(name, []).append(place)
    return found


def loose(name: str) -> str:
    """A name without what does not count where no column is called just so."""
    return "".join(header_text(name).split()).casefold()


def missing(
    source: str, rows: Sequence[Row], url_column: str, metrics: Sequence[str]
) -> SourceError:
    """What to say of a table without a row that has all named columns."""
    if not rows:
        return SourceError(f"{source} is empty; a header and one row for each video are expected.")
    place = _likely_header(rows, url_column, metrics)
    columns = [header_text(cell) for cell in rows[place][1]]
    found = _Columns(columns)
    named = [name for name in columns if name]
    shown = ", ".join(f'"{printable(name)}"' for name in named[:_SHOWN])
    more = ", …" if len(named) > _SHOWN else ""
    lacking = [] if found.has(url_column) else [url_column]
    for text in metrics:
        if parse_spec(header_text(text), found.has) is None:
            spec = likely_spec(header_text(text))
            lacking += [name for name in (spec.name, spec.weight) if name and not found.has(name)]
    lacking = list(dict.fromkeys(lacking))
    hints = [hint for name in lacking if (hint := _hint(name, named))]
    if not found.has(url_column):
        below = [cells for _, cells in rows[place + 1 :][:_SAMPLE]]
        links = [f'--url-column "{printable(name)}"' for name in _link_columns(columns, below)]
        hints.append(
            f"The cells of these columns look like URLs: {' or '.join(links)}."
            if links
            else "No column has cells that look like URLs. Name the column of the videos with "
            '--url-column; if it holds ids, also say what URL they make: --url-template "https://'
            'www.youtube.com/watch?v={}".'
        )
    if lacking[-1:] != [url_column]:
        hints.append("Metrics are named with --metric.")
    absent = " and no ".join(f'column "{printable(name)}"' for name in lacking)
    said = " ".join([f"{source} has no {absent}; its columns are {shown}{more}.", *hints])
    return SourceError(said)


def _hint(name: str, columns: Sequence[str]) -> str:
    folded = {column.casefold(): column for column in columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f'Did you mean "{printable(folded[close[0]])}"?' if close else ""


def _likely_header(rows: Sequence[Row], url_column: str, metrics: Sequence[str]) -> int:
    """The row with most of the named columns; of several, the first that fills most cells."""
    scores = [_score(cells, url_column, metrics) for _, cells in rows]
    return scores.index(max(scores))


def _score(cells: Sequence[object], url_column: str, metrics: Sequence[str]) -> tuple[int, int]:
    names = [header_text(cell) for cell in cells]
    has = _Columns(names).has
    wanted = [url_column, *(likely_spec(header_text(text)).name for text in metrics)]
    return sum(map(has, wanted)), sum(map(bool, names))


def closeness(rows: Sequence[Row], url_column: str, metrics: Sequence[str]) -> tuple[int, int]:
    """How near rows come to having the named columns: how many, and how many cells in that row."""
    return max((_score(cells, url_column, metrics) for _, cells in rows), default=(0, 0))


def _link_columns(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Columns of which most cells look like URLs."""
    found = []
    for place, name in enumerate(columns):
        cells = [row[place] for row in rows if place < len(row) and row[place] not in (None, "")]
        if name and cells and 2 * sum(map(looks_like_url, cells)) > len(cells):
            found.append(name)
    return found
