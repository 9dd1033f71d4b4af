"""What a run did, or would do, as text on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.summary import Failure, Planned, PlannedVideo, Summary
from registry.terminal import Terminal, count, duplicates_note
from registry.urls import printable

_SHOWN = 10


def print_summary(terminal: Terminal, summary: Summary, *, hints: bool = True) -> None:
    """Print what a run did and, with `hints`, what to do next."""
    terminal.say(
        f"{summary.rows} rows: {summary.ingested} videos ingested, {summary.updated} updated, "
        f"{summary.unchanged} unchanged, {len(summary.failures)} failed"
        + (f", {summary.duplicates} repeated" if summary.duplicates else "")
        + (f", {summary.gone} of the last table gone" if summary.gone else "")
    )
    terminal.say(
        f"{summary.frames:,} frames sampled, {summary.faces:,} faces, "
        f"{summary.new_identities} new identities ({summary.total_identities} in all), "
        f"{summary.seconds:.1f} s"
    )
    if summary.blocked:
        terminal.note(f"{summary.blocked:,} faces of blocked people left out")
    if summary.joined_identities:
        terminal.say(f"{summary.joined_identities} identities joined others (`identities undo`)")
    _print_changes(terminal, summary)
    for failure in summary.failures[:_SHOWN]:
        terminal.note(f"failed: {_failure_line(failure)}")
    if len(summary.failures) > _SHOWN:
        terminal.note(f"… and {len(summary.failures) - _SHOWN} more; --json lists them all")
    if hints:
        _print_hints(terminal, summary)


def _failure_line(failure: Failure) -> str:
    """Row, URL and reason; the row only once if the reason begins with it."""
    row = f"row {failure.row}" if failure.row else ""
    reason = failure.reason
    if row and reason.lower().startswith(row):
        reason = reason[len(row) :].lstrip(":, ")
    where = " ".join(word for word in (row, failure.url) if word)
    return f"{where}: {reason}" if where else reason


def _print_hints(terminal: Terminal, summary: Summary) -> None:
    single, total = summary.single_video_identities, summary.total_identities
    if summary.likely_duplicates:
        terminal.note(duplicates_note(summary.likely_duplicates, total))
    elif total >= 4 and single > total / 2:
        terminal.note(f"{single} of {total} identities are in one video only")
    if summary.stopped:
        terminal.note("stopped; run the same command again to continue")
        return
    if summary.failures:
        terminal.note(
            "the next run skips videos that failed; with --retry-failed it reads them again"
        )
    if total:
        terminal.note(
            "next: `face-registry report --csv influencer_performance.csv --zip faces.zip`"
        )


def _print_changes(terminal: Terminal, summary: Summary) -> None:
    """Notes on the table, and what changed of videos on record."""
    for note in summary.notes:
        terminal.note(note)
    _print_some(terminal, summary.same_files)
    updates = sorted(summary.updates.values(), key=lambda update: update.row)
    _print_some(
        terminal,
        [
            f"row {update.row} {update.url}: {', '.join(map(str, update.changes.metrics))}"
            for update in updates
            if update.changes.metrics
        ],
    )
    for metric, cells in summary.blank_cells().items():
        terminal.note(
            f"{printable(metric)}: {count(cells, 'blank cell')} left the earlier value as it is; "
            "--blank-clears takes it away"
        )


def _print_some(terminal: Terminal, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        terminal.note(line)
    if len(lines) > _SHOWN:
        terminal.note(f"… and {len(lines) - _SHOWN} more; --json lists them all")


def print_plan(terminal: Terminal, summary: Summary, planned: Planned) -> None:
    """Print what an ingest would do."""
    table, detected = planned.table, planned.table.detected
    read_as = ", ".join(part for part in (detected.form, detected.encoding, detected.sheet) if part)
    terminal.say(f"{read_as}; the header is row {detected.header_row}")
    terminal.say(f"URLs: {printable(detected.url_column)}")
    for spec in table.metrics:
        unit = table.units.get(spec.name)
        said = f"metric: {printable(str(spec))}"
        terminal.say(f"{said} ({unit})" if unit else said)
    if table.attributes:
        terminal.say(f"attributes: {', '.join(map(printable, table.attributes))}")
    terminal.say(
        f"{summary.rows} rows: {len(planned.new)} new videos, {len(planned.again)} to read again, "
        f"{summary.updated} to update, {summary.unchanged} unchanged, "
        f"{len(summary.failures)} failed, {summary.duplicates} repeated, {summary.gone} of the "
        f"last table gone, {len(table.skipped)} rows skipped"
    )
    for what, videos in (("new", planned.new), ("read again", planned.again)):
        _print_some(terminal, [_planned(what, video) for video in videos])
    if planned.compared:
        terminal.note(f"{count(planned.compared, 'file')} to compare with the server's")
    _print_some(terminal, [f"gone: {url}" for url in planned.gone])
    _print_changes(terminal, summary)
    _print_some(terminal, summary.warnings)
    _print_some(terminal, [f"failed: {_failure_line(failure)}" for failure in summary.failures])
    terminal.note("nothing was done; leave out --plan to do it")


def _planned(what: str, video: PlannedVideo) -> str:
    return f"{what}: row {video.row} {video.url}"
