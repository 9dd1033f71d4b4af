"""The command `report`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.table import Table

from queries.averages import LAST_AVERAGE, best_first
from queries.documents import report_head
from queries.export import export_csv, write_excel, write_parquet, write_zip
from queries.figures import figure, interval
from queries.list_commands import all_option, left_out, not_counted, stills_option
from queries.page.asking import Asked
from queries.page.redaction import REDACTIONS
from queries.page.writing import save_page
from queries.report import IDENTITY_RANGE, SORTS, Report, as_date, make_report, make_selection
from queries.selections import ANY, ROLES, Selection
from registry.core.exports import record_exports
from registry.core.registry import Registry
from registry.errors import UsageError
from registry.terminal import (
    Terminal,
    clean,
    count,
    csv_options,
    duplicates_note,
    json_option,
    output_file,
    pass_terminal,
    repeat_if_outdated,
    short,
)

_SHOWN = 40


def selection_options(function: Any) -> Any:
    """Add the options that select videos, and people in them; see `selection_of`."""
    for option in reversed(
        (
            click.option(
                "--where", "conditions", multiple=True, metavar="CONDITION",
                help="Only videos whose attributes fulfil this, such as Platform=TikTok. Repeat "
                "for several.",
            ),
            click.option(
                "--since", metavar="DATE", help="Only videos published on this day or later."
            ),
            click.option(
                "--date-column", default="", metavar="COLUMN",
                help="The attribute that says when a video was published.  [default: the only one "
                "that holds dates]",
            ),
            click.option(
                "--role", type=click.Choice(ROLES), default=ANY, show_default=True,
                help="main: count a person only in videos whose main person they are, who is "
                "longest on screen.",
            ),
            click.option(
                "--within", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                help="Count a person only in videos that show them in the first seconds.",
            ),
            click.option(
                "--min-screen-time", type=click.FloatRange(min=0), default=0, metavar="SECONDS",
                help="Count a person only in videos that show them at least so long.",
            ),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def selection_of(options: dict[str, Any]) -> Selection:
    """The selection in the values of `selection_options`, which are taken out of the options."""
    return make_selection(
        where=options.pop("conditions"),
        since=options.pop("since") or None,
        date_column=options.pop("date_column"),
        role=options.pop("role"),
        within=options.pop("within"),
        min_screen_time=options.pop("min_screen_time"),
    )


@click.command("report")
@click.option(
    "--metric", "metrics", multiple=True,
    help="The metric. Repeat for several: the first one orders the rows.  [default: the primary "
    "metric]",
)  # fmt: skip
@click.option(
    "--sort", type=click.Choice(SORTS), default="shrunk", show_default=True,
    help="Order of the rows, highest first (p and name: lowest first).",
)  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), help="The number of rows.  [default: all]")
@click.option(
    "--min-videos", type=click.IntRange(min=1), default=1, show_default=True,
    help="Leave out people in fewer videos. The numbers of the others stay the same.",
)  # fmt: skip
@selection_options
@click.option(
    "--by", default="", metavar="COLUMN",
    help="Make rows of their own for each value of this attribute.",
)  # fmt: skip
@click.option(
    "--weight", default="", metavar="METRIC",
    help="Weight means with this metric; none: do not weight.  [default: by the metric's kind, as "
    "in ROAS:mean@Spend]",
)  # fmt: skip
@click.option("--log", is_flag=True, help="Show geometric means and ratios.")
@click.option(
    "--adjust", multiple=True, metavar="COLUMN",
    help="Compare videos with equal values of this attribute. Repeat for several.",
)  # fmt: skip
@click.option(
    "--identity-range", is_flag=True,
    help="Add the lowest and the highest mean over all plausible joins and splits of identities.",
)  # fmt: skip
@click.option(
    "--compare", metavar="DATE", help="Show what changed since the beginning of this day (UTC)."
)
@click.option(
    "--since-run", metavar="RUN",
    help="Show what changed since this run began; `status --runs` lists runs.",
)  # fmt: skip
@csv_options(
    "Write the table to this file: all columns if --metric or another option above is given, else "
    "the averages, the highest first."
)
@click.option(
    "--parquet", "parquet_path", type=output_file("Parquet"),
    help="Write the table to this file, and the appearances and videos to two files beside it.",
)  # fmt: skip
@click.option(
    "--excel", "excel_path", type=output_file("Excel"),
    help="Write the table, the appearances and the videos to the sheets of this workbook (.xlsx).",
)  # fmt: skip
@click.option(
    "--zip", "zip_path", type=output_file("zip"),
    help="Write all face images to this file, with the faces of others masked.",
)  # fmt: skip
@click.option(
    "--html", "html_path", type=output_file("HTML"),
    help="Write a page with the answer, every person and every video to this file: to be read, "
    "printed and sent. It needs no network. See docs/PAGES.md.",
)  # fmt: skip
@click.option(
    "--redact", "redact", multiple=True, type=click.Choice(REDACTIONS),
    help="With --html: leave names, faces or the URLs of videos out of the page. Repeat for "
    "several.",
)  # fmt: skip
@click.option(
    "--coco", "coco_path", type=output_file("JSON"),
    help="Write the boxes, tracks and identities of all faces to this file, as COCO (JSON).",
)  # fmt: skip
@click.option(
    "--fiftyone", "fiftyone_path", type=click.Path(path_type=Path, file_okay=False),
    help="Write them to this folder, as video labels for FiftyOne.",
)  # fmt: skip
@click.option(
    "--unmasked", is_flag=True,
    help="With --zip: do not mask the faces of other people in the margins of face images.",
)  # fmt: skip
@click.option(
    "--as-of", type=click.IntRange(min=0),
    help="Use decisions up to this number only; 0: none. See `identities list --decisions`.",
)  # fmt: skip
@all_option
@stills_option
@json_option
@pass_terminal
@repeat_if_outdated
def report_command(
    terminal: Terminal,
    /,
    metrics: tuple[str, ...],
    compare: str | None,
    since_run: str | None,
    csv_path: Path | None,
    csv_for_excel: str | None,
    parquet_path: Path | None,
    excel_path: Path | None,
    zip_path: Path | None,
    html_path: Path | None,
    redact: tuple[str, ...],
    coco_path: Path | None,
    fiftyone_path: Path | None,
    unmasked: bool,
    as_of: int | None,
    provisional: bool,
    stills: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show how the videos with each person perform, and how sure that is, each video once.

    The order is that of the shrunk mean, which is fair to people in few videos. docs/METRICS.md
    defines all numbers.
    """
    for option, path in (("zip", zip_path), ("coco", coco_path), ("fiftyone", fiftyone_path)):
        if path and as_of is not None:
            raise UsageError(
                f"--{option} and --as-of do not go together: the {option} holds the current "
                "identities. Leave one out."
            )
    if unmasked and not zip_path:
        raise UsageError("--unmasked is for --zip. Give --zip PATH, or leave --unmasked out.")
    if redact and not html_path:
        raise UsageError("--redact is for --html. Give --html PATH, or leave --redact out.")
    is_plain = not any(map(_is_given, ("metrics", *options)))
    selection = selection_of(options)
    if compare or since_run:
        others = (
            compare and since_run,
            len(metrics) > 1,
            parquet_path,
            excel_path,
            zip_path,
            html_path,
            coco_path,
            fiftyone_path,
        )
        if (
            any(others)
            or as_of is not None
            or options["by"]
            or options["adjust"]
            or options["identity_range"]
        ):
            raise UsageError(
                "--compare and --since-run go together with one --metric, --weight, --csv, --json "
                "and the options that select videos and people. Leave the others out."
            )
        from queries.change_commands import print_changes
        from queries.changes import changes, moment_of_date, moment_of_run

        with terminal.open_to_read() as registry:
            moment = (
                moment_of_run(registry, since_run)
                if since_run
                else moment_of_date(as_date(compare or ""))
            )
            changed = changes(
                registry,
                moment,
                metric=metrics[0] if metrics else "",
                weight=options["weight"],
                selection=selection,
                provisional=provisional,
                stills=stills,
            )
            if csv_path:
                export_csv(registry, changed.table, csv_path, for_excel=csv_for_excel)
        if csv_path:
            terminal.note(f"Wrote {csv_path} with {count(len(changed.table), 'change')}.")
        print_changes(terminal, moment, changed, as_json=as_json)
        return
    with terminal.open_to_read() as registry:
        everybody = make_report(
            registry, metrics, selection, as_of=as_of, provisional=provisional, stills=stills,
            **{**options, "top": None},
        )  # fmt: skip
        found = everybody.first(options["top"])
        pictures = sum(one.still for one in found.people.values())
        head = {**report_head(registry, as_of), "still_pictures": pictures}
        identities = registry.index.count_identities()
        if csv_path:
            # Scripts read this file: without a question of its own, it keeps its columns and order.
            table = found.table
            if is_plain:
                table = best_first(table.loc[:, :LAST_AVERAGE])
            export_csv(registry, table, csv_path, for_excel=csv_for_excel)
            rows = count(len(table), "identity", "identities")
            terminal.note(f"Wrote {csv_path} with {rows}.")
        if parquet_path or excel_path:
            from queries.frames import appearances_frame, videos_frame

            tables = {
                "people": found.table,
                "appearances": appearances_frame(registry, provisional=provisional),
                "videos": videos_frame(registry),
            }
            if parquet_path:
                paths = write_parquet(tables, parquet_path)
                record_exports(registry, "parquet", paths)
                terminal.note(f"Wrote {', '.join(map(str, paths))}.")
            if excel_path:
                write_excel(tables, excel_path)
                record_exports(registry, "excel", [excel_path])
                terminal.note(f"Wrote {excel_path} with the sheets {', '.join(tables)}.")
        if zip_path:
            faces = write_zip(registry, zip_path, unmasked=unmasked)
            terminal.note(f"Wrote {zip_path} with {count(faces, 'face image')}.")
        if coco_path or fiftyone_path:
            from queries.annotations import write_coco, write_fiftyone

            for path, write in ((coco_path, write_coco), (fiftyone_path, write_fiftyone)):
                if path:
                    terminal.note(f"Wrote {path} with {count(write(registry, path), 'face')}.")
        if html_path:
            if not _is_given("sort"):
                options["sort"] = ""
            asked = Asked(
                metrics, selection, as_of=as_of, provisional=provisional, stills=stills,
                redact=frozenset(redact), **options,
            )  # fmt: skip
            _write_page(terminal, registry, asked, html_path, everybody)
    if as_json:
        terminal.json({**head, **_asked(found), "rows": found.table.to_dict(orient="records")})
    else:
        print_report(terminal, found)
    if head["likely_duplicates"]:
        terminal.note(duplicates_note(head["likely_duplicates"], identities))
    if head["provisional"] and not provisional:
        terminal.note(left_out(head["provisional"]))
    if pictures and not stills:
        terminal.note(not_counted(pictures))


def _write_page(
    terminal: Terminal, registry: Registry, asked: Asked, path: Path, found: Report
) -> None:
    with terminal.working(f"Making a page of {count(found.videos, 'video')}…"):
        page = save_page(registry, path, asked, found)
    size = path.stat().st_size / 1e6
    videos, people = count(len(page.videos), "video"), count(len(page.people), "person", "people")
    terminal.note(f"Wrote {path} with {people} and {videos}, {size:.1f} MB.")


def _is_given(parameter: str) -> bool:
    source = click.get_current_context().get_parameter_source(parameter)
    return source not in (ParameterSource.DEFAULT, None)


def _asked(found: Report) -> dict[str, Any]:
    return {
        "selected": found.videos,
        "scale": "log" if found.log else "linear",
        "weights": {
            name: weight or None for name, weight in zip(found.metrics, found.weights, strict=True)
        },
    }


def print_report(terminal: Terminal, found: Report) -> None:
    """Print a table for each metric; on a terminal, its first rows."""
    rows = found.table.to_dict(orient="records")
    shown = rows[:_SHOWN] if terminal.out.is_terminal else rows
    for place, (metric, weight) in enumerate(zip(found.metrics, found.weights, strict=True)):
        if len(found.metrics) > 1:
            terminal.say(f"{'' if place == 0 else chr(10)}{clean(metric)}")
        _print_metric(terminal, shown, found, metric)
        if found.weightless[place]:
            some = count(found.weightless[place], "video")
            terminal.note(
                f"{some} with a {clean(metric)} and no {clean(weight)} did not count: a weighted "
                "mean needs both."
            )
    if len(rows) > len(shown):
        terminal.note(
            f"{len(rows) - len(shown)} more are not shown. --csv PATH or --json has all of them."
        )
    terminal.note(_legend(found))


def _print_metric(
    terminal: Terminal, rows: list[dict[Any, Any]], found: Report, metric: str
) -> None:
    grid = Table(box=None, pad_edge=False)
    if found.by:
        grid.add_column(clean(found.by))
    grid.add_column("identity")
    grid.add_column("name")
    for heading in ("videos", f"mean {clean(metric)}", "total", "shrunk", "difference (95 %)"):
        grid.add_column(heading, justify="right")
    grid.add_column("verdict")
    ranged = f"{IDENTITY_RANGE[0]}_{metric}" in found.table
    if ranged:
        grid.add_column("by identities", justify="right")
    for row in rows:
        grid.add_row(
            *((clean(row[f"by_{found.by}"]) or "-",) if found.by else ()),
            short(row["identity"]),
            clean(row["name"]) or "-",
            _number_of_videos(row[f"n_{metric}"]),
            *(figure(row[f"{measure}_{metric}"]) for measure in ("mean", "total", "shrunk")),
            _difference(row, metric, found.log),
            row[f"verdict_{metric}"],
            *((_identity_range(row, metric),) if ranged else ()),
        )
    terminal.table(
        grid,
        drop=("total", "difference (95 %)", "shrunk"),
        shorten={"name": 16, clean(found.by): 12},
    )


def _identity_range(row: dict[Any, Any], metric: str) -> str:
    """`6.80 to 7.40`; `-` where no plausible join or split moves the mean."""
    low, high = (figure(row[f"{name}_{metric}"]) for name in IDENTITY_RANGE)
    return "-" if low == high else f"{low} to {high}"


def _number_of_videos(value: float) -> str:
    return "0" if math.isnan(value) else f"{value:,.0f}"


def _difference(row: dict[Any, Any], metric: str, log: bool) -> str:
    """`+1.2 (0.3 to 2.1)`, on the scale `log` in percent."""
    middle, low, high = (row[f"{name}_{metric}"] for name in ("difference", "low", "high"))
    if log and not math.isnan(middle):
        return f"{100 * middle:+,.0f} % ({100 * low:,.0f} to {100 * high:,.0f})"
    return interval(middle, low, high)


def _legend(found: Report) -> str:
    weighted = [
        f"{clean(metric)} by {clean(weight)}"
        for metric, weight in zip(found.metrics, found.weights, strict=True)
        if weight
    ]
    means = "geometric means" if found.log else "means"
    about = f"{means}, weighted: {', '.join(weighted)}" if weighted else means
    ranged = (
        " by identities: the range of the mean over plausible joins and splits."
        if f"{IDENTITY_RANGE[0]}_{found.metrics[0]}" in found.table
        else ""
    )
    return (
        f"{count(found.videos, 'video')}; {about}. shrunk: the mean drawn towards that of all, the "
        "more the fewer videos. difference: from the videos without the person; associations, not "
        f"causes.{ranged} Definitions: docs/METRICS.md."
    )
