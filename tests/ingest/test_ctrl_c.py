"""Ctrl-C on a real terminal, where it reaches every process: no traceback, exit code 130."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.tables import table_of
from tests.support.terminal_session import interrupted_on_terminal

FEW = ("card-tricks.mp4", "ask-an-astronaut.mp4", "poker-night.mp4")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")


@pytest.fixture(scope="module")
def table(demo_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table_of(demo_videos, FEW, tmp_path_factory.mktemp("videos"))


def _stopped(home: Path, table: Path, moment: str, workers: int) -> None:
    """Interrupt an ingest at a moment, and check how it ended."""
    session = interrupted_on_terminal(
        home, "ingest", str(table), "--every", "3", "--workers", str(workers), moment=moment
    )
    assert "Traceback" not in session.text, (moment, session.text)
    assert "KeyboardInterrupt" not in session.text, (moment, session.text)
    assert session.exit_code == 130, (moment, session.text)


EVERY = (
    "a server", "a server+0.3", "begun", "begun+0.3", "a worker", "a worker+0.2", "a worker+0.6",
    "a worker+1.2", "a crop", "a crop+0.3", "a record", "a record+0.2",
)  # fmt: skip
"""When the home is there, a server or a worker runs, a crop or a record is written; and later."""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(
            moment, marks=() if moment in ("a worker+0.2", "a record") else pytest.mark.slow
        )
        for moment in EVERY
    ],
)
def test_ctrl_c_leaves_no_traceback_of_any_process(
    tmp_path: Path, table: Path, moment: str
) -> None:
    _stopped(tmp_path / "home", table, moment, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["begun+0.3", "a crop", "a record"])
def test_nor_does_it_without_workers(tmp_path: Path, table: Path, moment: str) -> None:
    _stopped(tmp_path / "home", table, moment, workers=0)
