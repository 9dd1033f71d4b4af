"""Prints the summary of a run, or its plan, to the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.summary import Failure, Planned, PlannedVideo, Summary
from registry.terminal import Terminal, count, duplicates_note
from registry.urls import printable

_SHOWN = 10


def print_summary(terminal: Terminal, summary: Summary, *, hints: bool = True) -> None:
    """Print what a run did and, with `hints`, what to do next."""
    terminal.say(
        f"{count(summary.rows, 'row')}: {count(summary.ingested, 'video')} ingested, "
        f"{summary.updated:,} updated, {summary.unchanged:,} unchanged, "
        f"{len(summary.failures):,} failed"
        + (f", {summary.duplicates:,} repeated" if summary.duplicates else "")
        + (f", {summary.gone:,} of the last table gone" if summary.gone else "")
    )
    terminal.say(
        f"{count(summary.frames, 'frame')} sampled, {count(summary.faces, 'face')}, "
        f"{count(summary.new_identities, 'new identity', 'new identities')} "
        f"({summary.total_identities:,} in all), {summary.seconds:.1f} s"
    )
    if summary.blocked:
        terminal.note(f"Left out {count(summary.blocked, 'face')} of blocked people.")
    if summary.repeating:
        terminal.note(
            f"{count(summary.repeating, 'video')} with one person several times in a frame (a "
            "mirror, a screen, before and after). Such faces are no proof of two people."
        )
    if summary.joined_identities:
        joined = count(summary.joined_identities, "identity", "identities")
        terminal.say(f"Joined {joined} to others. `face-registry identities undo` takes it back.")
    _print_changes(terminal, summary)
    for failure in summary.failures[:_SHOWN]:
        label = "not read yet" if failure.not_read_yet else "failed"
        terminal.note(f"{label}: {_failure_line(failure)}")
    _print_rest(terminal, len(summary.failures))
    if hints:
        _print_hints(terminal, summary)


def _failure_line(failure: Failure) -> str:
    where = " ".join(word for word in (failure.row_words, failure.url) if word)
    return f"{where}: {failure.plain_reason}" if where else failure.plain_reason


def _print_hints(terminal: Terminal, summary: Summary) -> None:
    single, total = summary.single_video_identities, summary.total_identities
    if summary.likely_duplicates:
        terminal.note(duplicates_note(summary.likely_duplicates, total))
    elif total >= 4 and single > total / 2:
        terminal.note(f"{single:,} of {total:,} identities are in one video only.")
    if summary.stopped:
        terminal.note("Stopped. Run the same command again to continue.")
        return
    if not all(failure.not_read_yet for failure in summary.failures):
        terminal.note(
            "The next run skips videos that failed. Use --retry-failed to read them again."
        )
    if total:
        terminal.note(
            "Next: `face-registry report --csv influencer_performance.csv --zip faces.zip`."
        )


def _print_changes(terminal: Terminal, summary: Summary) -> None:
    """Print the notes on the table, and the changes of videos on record."""
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
            f"{printable(metric)}: {count(cells, 'blank cell')} left the earlier value unchanged. "
            "Use --blank-clears to remove it."
        )


def _print_some(terminal: Terminal, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        terminal.note(line)
    _print_rest(terminal, len(lines))


def _print_rest(terminal: Terminal, total: int) -> None:
    """Print how many of `total` lines are not shown, if any."""
    if total > _SHOWN:
        terminal.note(f"… and {total - _SHOWN:,} more. --json lists all of them.")


def print_plan(terminal: Terminal, summary: Summary, planned: Planned) -> None:
    """Print what an ingest of the table would do."""
    table, detected = planned.table, planned.table.detected
    read_as = ", ".join(part for part in (detected.form, detected.encoding, detected.sheet) if part)
    terminal.say(f"{read_as}; the header is row {detected.header_row}")
    terminal.say(f"URLs: {printable(detected.url_column)}")
    for spec in table.metrics:
        unit = table.units.get(spec.name)
        line = f"metric: {printable(str(spec))}"
        terminal.say(f"{line} ({unit})" if unit else line)
    if table.attributes:
        terminal.say(f"attributes: {', '.join(map(printable, table.attributes))}")
    terminal.say(
        f"{count(summary.rows, 'row')}: {count(len(planned.new), 'new video')}, "
        f"{len(planned.again):,} to read again, {summary.updated:,} to update, "
        f"{summary.unchanged:,} unchanged, {len(summary.failures):,} failed, "
        f"{summary.duplicates:,} repeated, {summary.gone:,} of the last table gone, "
        f"{count(len(table.skipped), 'row')} skipped"
    )
    for label, videos in (("new", planned.new), ("read again", planned.again)):
        _print_some(terminal, [_planned_line(label, video) for video in videos])
    if planned.compared:
        compared = count(planned.compared, "video")
        terminal.note(f"The servers of {compared} would be asked whether the file has changed.")
    _print_some(terminal, [f"gone: {url}" for url in planned.gone])
    _print_changes(terminal, summary)
    _print_some(terminal, summary.warnings)
    _print_some(terminal, [f"failed: {_failure_line(failure)}" for failure in summary.failures])
    terminal.note("Nothing was changed. Leave out --plan to ingest the table.")


def _planned_line(label: str, video: PlannedVideo) -> str:
    return f"{label}: row {video.row} {video.url}"
