"""`report --compare` and `report --since-run`: what changed, and by what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from queries.averages import averages
from queries.changes import Moment, changes, moment_of_date, moment_of_run
from queries.frames import changes_frame
from registry.cli import cli
from registry.core.metric_history import with_values
from registry.core.registry import Registry
from registry.core.runs import new_run, recorded
from registry.core.video_changes import revise
from registry.errors import UnknownError, UsageError
from registry.people.corrections import merge
from tests.support.factories import person, video
from tests.support.registries import new_registry, put, who

EARLY = "20260101T000000Z-0000"
A = replace(video("a", [person(0), person(1)], metrics={"Performance": 2.0}), run=EARLY)
B = replace(video("b", [person(0)], metrics={"Performance": 4.0}), run=EARLY)
C = replace(video("c", [person(3)], metrics={"Performance": 5.0}), run=EARLY)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Since the run: Ann has a new video, a changed metric, and the faces of another identity."""
    with new_registry(tmp_path / "home", A, B, C) as opened:
        with recorded(opened, "ingest", run="20260601T120000Z-0000"):
            new = replace(
                video("d", [person(0), person(2)], metrics={"Performance": 9.0}),
                run="20260601T120000Z-0000",
            )
            put(opened, new)
        before = opened.records.get(B.video_id)
        assert before is not None
        revise(opened, with_values(before, "20260601T120000Z-0000", {"Performance": 7.0}))
        opened.name(who(opened, A), "Ann")
        merge(opened, ["Ann", who(opened, C)])
        yield opened


def _rows(registry: Registry, moment: Moment) -> dict[str, dict[str, Any]]:
    return {
        row["identity"]: {str(name): value for name, value in row.items()}
        for row in changes(registry, moment).table.to_dict(orient="records")
    }


def test_a_change_is_split_into_videos_metrics_and_decisions(registry: Registry) -> None:
    found = changes(registry, moment_of_run(registry, "20260601T120000Z-0000"))
    assert (found.new_videos, found.changed_metrics, found.decisions) == (1, 1, 2)
    ann = found.table.iloc[0]
    assert (ann["name"], ann["change"], ann["videos_before"], ann["videos"]) == (
        "Ann", "changed", 2, 4,
    )  # fmt: skip
    assert (ann["mean_before"], ann["mean"]) == (3.0, pytest.approx((2 + 7 + 9 + 5) / 4))
    assert ann["by_videos"] == pytest.approx((2 + 4 + 9) / 3 - 3)
    assert ann["by_metrics"] == pytest.approx(1.0)
    assert ann["by_decisions"] == pytest.approx(5.75 - 6)


def test_people_are_new_joined_or_left_out_if_nothing_changed(registry: Registry) -> None:
    rows = _rows(registry, moment_of_date(date(2026, 5, 1)))
    by_change = {row["change"].split()[0]: row for row in rows.values()}
    assert set(by_change) == {"changed", "new", "joined"}
    assert (by_change["new"]["mean"], by_change["new"]["videos"]) == (9.0, 1)
    assert math.isnan(by_change["new"]["mean_before"])
    assert by_change["joined"]["change"] == f"joined {by_change['changed']['identity']}"
    assert len(rows) == 3, "the second person of the first video stays as it was"


def test_the_state_before_everything_is_empty_and_that_of_now_is_the_report(
    registry: Registry,
) -> None:
    rows = _rows(registry, moment_of_date(date(2025, 1, 1)))
    now = averages(registry).set_index("identity")["average_performance"]
    assert {identity: row["mean"] for identity, row in rows.items()} == pytest.approx(dict(now))
    assert {row["change"] for row in rows.values()} == {"new"}
    for since in (date(2026, 5, 1), "2026-05-01", "20260601T120000Z-0000"):
        assert len(changes_frame(registry, since)) == 3
    later = Moment(datetime(2100, 1, 1, tzinfo=UTC), "21000101T000000Z")
    assert changes(registry, later).table.empty


def test_a_run_that_is_not_there_is_said(registry: Registry) -> None:
    for run in ("yesterday", new_run(), "20260601T120000Z-../../registry"):
        with pytest.raises(UnknownError, match="There is no run"):
            moment_of_run(registry, run)


def test_the_command_prints_and_answers_as_json(registry: Registry, tmp_path: Path) -> None:
    registry.close()

    def call(*arguments: str) -> Any:
        home = ("--home", str(tmp_path / "home"))
        return CliRunner().invoke(cli, [*home, "report", *arguments], catch_exceptions=False)

    result = call("--since-run", "20260601T120000Z-0000", "--csv", str(tmp_path / "out.csv"))
    assert "2 → 4" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "1 new video, 1 video with changed metrics, 2 decisions" in result.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    document = json.loads(call("--compare", "2026-05-01", "--json").stdout)
    assert document["since"] == "2026-05-01T00:00:00+00:00"
    assert document["changes"][0]["change"] == "changed"
    with pytest.raises(UsageError, match="go together with one --metric"):
        call("--compare", "2026-05-01", "--by", "Platform")
    with pytest.raises(UsageError, match="not a date"):
        call("--compare", "last week")
