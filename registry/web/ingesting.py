"""Ingests that are started from a page: one at a time, in the background, watched by any page."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ingest.api import ingest, retry
from ingest.fetch.addresses import AddressPolicy
from ingest.summary import Failure, Summary
from registry.core.registry import Registry
from registry.errors import RegistryError, UnknownError, UsageError
from registry.system.paths import remove_tree
from registry.system.privacy import make_private_folder
from registry.web.workspace import Workspace

TABLE_BYTES = 64 << 20
"""Largest table that is taken from a browser; the command line takes larger ones."""
WAIT_OR_STOP = "Wait until it has finished, or stop it."
"""What to do about an ingest that is under way."""
_KEPT = 8
"""Files that were sent and are kept; the oldest goes first."""
_LINES = 8
"""Last videos that a page of an ingest shows."""
_NOT_IN_NAMES = re.compile(r"[^\w.\- ]")
_LONGEST_NAME = 100
"""Characters of a file name that are kept."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a browser sent: a table, or answers."""

    key: str
    path: Path
    name: str

    def without_folder(self, message: str) -> str:
        """The message with the name of the file in place of its path on the server."""
        return message.replace(f"{self.path.parent}/", "")


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """What the sender of a table says about it. None and empty: as last time."""

    url_column: str | None = None
    metrics: tuple[str, ...] = ()
    url_template: str | None = None
    decimal: Literal[".", ","] | None = None
    units: dict[str, str] = field(default_factory=dict)
    sheet: str | None = None
    encoding: str | None = None
    base_folder: Path | None = None
    allow_local_files: bool = False
    allow_private: bool = False
    """Whether addresses of private networks may be reached."""
    retry_failed: bool = False
    blank_clears: bool = False
    reread_changed: bool = False
    consolidate: bool | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    name: str
    total: int = 0
    done: int = 0
    faces: int = 0
    identities: int = 0
    lines: tuple[tuple[str, str], ...] = ()
    """The last videos, newest first: URL and outcome."""
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    stopping: bool = False
    summary: Summary | None = None
    """Once it is done."""
    error: str = ""
    """Why it ended early."""

    @property
    def is_over(self) -> bool:
        """Whether it ended."""
        return self.summary is not None or bool(self.error)

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, by what the videos so far took; None before the first one."""
        return self.elapsed_s / self.done * (self.total - self.done) if self.done else None


class IngestDesk:
    """Takes files, and runs one ingest at a time."""

    def __init__(self, workspace: Workspace, folder: Path, *, workers: int | None = None) -> None:
        """`folder` is for files that browsers send; it is emptied now and by `close`."""
        self._workspace, self._folder, self._workers = workspace, folder, workers
        self._uploads: dict[str, Upload] = {}
        self._changed = threading.Condition()
        self._progress: Progress | None = None
        self._version = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        shutil.rmtree(folder, ignore_errors=True)

    @property
    def is_running(self) -> bool:
        """Whether an ingest is under way."""
        return self._progress is not None and not self._progress.is_over

    def refuse_while_running(self, advice: str = WAIT_OR_STOP) -> None:
        """Raise `UsageError` with what to do, if an ingest is under way."""
        if self.is_running:
            raise UsageError(f"An ingest is under way. {advice}")

    @property
    def progress(self) -> Progress | None:
        """Of the ingest that is under way, or else of the last one; None before the first."""
        return self._progress

    def take(self, name: str, content: BinaryIO) -> Upload:
        """Store a file. Its name decides how it is read; only the last part of it is kept."""
        make_private_folder(self._folder)
        key = secrets.token_hex(16)
        own = _NOT_IN_NAMES.sub("_", name.replace("\\", "/").rpartition("/")[2])[-_LONGEST_NAME:]
        own = own.lstrip(".") or "table.csv"
        folder = self._folder / key
        make_private_folder(folder)
        upload = Upload(key, folder / own, own)
        with upload.path.open("wb") as file:
            shutil.copyfileobj(content, file)
        self._uploads[key] = upload
        for old in list(self._uploads)[:-_KEPT]:
            remove_tree(self._uploads.pop(old).path.parent)
        return upload

    def upload(self, key: str) -> Upload:
        """A file that was sent. Raises `UnknownError` if it is not kept any more."""
        if key not in self._uploads:
            raise UnknownError("The file is not here any more. Send it again.")
        return self._uploads[key]

    def plan(self, upload: Upload, question: TableQuestion) -> Summary:
        """What an ingest of the table would do. Errors are those of `ingest.api.ingest`."""
        with self._workspace.reading() as registry:
            return _ingest(registry, upload, question, plan=True)

    def start(self, upload: Upload, question: TableQuestion) -> None:
        """Ingest a table in the background. Raises `UsageError` if an ingest is under way."""

        def work(registry: Registry) -> Summary:
            return _ingest(
                registry, upload, question, workers=self._workers, reporter=self,
                stop=self._stop, turn=self._workspace,
            )  # fmt: skip

        self._start(upload.name, work)

    def retry(self, videos: tuple[str, ...] = ()) -> None:
        """Read failed, partial and damaged videos again: these, or all."""

        def work(registry: Registry) -> Summary:
            return retry(
                registry, videos, workers=self._workers, reporter=self, stop=self._stop,
                turn=self._workspace,
            )  # fmt: skip

        self._start("videos that failed", work)

    def stop(self) -> None:
        """End the ingest after the video that is being recorded; what is recorded stays."""
        self._stop.set()
        self._update(lambda progress: replace(progress, stopping=True))

    def close(self) -> None:
        """Stop, wait for the end, and remove the files."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self, version: int, timeout_s: float) -> tuple[int, Progress | None]:
        """The progress once it is another than that of `version`, at the latest after a time."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout_s)
            return self._version, self._progress

    # --- the reporter of the run ------------------------------------------------------------------

    def begin(self, videos: int) -> None:
        """As `ingest.progress.Reporter.begin`."""
        self._update(lambda progress: replace(progress, total=videos))

    def advance(self, summary: Summary, url: str, outcome: str) -> None:
        """As `ingest.progress.Reporter.advance`."""
        self._update(
            lambda progress: replace(
                progress,
                done=progress.done + 1,
                faces=summary.faces,
                identities=summary.total_identities,
                lines=((url, outcome), *progress.lines[: _LINES - 1]),
                failures=tuple(summary.failures),
                elapsed_s=summary.seconds,
            )
        )

    def warn(self, message: str) -> None:
        """As `ingest.progress.Reporter.warn`."""
        self._update(lambda progress: replace(progress, warnings=(*progress.warnings, message)))

    # --- inside -----------------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[Registry], Summary]) -> None:
        with self._changed:
            self.refuse_while_running()
            self._stop.clear()
            self._progress = Progress(name)
            self._version += 1
            self._changed.notify_all()
        self._thread = threading.Thread(target=self._run, args=(work,), name="ingest")
        self._thread.start()

    def _run(self, work: Callable[[Registry], Summary]) -> None:
        started = time.monotonic()
        try:
            with self._workspace.ingesting() as registry:
                summary = work(registry)
            self._update(
                lambda progress: replace(
                    progress,
                    summary=summary,
                    failures=tuple(summary.failures),
                    faces=summary.faces,
                    elapsed_s=time.monotonic() - started,
                )
            )
        except Exception as exc:
            known = isinstance(exc, RegistryError)
            text = str(exc) if known else f"An unexpected error ended it: {type(exc).__name__}."
            self._update(lambda progress: replace(progress, error=text))

    def _update(self, change: Callable[[Progress], Progress]) -> None:
        with self._changed:
            if self._progress is not None:
                self._progress = change(self._progress)
                self._version += 1
                self._changed.notify_all()


def _ingest(registry: Registry, upload: Upload, question: TableQuestion, **how: Any) -> Summary:
    """Call `ingest.api.ingest` with a table and what its sender says about it."""
    return ingest(
        registry,
        upload.path,
        url_column=question.url_column,
        metrics=question.metrics or None,
        url_template=question.url_template,
        decimal=question.decimal,
        units=question.units,
        sheet=question.sheet,
        encoding=question.encoding,
        base_folder=question.base_folder,
        allow_local_files=question.allow_local_files,
        policy=AddressPolicy(allow_private=question.allow_private),
        retry_failed=question.retry_failed,
        blank_clears=question.blank_clears,
        reread_changed=question.reread_changed,
        consolidate=question.consolidate,
        purpose=question.purpose,
        **how,
    )
