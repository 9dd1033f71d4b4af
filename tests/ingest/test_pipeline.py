"""A run ends when it has to: after its last row, when it is told to, and when something breaks."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from ingest import ingest
from ingest.summary import Summary
from registry import open_registry
from tests.media import write_video


class _Breaks:
    """A reporter that fails when the first video is settled, as a full disk or a bug would."""

    def begin(self, videos: int) -> None: ...

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        raise ZeroDivisionError("on purpose")

    def warn(self, message: str) -> None: ...


class _Stops:
    """A reporter that asks for an end when the first video is settled, as Ctrl-C does."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def begin(self, videos: int) -> None: ...

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        self.stop.set()

    def warn(self, message: str) -> None: ...


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    clip = write_video(tmp_path / "0.mp4", lambda i: (i, 80, 120), frames=12).read_bytes()
    paths = [tmp_path / f"{number}.mp4" for number in range(12)]
    for path in paths:
        path.write_bytes(clip)
    return pd.DataFrame({"Video URL": map(str, paths), "Performance": 1.0})


@pytest.mark.parametrize("workers", [0, 1], ids=["inline", "process"])
def test_an_error_ends_the_run_at_once_and_leaves_no_thread(
    table: pd.DataFrame, tmp_path: Path, workers: int
) -> None:
    with open_registry(home=tmp_path / "home") as registry:
        with pytest.raises(ZeroDivisionError):
            ingest(registry, table, workers=workers, allow_local_files=True, reporter=_Breaks())
        assert registry.index.count_videos() == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("read")]
    assert list((tmp_path / "home" / "tmp").iterdir()) == []


def test_a_stop_keeps_what_is_committed_and_the_next_run_goes_on(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    reporter = _Stops()
    with open_registry(home=tmp_path / "home") as registry:
        first = ingest(
            registry, table, workers=0, allow_local_files=True, reporter=reporter,
            stop=reporter.stop,
        )  # fmt: skip
        assert (first.stopped, first.ingested, first.exit_code) == (True, 1, 130)
        second = ingest(registry, table, workers=0, allow_local_files=True)
        assert (second.unchanged, second.ingested, second.exit_code) == (1, 11, 0)
