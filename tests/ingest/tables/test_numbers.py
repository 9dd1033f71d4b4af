"""Texts that are read one way, two ways, and not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tables.numbers import NoValue, Reading, read_number


def test_what_the_documentation_calls_ambiguous_is() -> None:
    for cell in ("1.250", "1,250", "999.000", "12,875", "-1.250", "1.250%", "$1,250", "(1.250)"):
        reading = read_number(cell)
        assert isinstance(reading, Reading)
        assert reading.ambiguous, cell
    reading = read_number("1.250")
    assert isinstance(reading, Reading)
    assert (reading.value("."), reading.value(",")) == (1.25, 1250)


@pytest.mark.parametrize(
    ("cell", "value", "unit"),
    [
        ("5", 5, ""), (" 3 ", 3, ""), ("+3", 3, ""), ("-3", -3, ""), ("\u22123", -3, ""),
        ("-0", 0, ""), ("5.", 5, ""), (".5", 0.5, ""), ("1e6", 1e6, ""), ("1.5E-3", 0.0015, ""),
        ("1,5e3", 1500, ""), ("1234.567", 1234.567, ""), ("1,234.5", 1234.5, ""),
        ("1.234,5", 1234.5, ""), ("1,234,567", 1234567, ""), ("1.234.567", 1234567, ""),
        ("12,34,567.8", 1234567.8, ""), ("12,5", 12.5, ""), ("0,125", 0.125, ""),
        ("0.125", 0.125, ""), ("1234,567", 1234.567, ""), ("1 234,5", 1234.5, ""),
        ("1\u00a0234\u00a0567", 1234567, ""), ("1\u202f234,567", 1234.567, ""),
        ("1'234'567.5", 1234567.5, ""), ("1\u2019250", 1250, ""), ("1.2345", 1.2345, ""),
        ("12%", 12, "%"), ("12.5 %", 12.5, "%"), ("5‰", 5, "‰"), ("\u00a05", 5, ""),
        ("9" * 30, 1e30, ""), ("(5)", -5, ""), ("'5", 5, ""), ('="5"', 5, ""),
        # currencies before and after
        ("$1,200.50", 1200.5, "$"), ("-$5", -5, "$"), ("$-5", -5, "$"), ("5 €", 5, "EUR"),
        ("R$ 1.234,50", 1234.5, "BRL"), ("CHF 12.50", 12.5, "CHF"), ("12,50 zł", 12.5, "PLN"),
        ("A$5", 5, "AUD"), ("5 USD", 5, "USD"), ("$5.00 USD", 5, "USD"), ("kr 5", 5, "kr"),
        ("12,50 kr.", 12.5, "kr"), ("kr. 12,50", 12.5, "kr"), ("Rs.500", 500, "Rs"),
        ("S/.12", 12, "PEN"), ("$.50", 0.5, "$"), ("R 12.50", 12.5, "ZAR"),
        ("₹12,34,567", 1234567, "INR"),
        ("(12.5)", -12.5, ""), ("($12.50)", -12.5, "$"), ("€(12.50)", -12.5, "EUR"),
        # factors and ratios
        ("1.2K", 1200, ""), ("1.2k", 1200, ""), ("3,4 Mio.", 3.4e6, ""), ("2.3M", 2.3e6, ""),
        ("1,5 Tsd.", 1500, ""), ("1.2 Mrd", 1.2e9, ""), ("4.5 mld", 4.5e9, ""),
        ("1.2万", 12000, ""),
        ("€1.2K", 1200, "EUR"), ("1,2 Mio. €", 1.2e6, "EUR"), ("4.2x", 4.2, ""), ("4,2 ×", 4.2, ""),
        # durations
        ("0:41", 41, "s"), ("1:02:03", 3723, "s"), ("75:10", 4510, "s"), ("0:41.5", 41.5, "s"),
        ("41 s", 41, "s"),
        # digits and signs of other scripts
        ("１２．５％", 12.5, "%"), ("１，２３４，５６７", 1234567, ""),
        ("١٬٢٣٤٫٥", 1234.5, ""), ("١٬٢٥٠", 1250, ""), ("١٢٫٥٪", 12.5, "%"), ("۱۲", 12, ""),
        ("\u200e-5\u200f", -5, ""), ("१२३.५", 123.5, ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decimal", [".", ",", ""])
def test_numbers_that_can_be_read_one_way(cell: str, value: float, unit: str, decimal: str) -> None:
    reading = read_number(cell)
    assert isinstance(reading, Reading)
    assert not reading.ambiguous
    assert reading.value(decimal) == value  # type: ignore[arg-type]
    assert reading.unit == unit


@pytest.mark.parametrize(
    "cell",
    [
        "", "  ", "-", "--", " --", "–", "—", "NA", "n/a", "N/A", "#N/A", "null", "None", "nan",
        "NaN", "(not set)", "#DIV/0!", "\u200b", "\u00a0--",
    ],
)  # fmt: skip
def test_no_value(cell: str) -> None:
    assert read_number(cell) is NoValue.EMPTY


@pytest.mark.parametrize("cell", ["< 10%", "<1%", "> 90%", "≥ 1,250", "<=5", "＜ 10％"])
def test_a_bound_is_no_value(cell: str) -> None:
    assert read_number(cell) is NoValue.BOUND


@pytest.mark.parametrize(
    "cell",
    [
        "inf", "-Infinity", "1e999", "9" * 65, "x", "15q", "1 23", "12 3456", "1  234",
        "1,23,4", "1,2,3", "1.2.3", "1,234,56", "12.34,567.8", "1..2", ".", ",", "+", "--5", "-$-5",
        "$5%", "%5", "$", "0x10", "1_000", "=1+1", "TRUE", "1\n2", "1e5e5", "5-", "1 234'567",
        "01.02.2026", "2026-10-01", "10/12", "12:30 PM", "1:2", "1:70", "½", "10²", "①", "(-5)",
        "((5))", "€5 $", "#VALUE!", "< ten", "$5 €", "012,345,678", "Rs.,500", "1,250e3e",
        # in different languages a different number
        "1.2m", "1.2B", "1.2bn", "1.2 billion", "3 mil", "1,2 tn",
    ],
)  # fmt: skip
def test_anything_else_is_unreadable(cell: str) -> None:
    with pytest.raises(ValueError, match=r"expected|group|unit|formula|duration"):
        read_number(cell)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_is_read_back(value: float) -> None:
    reading = read_number(repr(value))
    assert isinstance(reading, Reading)
    assert reading.value(".") == value


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_reason(cell: str) -> None:
    try:
        found = read_number(cell)
    except ValueError as exc:
        assert str(exc)
        return
    if isinstance(found, Reading):
        assert found.dot is not None or found.comma is not None
