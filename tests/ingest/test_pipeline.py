"""A run ends when it has to: after its last row, when it is told to, and when something breaks."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from ingest import ingest
from ingest.extract import Extraction
from ingest.fetch.downloads import Downloader
from ingest.pipeline import RunContext, default_workers, run
from ingest.progress import SilentReporter
from ingest.summary import Summary
from ingest.tables.reading import read_frame
from ingest.tables.table import TableOptions
from ingest.workers import Extractor
from registry import open_registry
from registry.domain import Media
from tests.support.factories import contract, face, person
from tests.support.media import another_file, write_video


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
    for number, path in enumerate(paths):
        path.write_bytes(another_file(clip, number))
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


def test_numbers_with_more_digits_than_the_index_keeps_are_no_change(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    few = table.head(4).assign(Performance=[0.33299999999999996, 0.1 + 0.2, 2 / 3, 1e22 / 7])
    with open_registry(home=tmp_path / "home") as registry:
        assert ingest(registry, few, workers=0, allow_local_files=True).ingested == 4
    with open_registry(home=tmp_path / "home") as registry:
        again = ingest(registry, few, workers=0, allow_local_files=True)
        assert (again.unchanged, again.updated) == (4, 0)
        kept = {video.metrics["Performance"] for video in registry.records.all()}
        assert kept == set(few["Performance"])  # the records keep every digit


class _Stumbles:
    """An extractor with a defect that one video in two brings to light."""

    def __init__(self) -> None:
        self.asked = 0

    def extract(self, path: Path, video_id: str) -> Extraction:
        self.asked += 1
        if self.asked % 2:
            raise KeyError(45000)
        return Extraction((), Media(), "")

    def close(self) -> None: ...


def _run(
    table: pd.DataFrame,
    tmp_path: Path,
    extractor: Extractor,
    *,
    ahead: int,
    max_waiting: int = 256 << 20,
    closable: _Closable | None = None,
) -> Summary:
    """A run of the table into a new registry, with this extractor."""
    rows = read_frame(table, TableOptions(allow_local_files=True), tmp_path)
    with open_registry(home=tmp_path / "home") as registry:
        registry.establish(contract())
        downloader = Downloader(tmp_path / "tmp")
        parts = RunContext(
            registry, downloader, extractor, ahead=ahead, max_waiting=max_waiting, turn=closable
        )
        summary = run(
            parts,
            rows,
            retry_failed=False,
            consolidate=False,
            reporter=closable or SilentReporter(),
            stop=threading.Event(),
        )
        downloader.close()
    return summary


def test_a_defect_costs_the_video_that_shows_it(table: pd.DataFrame, tmp_path: Path) -> None:
    summary = _run(table, tmp_path, _Stumbles(), ahead=1)
    assert (summary.ingested, len(summary.failures)) == (6, 6)
    assert "KeyError: 45000" in summary.failures[0].reason


class _FirstIsLong:
    """An extractor whose first video takes until `others` others were processed, or 5 s."""

    def __init__(self, others: int) -> None:
        self._others, self._enough, self._lock = others, threading.Event(), threading.Lock()
        self._first = ""
        self.processed, self.before_first = 0, 0

    def extract(self, path: Path, video_id: str) -> Extraction:
        with self._lock:
            self._first = self._first or video_id
        if video_id == self._first:
            self._enough.wait(5)
            self.before_first = self.processed
            return Extraction((), Media(), "")
        faces = tuple(face(video_id, 10 * n, person(n, 0.1)) for n in range(4))
        with self._lock:
            self.processed += 1
            if self.processed == self._others:
                self._enough.set()
        return Extraction(faces, Media(), "")

    def close(self) -> None: ...


@pytest.mark.parametrize(("max_waiting", "least", "most"), [(256 << 20, 11, 11), (3_400, 3, 6)])
def test_a_long_video_at_the_head_does_not_hold_up_the_others_within_a_bound_of_memory(
    table: pd.DataFrame, tmp_path: Path, max_waiting: int, least: int, most: int
) -> None:
    extractor = _FirstIsLong(least)
    summary = _run(table, tmp_path, extractor, ahead=2, max_waiting=max_waiting)
    assert summary.ingested == 12
    assert least <= extractor.before_first <= most


class _Closable(SilentReporter):
    """An extractor that answers once the run waits for it, as the run's turn tells.

    As the run's reporter, it sees at each video whether it was closed.
    """

    def __init__(self) -> None:
        self.closed, self.seen, self._awaited = False, list[bool](), threading.Event()

    def acquire(self) -> None: ...

    def release(self) -> None:
        self._awaited.set()

    def extract(self, path: Path, video_id: str) -> Extraction:
        assert self._awaited.wait(60)
        return Extraction((), Media(), "")

    def close(self) -> None:
        self.closed = True

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        self.seen.append(self.closed)


def test_workers_are_not_kept_while_the_last_video_is_recorded(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    both = _Closable()
    _run(table.head(1), tmp_path, both, ahead=2, closable=both)
    assert both.seen == [True]


def test_workers_end_before_duplicates_are_looked_for(table: pd.DataFrame, tmp_path: Path) -> None:
    both = _Closable()
    _run(table, tmp_path, both, ahead=2, closable=both)
    assert both.closed
    assert not both.seen[0]


@pytest.mark.parametrize(
    ("quota", "most"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", 8), ("", 8)]
)
def test_a_container_has_no_more_workers_than_processors(
    tmp_path: Path, quota: str, most: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert 1 <= default_workers(tmp_path / "cpu.max") <= most
    assert default_workers(tmp_path / "none") >= default_workers(tmp_path / "cpu.max")
