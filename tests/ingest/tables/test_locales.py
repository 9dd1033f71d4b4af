"""What people and programs of many countries write is read back or asked about, never another."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pandas as pd
from babel.localedata import locale_identifiers
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.tables.numbers import Reading, read_number
from ingest.tables.questions import QuestionError
from ingest.tables.reading import read_frame
from ingest.tables.table import TableOptions

INDIAN = {"en_IN", "hi_IN"}
LOCALES = sorted(
    {
        *("en_US", "en_GB", "en_AU", "en_IN", "hi_IN", "de_DE", "de_AT", "de_CH", "fr_FR", "fr_CH"),
        *("fr_CA", "pt_BR", "pt_PT", "pl_PL", "es_ES", "es_MX", "it_IT", "nl_NL", "sv_SE", "da_DK"),
        *("nb_NO", "fi_FI", "cs_CZ", "hu_HU", "ro_RO", "ru_RU", "uk_UA", "el_GR", "bg_BG", "tr_TR"),
        *("he_IL", "ar_EG", "fa_IR", "ja_JP", "zh_CN", "ko_KR", "id_ID", "vi_VN", "th_TH"),
    }
)
CURRENCIES = ("EUR", "USD", "GBP", "BRL", "CHF", "PLN", "AUD", "JPY")
NOT_READ = {
    ("bg_BG", "USD"),  # щ.д.
    ("fr_FR", "GBP"),  # £GB
    ("fr_CH", "GBP"),
}

many = settings(max_examples=250, deadline=None)
SHORT_M_OR_K = {
    *("id", "jv", "bew"),  # M is miliar, 10^9
    *("la", "kek", "quc"),  # M is a thousand
    *("bal", "kok", "to", "vec"),  # odd forms, such as 1k for 100,000
}
"""Languages whose short forms are read wrongly; `docs/TABLES.md` says so."""

numbers = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.one_of(st.integers(-(10**12), 10**12), st.integers(-10_000, 10_000)),
    st.integers(0, 4),
)


def places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def pattern(value: Decimal, locale: str, suffix: str = "") -> str:
    groups = "#,##,##0" if locale in INDIAN else "#,##0"
    count = places(value)
    return f"{groups}.{'0' * count}{suffix}" if count else f"{groups}{suffix}"


def check(cell: str, value: float) -> None:
    """One of the readings is the number; if there is only one, it is this."""
    found = read_number(cell)
    assert isinstance(found, Reading), cell
    readings = {one for one in (found.dot, found.comma) if one is not None}
    assert value in readings, (cell, value, found)
    assert found.ambiguous or readings == {value}


def babel_groups(cell: str) -> bool:
    """Whether Babel grouped all thousands: it leaves out some where ’ is the sign."""
    return not re.search(r"[0-9]{4,}['’]", cell)


@many
@given(locale=st.sampled_from(LOCALES), value=numbers, grouped=st.booleans())
def test_a_decimal_number(locale: str, value: Decimal, grouped: bool) -> None:
    cell = format_decimal(
        value,
        format=pattern(value, locale),
        locale=locale,
        group_separator=grouped,
        numbering_system="default",
    )
    if babel_groups(cell):
        check(cell, float(value))


@many
@given(locale=st.sampled_from(sorted(set(LOCALES) - {"tr_TR"})), value=numbers)
def test_per_cent(locale: str, value: Decimal) -> None:
    cell = format_percent(
        value / 100,
        format=pattern(value, locale, "%"),
        locale=locale,
        numbering_system="default",
    )
    if babel_groups(cell):
        check(cell, float(value))


@many
@given(locale=st.sampled_from(LOCALES), value=numbers, currency=st.sampled_from(CURRENCIES))
def test_money(locale: str, value: Decimal, currency: str) -> None:
    amount = value.quantize(Decimal(1 if currency == "JPY" else "0.01"))
    cell = format_currency(amount, currency, locale=locale, numbering_system="default")
    if not babel_groups(cell):
        return
    try:
        check(cell, float(amount))
    except ValueError:
        assert (locale, currency) in NOT_READ, cell


def test_a_number_of_every_locale_is_read_refused_or_asked_about() -> None:
    for locale in locale_identifiers():
        for value in (Decimal("1234567.891"), Decimal("0.5"), Decimal("-1250.5"), Decimal("1234")):
            cell = format_decimal(
                value, locale=locale, numbering_system="default", decimal_quantization=False
            )
            if babel_groups(cell):
                with suppress(ValueError):
                    check(cell, float(value))


def test_a_short_form_of_every_locale_is_read_or_refused() -> None:
    """`1.2K`, `3,4 Mio.`: rounded to a tenth of a unit, and never off by a factor."""
    values = [int(digit * 10**power) for power in range(3, 15) for digit in (1, 1.5, 9.95)]
    for locale in set(locale_identifiers()):
        if locale.partition("_")[0] in SHORT_M_OR_K:
            continue
        for value in values:
            cell = format_compact_decimal(
                value, locale=locale, fraction_digits=1, numbering_system="default"
            )
            try:
                found = read_number(cell)
            except ValueError:
                continue
            assert isinstance(found, Reading)
            readings = {one for one in (found.dot, found.comma) if one is not None}
            assert any(abs(one - value) <= 0.06 * value for one in readings), (locale, cell)


@many
@given(
    locale=st.sampled_from(["en_US", "de_DE", "fr_FR", "pt_BR", "de_CH", "pl_PL", "ar_EG"]),
    columns=st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=3).map(
        lambda found: [column[: min(map(len, found))] for column in found]
    ),
)
def test_a_table_is_read_or_asked_about(locale: str, columns: list[list[Decimal]]) -> None:
    def written(value: Decimal) -> str:
        text = format_decimal(
            value, format=pattern(value, locale), locale=locale, numbering_system="default"
        )
        return text if babel_groups(text) else str(text).replace("'", "").replace("’", "")

    names = [f"m{place}" for place in range(len(columns))]
    frame = pd.DataFrame({"Video URL": [f"v{n}.mp4" for n in range(len(columns[0]))]})
    for name, column in zip(names, columns, strict=True):
        frame[name] = [written(value) for value in column]
    options = TableOptions(metrics=names)
    try:
        table = read_frame(frame, options, Path("/videos"))
    except QuestionError as exc:
        assert exc.questions
        for question in exc.questions:
            assert {choice.option for choice in question.choices} == {"--decimal .", "--decimal ,"}
        return
    assert table.unreadable == ()
    for row, values in zip(table.rows, zip(*columns, strict=True), strict=True):
        assert [row.metrics[name] for name in names] == [float(value) for value in values]
