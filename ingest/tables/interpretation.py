"""Turns the rows below a header into a `Table`: videos, numbers, attributes, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ingest.tables.cells import attribute_column
from ingest.tables.columns import Decision, ScannedColumn, decide, scan
from ingest.tables.conversion import NumberColumn, UnitPlan, convert, plan_unit
from ingest.tables.header import Header, loose
from ingest.tables.locations import Locator
from ingest.tables.questions import Question, QuestionError
from ingest.tables.sheet import Sheet
from ingest.tables.specs import check_specs
from ingest.tables.table import (
    Detected,
    Table,
    TableOptions,
    Value,
)
from ingest.tables.units import parse_unit
from ingest.tables.videos import SHOWN, Body, RowReader, combined
from registry.errors import UsageError
from registry.urls import printable


def interpret(
    source: str,
    sheet: Sheet,
    header: Header,
    body: Body,
    options: TableOptions,
    base: Path | None,
) -> Table:
    """Turn the rows below a header into a table.

    Raises `QuestionError` if numbers can be read in several ways, and `UsageError` if a column is
    named twice.
    """
    _check(header)
    numbers = _numbers(source, header, body, options)
    attributes = _attributes(header, body)
    locator = Locator(
        base, allow_local_files=options.allow_local_files, template=options.url_template
    )
    total = len(body.rows) + len(body.failures)
    reader = RowReader(header, numbers, attributes)
    rows = list(reader.video_rows(body, locator))
    videos = combined(rows, header.specs, body)
    _warn_of_unreadable_cells(reader, body)
    if videos:
        _report_columns(header, numbers, body)
    return Table(
        rows=tuple(videos),
        failures=tuple(sorted(body.failures, key=lambda failure: failure.row)),
        warnings=tuple(body.warnings),
        total=total,
        metrics=header.specs,
        units={
            spec.name: numbers[spec.name].unit
            for spec in header.specs
            if any(value is not None for value in numbers[spec.name].values)
        },
        attributes=tuple(attributes),
        unreadable=tuple(reader.unreadable),
        skipped=tuple(body.skipped),
        notes=tuple(body.notes),
        detected=Detected(
            form=sheet.form,
            encoding=sheet.encoding,
            separator=sheet.separator,
            sheet=sheet.name,
            header_row=header.row,
            columns=header.columns,
            url_column=header.columns[header.url],
            metric_columns={
                spec.name: header.columns[header.places[spec.name]] for spec in header.specs
            },
            decimals={name: column.decimal for name, column in numbers.items()},
        ),
    )


def _check(header: Header) -> None:
    check_specs(header.specs)
    places = [header.places[spec.name] for spec in header.specs]
    for spec, place in zip(header.specs, places, strict=True):
        if place == header.url:
            raise UsageError(
                f"'{printable(spec.name)}' cannot be both the URL column and a metric. Name "
                "another column."
            )
        if places.count(place) > 1:
            raise UsageError(
                f'"{printable(header.columns[place])}" is named twice as a metric. Name it once.'
            )


def _numbers(
    source: str, header: Header, body: Body, options: TableOptions
) -> Mapping[str, NumberColumn]:
    """Every metric and weight column, by its name in the metric specs."""
    row_numbers = [row for row, _ in body.rows]

    @cache
    def scanned(place: int) -> ScannedColumn:
        return scan(header.columns[place], [cells[place] for _, cells in body.rows])

    def others() -> Iterator[ScannedColumn]:
        return (scanned(place) for place in range(len(header.columns)) if place != header.url)

    requested = {loose(name): parse_unit(unit) for name, unit in options.units.items()}
    recorded = {loose(name): unit for name, unit in options.known_units.items()}
    columns: dict[str, NumberColumn] = {}
    questions: list[Question] = []
    for name, place in header.places.items():
        column = replace(scanned(place), name=name)
        decision = decide(column, row_numbers, options.decimal, others)
        if isinstance(decision, Question):
            questions.append(decision)
            continue
        plan = plan_unit(
            column,
            row_numbers,
            decision.sign,
            recorded.get(loose(name)),
            requested.get(loose(name)),
        )
        if isinstance(plan, Question):
            questions.append(plan)
            continue
        columns[name] = convert(column, decision.sign, plan)
        _report_decision(name, decision, plan, body)
    if questions:
        raise QuestionError(source, questions)
    return columns


def _report_decision(name: str, decision: Decision, plan: UnitPlan, body: Body) -> None:
    if decision.by:
        word = "comma" if decision.sign == "," else "dot"
        body.notes.append(
            f'"{printable(name)}" was read with a decimal {word}, as {decision.by} shows.'
        )
    if plan.note:
        body.warnings.append(plan.note)


def _attributes(header: Header, body: Body) -> Mapping[str, Sequence[Value | None]]:
    """Every column that is neither the URL nor a metric, by a unique name."""
    taken = {header.url, *(header.places[spec.name] for spec in header.specs)}
    columns: dict[str, Sequence[Value | None]] = {}
    for place, name in enumerate(header.columns):
        if place in taken:
            continue
        values = attribute_column([cells[place] for _, cells in body.rows])
        if not name and all(value is None for value in values):
            continue
        plain = name or f"Column {place + 1}"
        unique, count = plain, 1
        while unique in columns:
            count += 1
            unique = f"{plain} ({count})"
        columns[unique] = values
    return columns


def _warn_of_unreadable_cells(reader: RowReader, body: Body) -> None:
    cells = reader.unreadable
    body.warnings += [f"{cell} The metric is left empty." for cell in cells[:SHOWN]]
    if len(cells) > SHOWN:
        body.warnings.append(f"{len(cells) - SHOWN} more cells cannot be read.")
    for name, rows in reader.weightless.items():
        listed = ", ".join(map(str, rows[:SHOWN])) + (", …" if len(rows) > SHOWN else "")
        body.warnings.append(
            f"{len(rows)} rows have a value of {printable(name)} but no weight (rows {listed}). "
            "They are left out of the mean; a video without other rows keeps its value."
        )


def _report_columns(header: Header, numbers: Mapping[str, NumberColumn], body: Body) -> None:
    for spec in header.specs:
        column = numbers[spec.name]
        if all(value is None for value in column.values) and not column.unreadable:
            body.warnings.append(f'No row has a value in column "{printable(spec.name)}".')
        if column.bounds:
            count = f"{column.bounds} cells" if column.bounds > 1 else "1 cell"
            body.notes.append(
                f'"{printable(spec.name)}": {count} without a value, because a cell such '
                "as < 10% only bounds it."
            )
