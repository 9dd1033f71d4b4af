"""Decides the unit of a column of numbers, and converts its cells to that unit.

Numbers in different units are never averaged together. `%`, `‰` and plain ratios convert into each
other, but a number without a unit may be a ratio or may have lost its per cent sign. If a column
has both kinds, or differs in kind from the registry, the user is asked, and answers with
`--unit "COLUMN=%"` or `--unit "COLUMN=plain"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ingest.tables.columns import ScannedColumn, Unreadable
from ingest.tables.numbers import DecimalSign, NoValue, Reading
from ingest.tables.questions import Choice, Example, Question
from ingest.tables.units import (
    PER_MILLE,
    PERCENT,
    PLAIN,
    RATIOS,
    SECONDS,
    format_unit,
    is_money,
    meanings,
    same_money,
)
from registry.urls import printable

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """How the numbers of a column are converted to one unit."""

    unit: str
    """The unit after conversion: `""` (plain), `%`, `‰`, `s`, or a currency (ISO 4217 or sign)."""
    factors: Mapping[str, Decimal]
    """By the unit of the cell; units without an entry have the factor 1."""
    note: str = ""
    """A warning for the user; empty if there is none."""


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of numbers in one unit."""

    name: str
    values: tuple[float | None, ...]
    """One for each row; None: no value, or unreadable."""
    unit: str
    decimal: DecimalSign
    """`""`: no cell needed one."""
    unreadable: Mapping[int, Unreadable]
    """By position in `values`."""
    bounds: int
    """Cells such as `< 10%`, which have no value."""


def plan_unit(
    column: ScannedColumn,
    rows: Sequence[int],
    sign: DecimalSign,
    recorded: str | None,
    requested: str | None,
) -> UnitPlan | Question:
    """Decide the unit of a column, or ask for it.

    Args:
        column: the column.
        rows: the number of each row.
        sign: its decimal sign.
        recorded: the unit that the metric has on record; None if it has none yet.
        requested: the unit given with `--unit`; None if none was given.
    """
    first = dict(_units(column, sign))
    units = set(first) | ({recorded} if recorded is not None else set())
    if len(units) <= 1:
        unit = next(iter(units), PLAIN)
        return UnitPlan(requested if requested and unit == PLAIN and recorded is None else unit, {})
    if units <= {PERCENT, PER_MILLE} or (units <= RATIOS.keys() and requested in RATIOS):
        return _ratios(recorded, requested)
    if units == {PLAIN, SECONDS} and requested == SECONDS:
        return UnitPlan(SECONDS, {})
    if all(is_money(unit) for unit in units - {PLAIN}):
        currency = same_money(units - {PLAIN}, requested or PLAIN)
        if currency is not None:
            return UnitPlan(currency, {}, _bare_amounts(column.name, rows, first, currency))
    return _question(column, rows, sign, recorded, first)


def _ratios(recorded: str | None, requested: str | None) -> UnitPlan:
    """Per cent, per mille and plain numbers; the plain ones have the requested unit."""
    bare = requested or PLAIN
    scale = {unit: RATIOS[bare] if unit == PLAIN else RATIOS[unit] for unit in RATIOS}
    unit = recorded if recorded is not None else requested if requested is not None else PERCENT
    return UnitPlan(unit, {each: scale[each] / scale[unit] for each in scale})


def _units(column: ScannedColumn, sign: DecimalSign) -> Iterator[tuple[str, int]]:
    """Each unit and the position of its first cell, except zeros without a unit: they fit any."""
    seen = set()
    for place, cell in enumerate(column.cells_read):
        if isinstance(cell, Reading):
            unit, bare_zero = cell.unit, not cell.unit and not cell.value(sign)
        elif isinstance(cell, float):
            unit, bare_zero = PLAIN, not cell
        else:
            continue
        if unit not in seen and not bare_zero:
            seen.add(unit)
            yield unit, place


def _bare_amounts(name: str, rows: Sequence[int], first: Mapping[str, int], currency: str) -> str:
    if PLAIN not in first:
        return ""
    return (
        f'Column "{printable(name)}" has amounts in {currency} and numbers without a currency '
        f"(row {rows[first[PLAIN]]}). They count as {currency}."
    )


def _question(
    column: ScannedColumn,
    rows: Sequence[int],
    sign: DecimalSign,
    recorded: str | None,
    first: Mapping[str, int],
) -> Question:
    name = printable(column.name)
    written = ", ".join(
        f"'{printable(str(column.cells[place]).strip())}' (row {rows[place]})"
        for place in first.values()
    )
    units = set(first) | ({recorded} if recorded is not None else set())
    if recorded is None:
        asks = f'Column "{name}" mixes units: {written}.'
    else:
        was = "plain numbers" if recorded == PLAIN else _unit_name(recorded)
        asks = f'"{name}" of this registry has been {was}, and the table has {written}.'
    choices, plans = _choices(name, units, recorded)
    if not choices:
        asks += " They cannot be averaged together. Give each unit a column of its own."
    examples = tuple(
        Example(
            rows[place],
            str(column.cells[place]).strip(),
            tuple(_value(column.cells_read[place], sign, plan) for plan in plans),
        )
        for place in first.values()
    )
    return Question(column.name, asks, choices, examples)


def _choices(
    name: str, units: set[str], recorded: str | None
) -> tuple[tuple[Choice, ...], tuple[UnitPlan, ...]]:
    if units <= RATIOS.keys():
        answers = [*sorted(units - {PLAIN}), PLAIN]
        plans = [_ratios(recorded, unit) for unit in answers]
    elif units == {PLAIN, SECONDS}:
        answers, plans = [SECONDS], [UnitPlan(SECONDS, {})]
    elif all(is_money(unit) for unit in units - {PLAIN}):
        answers = [code for code in meanings(units) if same_money(units - {PLAIN}, code)]
        plans = [UnitPlan(unit, {}) for unit in answers]
    else:
        answers, plans = [], []
    choices = (
        Choice(
            f'--unit "{name}={format_unit(unit)}"', f"numbers without a unit are {_unit_name(unit)}"
        )
        for unit in answers
    )
    return tuple(choices), tuple(plans)


def _unit_name(unit: str) -> str:
    names = {PLAIN: "plain: 1 is 100%", PERCENT: "per cent", PER_MILLE: "per mille"}
    return names.get(unit, "seconds" if unit == SECONDS else unit)


def convert(column: ScannedColumn, sign: DecimalSign, plan: UnitPlan) -> NumberColumn:
    """Convert a column to numbers in the unit of the plan."""
    values: list[float | None] = []
    unreadable: dict[int, Unreadable] = {}
    bounds = 0
    has_factors = any(factor != 1 for factor in plan.factors.values())
    for place, cell in enumerate(column.cells_read):
        if isinstance(cell, Unreadable):
            unreadable[place] = cell
            values.append(None)
        elif isinstance(cell, NoValue):
            bounds += cell is NoValue.BOUND
            values.append(None)
        elif has_factors or not isinstance(cell, float):
            values.append(_value(cell, sign, plan))
        else:
            values.append(cell)
    return NumberColumn(
        column.name,
        tuple(values),
        plan.unit,
        sign if column.ambiguous else "",
        unreadable,
        bounds,
    )


def _value(cell: object, sign: DecimalSign, plan: UnitPlan) -> float:
    assert isinstance(cell, (float, Reading))
    unit, value = (PLAIN, cell) if isinstance(cell, float) else (cell.unit, cell.value(sign))
    factor = plan.factors.get(unit, _ONE)
    return value if factor == 1 else float(Decimal(repr(value)) * factor)
