"""A registry as tables, and the files that hold them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

import face_registry as fr
from queries.export import write_excel
from queries.frames import APPEARANCE_TYPES, FACE_TYPES, IDENTITY_TYPES, VIDEO_TYPES
from registry.cli import cli
from registry.core.registry import Registry
from registry.errors import UsageError
from tests.support.factories import person, video
from tests.support.registries import new_registry, who

PYTHON = (Path(__file__).parents[2] / "docs" / "PYTHON.md").read_text(encoding="utf-8")
A = replace(
    video("a", [person(0), person(0), person(1)], metrics={"Performance": 10.0, "url": 1.0}),
    attributes={
        "Ad": 7,
        "Day": ("2026-06-01", "2026-06-02"),
        "Thumbnail": f"https://cdn.example.com/t.jpg?X-Amz-Signature={'5' * 64}",
    },
)
B = replace(
    video("b", [person(0)], metrics={"Performance": 20.0}), attributes={"Ad": "seven", "Day": "x"}
)
C = video("c", [], metrics={})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("frames") / "home"
    with new_registry(home, A, B, C) as registry:
        registry.name(who(registry, A), "=Ann")
        fr.join_videos(registry, [A.url.exposed(), B.url.exposed()])
    return home


@pytest.fixture(scope="module")
def registry(home: Path) -> Iterator[Registry]:
    with fr.open_registry(home=home) as opened:
        yield opened


def test_identities_are_a_table(registry: Registry) -> None:
    table = fr.identities_frame(registry)
    assert dict(table.dtypes.astype(str)) == IDENTITY_TYPES
    assert list(table["name"]) == ["=Ann", ""]
    assert list(table["videos"]) == [1, 1]


def test_videos_have_metrics_and_attributes_as_columns(registry: Registry) -> None:
    table = fr.videos_frame(registry).set_index("video")
    assert list(table.columns) == [
        *list(VIDEO_TYPES)[1:], "Performance", "url (metric)", "Ad", "Day", "Thumbnail",
    ]  # fmt: skip
    a = table.loc[A.video_id]
    assert (a["Ad"], a["Day"], a["people"]) == ("7", "2026-06-01, 2026-06-02", 2)
    assert a["Thumbnail"].endswith("X-Amz-Signature=***")
    assert table.loc[B.video_id, "counts_as"] == A.video_id
    assert table["Performance"].isna()[C.video_id]


def test_appearances_say_who_is_in_which_video(registry: Registry) -> None:
    table = fr.appearances_frame(registry)
    assert dict(table.dtypes.astype(str)) == APPEARANCE_TYPES
    ann = table[(table["name"] == "=Ann") & (table["video"] == A.video_id)].iloc[0]
    assert (ann["faces"], ann["main"], ann["share"]) == (2, True, pytest.approx(2 / 3))
    assert len(table) == 3


def test_appearances_and_videos_are_what_the_statistics_take(registry: Registry) -> None:
    table = fr.statistics.performance(
        fr.appearances_frame(registry).rename(columns={"identity": "person"}),
        fr.videos_frame(registry),
        "Performance",
    )
    assert sorted(table["mean"]) == [10.0, 15.0], "here joined videos are two"


def test_faces_have_boxes_and_times(registry: Registry) -> None:
    table = fr.faces_frame(registry)
    assert dict(table.dtypes.astype(str)) == FACE_TYPES
    assert len(table) == 4
    assert (table["y2"] - table["y1"]).tolist() == [60.0] * 4


def test_persons_by_video_are_seconds_with_joined_videos_as_one(registry: Registry) -> None:
    table = fr.persons_by_video(registry)
    assert sorted(table.index) == sorted([A.video_id, C.video_id])
    assert table.loc[C.video_id].sum() == 0
    assert sorted(table.loc[A.video_id]) == pytest.approx([1 / 3, 2 / 3])


def test_pairs_are_a_table(registry: Registry) -> None:
    [row] = fr.pairs_frame(registry).to_dict(orient="records")
    assert (row["videos"], row["mean_together"]) == (1, 10.0)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("identities_frame", IDENTITY_TYPES),
        ("videos_frame", VIDEO_TYPES),
        ("appearances_frame", APPEARANCE_TYPES),
        ("faces_frame", FACE_TYPES),
    ],
)
def test_the_page_names_every_column(name: str, columns: dict[str, str]) -> None:
    section = PYTHON.split("## Tables")[1].split("\n## ")[0]
    [row] = [line for line in section.splitlines() if line.startswith(f"| `{name}(")]
    assert list(columns) == re.findall(r"`(\w+)`", row.split("|")[2])


def _call(home: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_parquet_and_excel_have_three_tables(
    registry: Registry, home: Path, tmp_path: Path
) -> None:
    expected = {
        "people": fr.report(registry),
        "appearances": fr.appearances_frame(registry),
        "videos": fr.videos_frame(registry),
    }
    registry.close()
    parquet, excel = tmp_path / "out.parquet", tmp_path / "out.xlsx"
    _call(home, "report", "--parquet", str(parquet), "--excel", str(excel))
    paths = [parquet, tmp_path / "out_appearances.parquet", tmp_path / "out_videos.parquet"]
    for path, table in zip(paths, expected.values(), strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), table, check_dtype=False)
    assert {path.stat().st_mode & 0o777 for path in (*paths, excel)} == {0o600}
    workbook = openpyxl.load_workbook(excel)
    assert workbook.sheetnames == list(expected)
    header, *rows = workbook["people"].iter_rows(values_only=True)
    assert list(header) == list(expected["people"].columns)
    assert "'=Ann" in {row[1] for row in rows}, "no formula"
    document = json.loads(_call(home, "report", "--json").stdout)
    assert [row["identity"] for row in document["rows"]] == [row[0] for row in rows]


def test_a_table_that_a_sheet_cannot_hold_is_refused(tmp_path: Path) -> None:
    long = pd.DataFrame({"x": np.zeros(1_048_576)})
    with pytest.raises(UsageError, match=r"1,048,576 rows, and a sheet .* --parquet"):
        write_excel({"videos": long}, tmp_path / "out.xlsx")
    write_excel({"videos": pd.DataFrame({"x": ["a\x07"]})}, tmp_path / "out.xlsx")
    assert pd.read_excel(tmp_path / "out.xlsx")["x"][0] == "a\N{REPLACEMENT CHARACTER}"
