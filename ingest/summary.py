"""The counts and failures of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

from ingest.row_changes import RowChanges
from ingest.stage_times import Profile
from ingest.tables.table import Table
from registry.errors import RegistryError
from registry.urls import Url

_SHOWN = 10
"""The most failures, and warnings, that the text of a summary lists."""
READ_AGAIN = " The next ingest tries again."


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the table that failed."""

    row: int
    """As in a spreadsheet: the header is row 1. 0: the video is not from a table."""
    url: str
    reason: str
    not_read_yet: bool = False
    """Whether a server, the network or this machine failed: the next run reads the video again."""

    @property
    def row_words(self) -> str:
        """`row 3`, or nothing."""
        return f"row {self.row}" if self.row else ""

    @property
    def plain_reason(self) -> str:
        """The reason without a row and a URL that it begins with, to be shown behind them."""
        reason = self.reason
        for said in (self.row_words, self.url):
            if said and reason.lower().startswith(said.lower()):
                reason = reason[len(said) :].lstrip(":, ")
        return reason


class NothingRead(RegistryError):
    """No video of a run could be read, and no video was at fault."""

    def __init__(self, summary: Summary) -> None:
        """`summary`: the counts and failures of the run, which are on record."""
        failures = [failure for failure in summary.failures if failure.not_read_yet]
        many = f"None of the {len(failures):,} videos" if len(failures) > 1 else "The only video"
        super().__init__(f"{many} could be read. {failures[0].url}: {failures[0].reason}")
        self.summary = summary


@dataclass(frozen=True, slots=True)
class Update:
    """The changes that the rows of a video made to its record."""

    row: int
    url: Url
    changes: RowChanges
    changed: bool
    """Whether it counts as updated."""


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """A row whose video would be read."""

    row: int
    url: Url


@dataclass(slots=True)
class Planned:
    """The result of `ingest --plan`, in addition to the counts of a run."""

    table: Table
    new: list[PlannedVideo] = field(default_factory=list)
    """Videos that would be read for the first time."""
    again: list[PlannedVideo] = field(default_factory=list)
    """Videos on record that would be read again: failed, damaged or replaced ones."""
    compared: int = 0
    """Number of videos whose servers would be asked whether the file was replaced."""
    gone: list[Url] = field(default_factory=list)
    """Videos of the last table that this one does not list."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        table, detected = self.table, self.table.detected
        return {
            "form": detected.form,
            "encoding": detected.encoding,
            "separator": detected.separator,
            "sheet": detected.sheet,
            "header_row": detected.header_row,
            "columns": list(detected.columns),
            "url_column": detected.url_column,
            "metrics": [
                {
                    "metric": spec.name,
                    "as": str(spec),
                    "column": detected.metric_columns.get(spec.name, ""),
                    "unit": table.units.get(spec.name),
                    "decimal": detected.decimals.get(spec.name, ""),
                }
                for spec in table.metrics
            ],
            "attributes": list(table.attributes),
            "new": [{"row": video.row, "url": str(video.url)} for video in self.new],
            "again": [{"row": video.row, "url": str(video.url)} for video in self.again],
            "compared": self.compared,
            "gone": [str(url) for url in self.gone],
            "skipped": [{"row": row.row, "label": row.label} for row in table.skipped],
            "unreadable": [
                {"row": cell.row, "column": cell.column, "cell": cell.cell, "why": cell.why}
                for cell in table.unreadable
            ],
        }


@dataclass(slots=True, repr=False)
class Summary:
    """The counts and failures of one run. In a notebook it says both."""

    run: str
    rows: int = 0
    """Rows of the table that are not blank."""
    ingested: int = 0
    updated: int = 0
    """Videos on record whose metrics changed."""
    unchanged: int = 0
    duplicates: int = 0
    """Rows of a video that another row names too: the same URL, or the same content."""
    gone: int = 0
    """Videos of the last table that this one does not list."""
    repeating: int = 0
    """Videos read in this run that show one person several times in a frame."""
    updates: dict[str, Update] = field(default_factory=dict)
    """By the id of each video on record that the table lists."""
    same_files: list[str] = field(default_factory=list)
    """Sentences on URLs that became other names of videos."""
    changed_files: int = 0
    """Videos whose files were replaced since they were read, and were not read again."""
    frames: int = 0
    """Sampled frames."""
    faces: int = 0
    blocked: int = 0
    """Faces left out because the person is blocked."""
    new_identities: int = 0
    """Identities established in this run, before consolidation."""
    total_identities: int = 0
    provisional_identities: int = 0
    """Identities of the whole registry that may not be a person; not in the other counts."""
    single_video_identities: int = 0
    """Identities of the whole registry that are in one video only."""
    joined_identities: int = 0
    """Identities that consolidation joined to others at the end of this run."""
    likely_duplicates: int = 0
    """Identities of the whole registry that consolidation would join to others."""
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences on how the table was read: its encoding, skipped rows, decimal signs."""
    planned: Planned | None = None
    """The result of `--plan`; None for a run."""
    seconds: float = 0.0
    profile: Profile = field(default_factory=Profile)
    """Where the time went."""
    stopped: bool = False
    """Whether Ctrl-C ended the run early."""

    def __repr__(self) -> str:
        """The main counts, then a line for each of the first failures and warnings."""
        return "\n".join((self._counts, *self._lines()))

    def _repr_html_(self) -> str:
        """The same as HTML, with all text escaped."""
        lines = "".join(f"<li>{escape(line)}</li>" for line in self._lines())
        return f"<p>{escape(self._counts)}</p>" + (f"<ul>{lines}</ul>" if lines else "")

    @property
    def _counts(self) -> str:
        return (
            f"{self.rows:,} rows: {self.ingested:,} ingested, {self.updated:,} updated, "
            f"{self.unchanged:,} unchanged, {len(self.failures):,} failed; {self.faces:,} faces, "
            f"{self.total_identities:,} identities"
            + (f", {self.likely_duplicates:,} likely duplicates" if self.likely_duplicates else "")
        )

    def _lines(self) -> list[str]:
        lines = [
            f"{'Not read yet' if one.not_read_yet else 'Failed'}: "
            f"{', '.join(word for word in (one.row_words, one.url) if word)}: {one.plain_reason}"
            for one in self.failures[:_SHOWN]
        ]
        if len(self.failures) > _SHOWN:
            lines.append(f"{len(self.failures) - _SHOWN:,} more failed; `failures` lists all.")
        return [*lines, *(f"Warning: {warning}" for warning in self.warnings[:_SHOWN])]

    @property
    def exit_code(self) -> int:
        """0 done, 3 done but some rows failed, 130 stopped by Ctrl-C."""
        if self.stopped:
            return 130
        return 3 if self.failures else 0

    def forget_update(self, video_id: str) -> None:
        """Take a video out of the counts of updated and unchanged ones."""
        known = self.updates.pop(video_id, None)
        if known is not None:
            self.updated -= known.changed
            self.unchanged -= not known.changed

    def blank_cells(self) -> dict[str, int]:
        """By metric, how many videos keep a value because their cell is blank."""
        counts: dict[str, int] = {}
        for update in self.updates.values():
            for name in update.changes.blank:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def _update_documents(self) -> list[dict[str, Any]]:
        return [
            {
                "row": update.row,
                "url": str(update.url),
                "metric": change.metric,
                "from": change.before,
                "to": change.after,
            }
            for update in sorted(self.updates.values(), key=lambda update: update.row)
            for change in update.changes.metrics
        ]

    def counts(self) -> dict[str, Any]:
        """The counts, without rows, videos or persons."""
        return {
            "videos": {
                "rows": self.rows,
                "ingested": self.ingested,
                "updated": self.updated,
                "unchanged": self.unchanged,
                "duplicates": self.duplicates,
                "failed": len(self.failures),
                "gone": self.gone,
                "repeating": self.repeating,
            },
            "frames": self.frames,
            "faces": self.faces,
            "blocked": self.blocked,
            "identities": {
                "new": self.new_identities,
                "total": self.total_identities,
                "in_one_video": self.single_video_identities,
                "joined": self.joined_identities,
                "likely_duplicates": self.likely_duplicates,
                "provisional": self.provisional_identities,
            },
        }

    def as_dict(self) -> dict[str, Any]:
        """The document of `ingest --json`."""
        return {
            "run": self.run,
            **self.counts(),
            "failures": [asdict(failure) for failure in self.failures],
            "updates": self._update_documents(),
            "blank_cells": self.blank_cells(),
            "same_files": list(self.same_files),
            "changed_files": self.changed_files,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            **({"plan": self.planned.as_dict()} if self.planned else {}),
        }
