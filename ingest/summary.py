"""The counts and failures of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of the table that failed."""

    row: int
    """As in a spreadsheet: the header is row 1. 0: the video is not from a table."""
    url: str
    reason: str


@dataclass(slots=True)
class Summary:
    """The counts of one run."""

    run: str
    rows: int = 0
    """Rows of the table that are not blank."""
    ingested: int = 0
    updated: int = 0
    """Videos on record whose metrics changed."""
    unchanged: int = 0
    duplicates: int = 0
    """Rows that repeat the URL of an earlier one."""
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
    """How the table was read: its encoding, rows that were skipped, what decided a sign."""
    seconds: float = 0.0
    stopped: bool = False
    """Whether Ctrl-C ended the run early."""

    @property
    def exit_code(self) -> int:
        """0 done, 3 done but some rows failed, 130 stopped by Ctrl-C."""
        if self.stopped:
            return 130
        return 3 if self.failures else 0

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
            "failures": [{"row": f.row, "url": f.url, "reason": f.reason} for f in self.failures],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
        }
