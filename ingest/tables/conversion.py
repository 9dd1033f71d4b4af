"""The unit of a column of numbers, and what its cells are in that unit.

Numbers in two units are never averaged as if they were in one. `%`, `‰` and plain ratios convert
into each other, but a number without a unit may be a ratio or may have lost its per cent sign. So
where both kinds meet, in one column or with what the registry has, it is a question, and
`--unit "COLUMN=%"` or `--unit "COLUMN=plain"` says what the numbers without a unit are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ingest.tables.columns import Scanned, Unreadable
from ingest.tables.numbers import DecimalSign, NoValue, Reading
from ingest.tables.questions import Choice, Example, Question
from ingest.tables.units import (
    PER_MILLE,
    PERCENT,
    PLAIN,
    RATIOS,
    SECONDS,
    is_money,
    meanings,
    same_money,
    shown,
)
from registry.urls import printable

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """How a column's numbers become numbers in one unit."""

    unit: str
    """Of what comes out: `""` (plain), `%`, `‰`, `s`, or a currency (ISO 4217, or its sign)."""
    factors: Mapping[str, Decimal]
    """By the unit of the cell; 1 for what is not here."""
    note: str = ""
    """What a person should know of it."""


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of numbers, decided."""

    name: str
    values: tuple[float | None, ...]
    """One for each row; None: no value, or unreadable."""
    unit: str
    decimal: DecimalSign
    """`""`: no cell needed one."""
    unreadable: Mapping[int, Unreadable]
    """By place in `values`."""
    bounds: int
    """Cells such as `< 10%`, which have no value."""


def settle_unit(
    column: Scanned, rows: Sequence[int], sign: DecimalSign, known: str | None, told: str | None
) -> UnitPlan | Question:
    """The unit of a column.

    Args:
        column: the column.
        rows: the number of each row.
        sign: its decimal sign.
        known: the unit that the metric has on record; None: none yet.
        told: what `--unit` says; None: nothing.
    """
    first = dict(_units(column, sign))
    units = set(first) | ({known} if known is not None else set())
    if len(units) <= 1:
        unit = next(iter(units), PLAIN)
        return UnitPlan(told if told and unit == PLAIN and known is None else unit, {})
    if units <= {PERCENT, PER_MILLE} or (units <= RATIOS.keys() and told in RATIOS):
        return _ratios(known, told)
    if units == {PLAIN, SECONDS} and told == SECONDS:
        return UnitPlan(SECONDS, {})
    if all(is_money(unit) for unit in units - {PLAIN}):
        currency = same_money(units - {PLAIN}, told or PLAIN)
        if currency is not None:
            return UnitPlan(currency, {}, _bare_amounts(column.name, rows, first, currency))
    return _question(column, rows, sign, known, first)


def _ratios(known: str | None, told: str | None) -> UnitPlan:
    """Per cent, per mille and plain numbers; `told` says what the plain ones are."""
    bare = told or PLAIN
    scale = {unit: RATIOS[bare] if unit == PLAIN else RATIOS[unit] for unit in RATIOS}
    unit = known if known is not None else told if told is not None else PERCENT
    return UnitPlan(unit, {each: scale[each] / scale[unit] for each in scale})


def _units(column: Scanned, sign: DecimalSign) -> Iterator[tuple[str, int]]:
    """Each unit and the place of its first cell. A zero without a unit is zero in any."""
    seen = set()
    for place, one in enumerate(column.found):
        if isinstance(one, Reading):
            unit, bare_zero = one.unit, not one.unit and not one.value(sign)
        elif isinstance(one, float):
            unit, bare_zero = PLAIN, not one
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
        f"(row {rows[first[PLAIN]]}); they count as {currency}."
    )


def _question(
    column: Scanned,
    rows: Sequence[int],
    sign: DecimalSign,
    known: str | None,
    first: Mapping[str, int],
) -> Question:
    name = printable(column.name)
    written = ", ".join(
        f"'{printable(str(column.cells[place]).strip())}' (row {rows[place]})"
        for place in first.values()
    )
    units = set(first) | ({known} if known is not None else set())
    if known is None:
        asks = f'Column "{name}" mixes units: {written}.'
    else:
        was = "plain numbers" if known == PLAIN else _called(known)
        asks = f'"{name}" of this registry has been {was}, and the table has {written}.'
    choices, plans = _choices(name, units, known)
    if not choices:
        asks += " They cannot be averaged together: give each unit a column of its own."
    examples = tuple(
        Example(
            rows[place],
            str(column.cells[place]).strip(),
            tuple(_value(column.found[place], sign, plan) for plan in plans),
        )
        for place in first.values()
    )
    return Question(column.name, asks, choices, examples)


def _choices(
    name: str, units: set[str], known: str | None
) -> tuple[tuple[Choice, ...], tuple[UnitPlan, ...]]:
    if units <= RATIOS.keys():
        told = [*sorted(units - {PLAIN}), PLAIN]
        plans = [_ratios(known, unit) for unit in told]
    elif units == {PLAIN, SECONDS}:
        told, plans = [SECONDS], [UnitPlan(SECONDS, {})]
    elif all(is_money(unit) for unit in units - {PLAIN}):
        told = [code for code in meanings(units) if same_money(units - {PLAIN}, code)]
        plans = [UnitPlan(unit, {}) for unit in told]
    else:
        told, plans = [], []
    choices = (
        Choice(f'--unit "{name}={shown(unit)}"', f"numbers without a unit are {_called(unit)}")
        for unit in told
    )
    return tuple(choices), tuple(plans)


def _called(unit: str) -> str:
    names = {PLAIN: "plain: 1 is 100%", PERCENT: "per cent", PER_MILLE: "per mille"}
    return names.get(unit, "seconds" if unit == SECONDS else unit)


def finish(column: Scanned, sign: DecimalSign, plan: UnitPlan) -> NumberColumn:
    """The numbers of a column."""
    values: list[float | None] = []
    unreadable: dict[int, Unreadable] = {}
    bounds = 0
    convert = any(factor != 1 for factor in plan.factors.values())
    for place, one in enumerate(column.found):
        if isinstance(one, Unreadable):
            unreadable[place] = one
            values.append(None)
        elif isinstance(one, NoValue):
            bounds += one is NoValue.BOUND
            values.append(None)
        elif convert or not isinstance(one, float):
            values.append(_value(one, sign, plan))
        else:
            values.append(one)
    return NumberColumn(
        column.name,
        tuple(values),
        plan.unit,
        sign if column.ambiguous else "",
        unreadable,
        bounds,
    )


def _value(one: object, sign: DecimalSign, plan: UnitPlan) -> float:
    assert isinstance(one, (float, Reading))
    unit, value = (PLAIN, one) if isinstance(one, float) else (one.unit, one.value(sign))
    factor = plan.factors.get(unit, _ONE)
    return value if factor == 1 else float(Decimal(repr(value)) * factor)
