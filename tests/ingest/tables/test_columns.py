"""What a column decides, what the table does, and what is asked."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from ingest.tables.columns import Unreadable, scan
from ingest.tables.conversion import convert, plan_unit
from ingest.tables.numbers import Number
from ingest.tables.questions import Question, QuestionError
from registry.errors import UsageError
from tests.ingest.tables.conftest import Write
from tests.ingest.tables.tables import HEADER, metrics, read


def column(write: Write, *cells: str, more: str = "", **options: object) -> list[float]:
    """The values of a metric `M`, with a second column `N` if there is `more` (by row)."""
    others = more.split() or [""] * len(cells)
    rows = "".join(
        f"v{place}.mp4\t{cell}\t{other}\n"
        for place, (cell, other) in enumerate(zip(cells, others, strict=True))
    )
    table = read(write(f"Video URL\tM\tN\n{rows}"), "M", **options)
    return [row.metrics["M"] for row in table.rows]


def asked(write: Write, *cells: str, **options: object) -> Question:
    with pytest.raises(QuestionError) as caught:
        column(write, *cells, **options)  # type: ignore[arg-type]
    (question,) = caught.value.questions
    return question


# The decimal sign


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        ([], ""), (["1", "x", ""], ""), (["1,234", "12,345", "999"], ""),
        (["1.250", "80", "12.875"], ""), (["1.5", "1,234"], "."), (["1.5", "2.5", "1.234"], "."),
        (["1.5", "2.5", "12,5", "1.234"], ""), (["1.5"] * 9 + ["12,5", "1.234"], "."),
        # One slip among grouped numbers turns nothing round.
        (["1,234", "5,678", "1,23"], ""), (["1.234", "5.678", "1.23"], ""),
        (["1,234"] * 50 + ["1,23", "1,2"], ""), (["1,234"] * 40 + ["1,23", "1,2"], ","),
        (["12,5", "0,5", "1,234"], ","), (["1.234,5", "1.234"], ","),
        (["1.234", "5.678", "12,5"], ""), (["1.25", "0.5", "1.234"], "."),
        (["1,234,567", "1,234"], "."), (["1,234,567"] + ["1,234"] * 99, "."),
        (["1 234,5", "1.234", "5.678"], ","), (["1,234,567", "1.234,5", "1.234"], ""),
        (["1.5e3", "1.250"], "."),
    ],
)  # fmt: skip
def test_a_column_tells_its_decimal_sign(cells: list[str], sign: str) -> None:
    assert scan("M", cells).own_sign() == sign


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_of_the_file_decides_nothing(write: Write, separator: str) -> None:
    def text(*cells: str) -> str:
        rows = (f'"v{n}.mp4"{separator}"{cell}"\n' for n, cell in enumerate(cells))
        return f"Video URL{separator}Performance\n{''.join(rows)}"

    for cells in (("1.250", "80"), ("1,250", "80")):
        with pytest.raises(QuestionError):
            read(write(text(*cells)))
    assert metrics(read(write(text("1.250", "12,5"))))[0] == {"Performance": 1250.0}
    assert metrics(read(write(text("1,250", "12.5"))))[0] == {"Performance": 1250.0}


def test_a_question_shows_both_readings_and_the_option(write: Write) -> None:
    question = asked(write, "1.250", "80", "12.875")
    assert question.column == "M"
    assert [choice.option for choice in question.choices] == ["--decimal .", "--decimal ,"]
    assert [(one.row, one.cell, one.values) for one in question.examples] == [
        (2, "1.250", (1.25, 1250.0)),
        (4, "12.875", (12.875, 12875.0)),
    ]
    text = str(question)
    assert "--decimal . (decimal dot): row 2 '1.250' is 1.25" in text
    assert "--decimal , (decimal comma): row 2 '1.250' is 1250" in text


@pytest.mark.parametrize(("told", "values"), [(".", [1.25, 80, 12.875]), (",", [1250, 80, 12875])])
def test_the_option_answers(write: Write, told: str, values: list[float]) -> None:
    assert column(write, "1.250", "80", "12.875", decimal=told) == values


def test_the_other_columns_answer_and_it_is_said(write: Write) -> None:
    assert column(write, "1.250", "80", more="4,5 0,5") == [1250, 80]
    assert column(write, "1.250", "80", more="4.5 0.5") == [1.25, 80]
    assert column(write, "1.250", "80", more="12,50€ 7,25€") == [1250, 80]
    table = read(write("Video URL;M;Rate\na.mp4;1.250;4,5\n"), "M")
    assert table.notes == ('"M" was read with a decimal comma, as column "Rate" shows.',)
    assert table.detected.decimals == {"M": ","}


@pytest.mark.parametrize("more", ["4,5 4.5", "v1.5 x", "01.02.2026 03.02.2026", "1.2.3 1.2.4"])
def test_columns_that_do_not_agree_or_are_not_numbers_do_not_answer(
    write: Write, more: str
) -> None:
    with pytest.raises(QuestionError):
        column(write, "1.250", "80", more=more)


def test_the_option_goes_before_other_columns_but_not_before_the_column(write: Write) -> None:
    assert column(write, "1.250", "80", more="4,5 0,5", decimal=".") == [1.25, 80]
    assert column(write, "1.250", "12,5", decimal=".") == [1250, 12.5]
    table = read(write("Video URL;M\na.mp4;1.250\nb.mp4;12,5\n"), "M", decimal=".")
    assert any('against "--decimal ."' in note for note in table.notes)


def test_all_questions_are_asked_at_once(write: Write) -> None:
    with pytest.raises(QuestionError) as caught:
        read(write("Video URL;A;B;C\na.mp4;1.250;5%;7\nb.mp4;80;4;8\n"), "A", "B", "C")
    assert [question.column for question in caught.value.questions] == ["A", "B"]
    assert isinstance(caught.value, UsageError)


def test_a_weight_is_decided_like_a_metric(write: Write) -> None:
    with pytest.raises(QuestionError, match="Spend"):
        read(write("Video URL;M;Spend\na.mp4;1;1.250\n"), "M:mean@Spend")


# Units


def settled(*cells: object, known: str | None = None, told: str | None = None) -> object:
    scanned = scan("M", cells)
    rows = range(2, 2 + len(cells))
    plan = plan_unit(scanned, rows, ".", known, told)
    if isinstance(plan, Question):
        return plan
    done = convert(scanned, ".", plan)
    return done.unit, list(done.values)


@pytest.mark.parametrize(
    ("cells", "known", "told", "unit", "values"),
    [
        (["4.5"], None, None, "", [4.5]), (["12%", "0"], None, None, "%", [12, 0]),
        (["12%"], "%", None, "%", [12]), (["5%", "5‰"], None, None, "%", [5, 0.5]),
        (["220%"], "", "plain", "", [2.2]), (["220%"], "", "%", "", [220]),
        (["2.2"], "%", "plain", "%", [220]), (["2.2"], "%", "%", "%", [2.2]),
        (["12%", "5"], None, "%", "%", [12, 5]), (["12%", "5"], None, "plain", "", [0.12, 5]),
        (["5"], None, "%", "%", [5]), (["5"], "", "%", "", [5]),
        (["0:41", "9"], None, "s", "s", [41, 9]),
        (["$5", "7"], None, None, "$", [5, 7]), (["$5", "USD 7"], None, None, "USD", [5, 7]),
        (["$5", "A$7"], None, "AUD", "AUD", [5, 7]), (["kr 5", "SEK 7"], None, None, "SEK", [5, 7]),
        (["5"], "EUR", None, "EUR", [5]), (["€5"], "", None, "EUR", [5]),
        (["4.2x", "3"], None, None, "", [4.2, 3]),
        ([], "%", None, "%", []), (["-", "< 10%"], "", None, "", [None, None]),
    ],
)  # fmt: skip
def test_a_unit(
    cells: list[str], known: str | None, told: str | None, unit: str, values: list[float | None]
) -> None:
    meant = None if told is None else "" if told == "plain" else told
    assert settled(*cells, known=known, told=meant) == (unit, values)


@pytest.mark.parametrize(
    ("cells", "known", "options"),
    [
        (["220%"], "", ['--unit "M=%"', '--unit "M=plain"']),
        (["2.2"], "%", ['--unit "M=%"', '--unit "M=plain"']),
        (["12%", "5"], None, ['--unit "M=%"', '--unit "M=plain"']),
        (["0:41", "41"], None, ['--unit "M=s"']),
        (["$5", "A$7"], None, ['--unit "M=AUD"']),
        (["€5", "$7"], None, []),
        (["€5"], "USD", []),
        (["€5", "7%"], None, []),
        (["0:41", "7%"], None, []),
    ],
)
def test_units_that_do_not_go_together_are_a_question(
    cells: list[str], known: str | None, options: list[str]
) -> None:
    question = settled(*cells, known=known)
    assert isinstance(question, Question)
    assert [choice.option for choice in question.choices] == options
    assert cells[0] in str(question)
    assert ("a column of its own" in str(question)) == (not options)


def test_a_unit_that_changed_shows_what_it_has_been(write: Write) -> None:
    with pytest.raises(QuestionError) as caught:
        read(write(HEADER + "b.mp4,220%\n"), known_units={"Performance": ""})
    assert '"Performance" of this registry has been plain numbers' in str(caught.value)
    assert "row 2 '220%' is 220" in str(caught.value)
    assert "row 2 '220%' is 2.2" in str(caught.value)
    path = write(HEADER + "b.mp4,220%\n")
    table = read(path, known_units={"Performance": ""}, units={"Performance": "plain"})
    assert metrics(table) == [{"Performance": 2.2}]
    assert table.units == {"Performance": ""}


def test_an_unknown_unit_is_wrong_usage(write: Write) -> None:
    with pytest.raises(UsageError, match='--unit "M=bananas"'):
        read(write(HEADER + "b.mp4,1\n"), units={"M": "bananas"})


def test_numbers_beside_amounts_of_money_are_told(write: Write) -> None:
    table = read(write(HEADER + "a.mp4,€5\nb.mp4,7\n"))
    assert metrics(table) == [{"Performance": 5.0}, {"Performance": 7.0}]
    assert "They count as EUR" in table.warnings[0]


# Cells with types


def test_cells_with_types() -> None:
    found = scan(
        "M",
        [
            1, 2.5, Decimal("1.5"), Fraction(1, 2), None, float("nan"), Number(1.25, "%"),
            dt.timedelta(minutes=1), dt.time(0, 0, 41), True, float("inf"), 10**400,
            dt.date(2026, 1, 2), b"1", "7",
        ],
    ).cells_read  # fmt: skip
    assert found[:4] == (1.0, 2.5, 1.5, 0.5)
    units = [getattr(one, "unit", None) for one in found]
    assert units[6:9] == ["%", "s", "s"]
    assert [isinstance(one, Unreadable) for one in found[9:]] == [True] * 5 + [False]
