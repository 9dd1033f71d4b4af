"""What a terminal and a pipe are shown: tables whose cells are whole, text as it is."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table

from registry.terminal import Terminal

IDENTITY, SPENT = "ce2aa61b", "1,234,567.89"
URL = "https://example.com/" + "a" * 120 + ".mp4"
HEADINGS = ["average Performance", "average Conversion", "average Watch time", "average Umsatz"]


@pytest.fixture(autouse=True)
def _ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever terminal the tests run in: rich asks this variable, too."""
    monkeypatch.setenv("TERM", "xterm")


def _printed(width: int, *, terminal: bool) -> str:
    paper = io.StringIO()
    shown = Terminal(given={}, out=Console(file=paper, width=width, force_terminal=terminal))
    grid = Table("identity", "name", *HEADINGS, "url", box=None, pad_edge=False)
    for _ in range(2):
        grid.add_row(IDENTITY, "-", *[SPENT] * len(HEADINGS), URL)
    shown.table(grid)
    return paper.getvalue()


def test_a_narrow_terminal_gets_fewer_columns_and_a_line_for_each_row() -> None:
    def shown(width: int, *, terminal: bool = True) -> list[str]:
        paper, notes = io.StringIO(), io.StringIO()
        to = Terminal(
            given={},
            out=Console(file=paper, width=width, force_terminal=terminal, color_system=None),
            err=Console(file=notes, width=200),
        )
        grid = Table("identity", "name", "videos", "on screen", "url", box=None, pad_edge=False)
        grid.add_row(IDENTITY, "Katharina Zoë", "3", "1.5 s", "https://example.com/spring/a-7.mp4")
        to.table(grid, drop=("on screen", "videos"), shorten={"name": 8, "url": 12})
        return [*paper.getvalue().splitlines(), *notes.getvalue().splitlines()]

    whole = [
        "identity  name           videos  on screen  url                               ",
        "ce2aa61b  Katharina Zoë  3       1.5 s      https://example.com/spring/a-7.mp4",
    ]
    assert shown(200) == shown(30, terminal=False) == whole
    assert [line.rstrip() for line in shown(60)] == [
        "                                 on",
        "identity  name           videos  screen  url",
        "ce2aa61b  Katharina Zoë  3       1.5 s   …com/spring/a-7.mp4",
    ]
    assert [line.rstrip() for line in shown(44)] == [
        "identity  name        videos  url",
        "ce2aa61b  Katharina…  3       …pring/a-7.mp4",
        "Left out on a terminal this narrow: on screen.",
    ]
    assert [line.rstrip() for line in shown(34)] == [
        "identity  name       url",
        "ce2aa61b  Katharin…  …ring/a-7.mp4",
        "Left out on a terminal this narrow: on screen, videos.",
    ]


def test_what_takes_long_is_shown_on_a_terminal_only() -> None:
    def shown(*, terminal: bool) -> str:
        paper = io.StringIO()
        to = Terminal(given={}, err=Console(file=paper, width=80, force_terminal=terminal))
        with to.working("Making a page of [b]9[/b] videos…"):
            pass
        return paper.getvalue()

    assert "Making a page of [b]9[/b] videos…" in shown(terminal=True)
    assert shown(terminal=False) == ""


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_cell_is_cut_or_folded(width: int, terminal: bool) -> None:
    rows = [line.split() for line in _printed(width, terminal=terminal).splitlines()[-2:]]

    assert rows == [[IDENTITY, "-", *[SPENT] * len(HEADINGS), URL]] * 2


def test_a_pipe_gets_one_line_a_row_and_whole_headings() -> None:
    lines = _printed(80, terminal=False).splitlines()

    assert len(lines) == 3
    assert all(heading in lines[0] for heading in HEADINGS)


def test_a_name_with_brackets_is_shown_as_it_is() -> None:
    paper = io.StringIO()
    shown = Terminal(given={})
    shown.out.file = paper
    grid = Table("name", "average [/day]", box=None, pad_edge=False)
    grid.add_row("[/b]Zoë[red]", "1")
    shown.table(grid)

    assert [line.split() for line in paper.getvalue().splitlines()] == [
        ["name", "average", "[/day]"],
        ["[/b]Zoë[red]", "1"],
    ]


_HELP = """
import sys
from registry.cli import main
try:
    main(sys.argv[1:])
finally:
    assert not {"onnxruntime", "pandas", "scipy"}.intersection(sys.modules)
"""


@pytest.mark.parametrize("group", ["", "identities", "videos", "models"])
def test_help_lists_commands_in_whole_sentences_and_imports_none(group: str) -> None:
    words = [*group.split(), "--help"]
    call = [sys.executable, "-c", _HELP, *words]
    done = subprocess.run(call, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    commands = done.stdout.partition("Commands:\n")[2].splitlines()
    assert commands
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


def test_a_pipe_gets_what_a_wide_terminal_gets() -> None:
    def shown(*, terminal: bool) -> str:
        paper = io.StringIO()
        out = Console(file=paper, width=1000, force_terminal=terminal, color_system=None)
        grid = Table("who", "ñame", box=None, pad_edge=False)
        grid.add_column("number", justify="right")
        grid.add_column("")
        grid.add_row("x", "日本語", "1", "-")
        grid.add_row("a long cell", "", "12,345.0", "y" * 150)
        grid.add_row("", "é", "", "")
        Terminal(given={}, out=out).table(grid)
        return paper.getvalue()

    assert shown(terminal=False) == shown(terminal=True)


def test_a_table_in_a_pipe_comes_before_the_notes_that_follow_it() -> None:
    script = (
        "from rich.table import Table; from registry.terminal import Terminal\n"
        "grid = Table('who'); grid.add_row('Ann'); terminal = Terminal({})\n"
        "terminal.table(grid); terminal.note('A note.')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["who", "Ann", "A", "note."]
