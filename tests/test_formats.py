"""docs/FORMATS.md names every column, field and key of the files that are read and written."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from queries.answers import CloseSecond, LookupAnswer, Match, MatchedFace, Probe
from queries.export import write_csv, write_zip
from queries.folder_lookup import COLUMNS, PhotoAnswer
from queries.report import report
from registry.cli import cli
from registry.core.runs import recorded
from registry.domain import Box, Detection, Quality
from registry.people import corrections
from registry.urls import Url
from tests.support.factories import DIMENSION, person, video
from tests.support.registries import new_registry

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "FORMATS.md").read_text(encoding="utf-8")
BY_DATA = {"metrics", "average", "counts", "removed", "final_query"}
"""Fields whose own fields are names of metrics or counts."""


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(rf"^#+ {re.escape(heading)}$", TEXT, flags=re.M)[1].split("\n#", 1)[0]


def rows(heading: str) -> dict[str, str]:
    """The tables below a heading: what stands in the second and later cells, by the first."""
    lines = [line.strip("|") for line in section(heading).splitlines() if line.startswith("|")]
    return {first.strip(): rest for first, _, rest in (line.partition("|") for line in lines)}


def words(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def fields(document: Any) -> Iterator[str]:
    """Names of all fields of a document, however deep."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            if name not in BY_DATA:
                yield from fields(value)
    elif isinstance(document, list):
        for value in document:
            yield from fields(value)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with four people, every kind of decision, an erasure with a block, and a run."""
    home = tmp_path_factory.mktemp("formats") / "home"
    first = video("a", [person(0), person(1), person(2), person(3)], metrics={"Performance": 1.0})
    second = video(
        "b", [person(0, 0.1), person(1, 0.1)], metrics={"Performance": 3.0, "Views": 9.0}
    )
    with new_registry(home, first, second) as registry:
        who = [registry.view.identity_of(face) for face in registry.commit(first).faces]
        registry.name(who[0], "Ada")
        corrections.separate(registry, who[0], who[1])
        corrections.merge(registry, who[1:3])
        corrections.split(
            registry, who[1], corrections.FaceSelection(videos=(second.url.exposed(),))
        )
        corrections.undo(registry)
        registry.forget(who[3], block=True)
        with recorded(registry, "ingest", csv="videos.csv"):
            pass
        with registry.writing():
            registry.rereads.mark(second.video_id)
    call(home, "retention", "--days", "9")
    return home


def call(home: Path, *arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_record_of_a_video_has_the_columns_of_the_page(home: Path) -> None:
    path = next((home / "objects" / "records").iterdir())
    table = pq.read_table(path)
    told = {name.strip("`"): text.split("|")[0].strip() for name, text in columns().items()}
    assert list(told) == table.column_names
    for name, kind in told.items():
        found = str(table.schema.field(name).type)
        simple = re.sub(r"fixed_size_list<element: (\w+)>\[(\d+)\]", r"\1[\2]", found)
        simple = re.sub(r"list<element: (\w+)>", r"list of \1", simple)
        assert kind.replace("[D]", f"[{DIMENSION}]") == simple, name
    head = json.loads(table.schema.metadata[b"face_registry"])
    assert set(fields(head)) <= words(section("The record of a video"))


def columns() -> dict[str, str]:
    """The table of columns of a record."""
    found = rows("The record of a video")
    return {name: text for name, text in found.items() if name.startswith("`")}


def test_the_report_and_the_zip_have_the_columns_of_the_page(home: Path, tmp_path: Path) -> None:
    shown = replace(video("a", [person(0)], metrics={"P": 1, "V": 2}), attributes={"A": "x"})
    with new_registry(tmp_path / "other", shown) as one:
        write_csv(report(one, ["P", "V"], by="A", identity_range=True), tmp_path / "report.csv")
        write_zip(one, tmp_path / "faces.zip")
    header = next(csv.reader((tmp_path / "report.csv").read_text().splitlines()))
    told = words(" ".join(rows("influencer_performance.csv")))
    assert {
        re.sub("_[PV]$", "_<metric>", name.replace("by_A", "by_<attribute>")) for name in header
    } == told
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        listed = next(csv.reader(archive.read("index.csv").decode().splitlines()))
        assert [name.count("/") for name in archive.namelist()].count(1) == 2
    assert set(listed) == words(rows("faces.zip")["`index.csv`"])


def test_tables_of_time_on_screen_have_the_columns_of_the_page(home: Path, tmp_path: Path) -> None:
    told = words(section("Tables of time on screen"))
    told |= words(section("Changes"))
    for command in ("videos timeline a.mp4", "identities together", "report --compare 2020-01-01"):
        call(home, *command.split(), "--csv", str(tmp_path / "out.csv"))
        header = next(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
        assert set(header) <= told
    document = json.loads(call(home, "videos", "timeline", "a.mp4", "--json"))
    known = words(rows("JSON documents")["`videos timeline`"])
    assert set(fields(document)) <= known
    document = json.loads(call(home, "report", "--compare", "2020-01-01", "--json"))
    known = words(rows("JSON documents")["`report --compare`, `report --since-run`"])
    assert set(fields(document)) <= known | words(section("Changes"))


@pytest.mark.parametrize(
    "command",
    [
        *("report", "identities list", "identities list --decisions", "identities suggest"),
        *(
            "identities together",
            "identities consolidate",
            "videos list",
            "models list",
            "status",
            "status --runs",
        ),
        *("calibrate", "calibrate --reset", "retention", "doctor"),
    ],
)
def test_json_documents_have_the_fields_of_the_page(command: str, home: Path) -> None:
    arguments = [*command.split(), "--json"]
    if command == "calibrate":
        arguments.append("--dry-run")
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
    document = json.loads(result.stdout)
    text = rows("JSON documents")[f"`{command}`"]
    if command == "report":
        assert set(document) <= words(text)
        return
    known = words(text)
    if command == "identities together":
        known |= words(section("Tables of time on screen"))
    if command in {"calibrate", "status --runs"}:
        known |= words(" ".join(rows("Objects").values()))
    if command == "videos list":
        known |= words(section("The record of a video"))
    assert set(fields(document)) - {"done", "partial", "failed"} <= known


def test_the_document_of_a_lookup_has_the_fields_of_the_page() -> None:
    evidence = (MatchedFace(Url("u"), 0, "c", 1),)
    match = Match("i", "", 0.9, 0.1, 0.1, False, False, True, False, 1, {"P": 1.0}, evidence)
    detection = Detection(Box(0, 0, 1, 1), np.zeros((5, 2), np.float32), 0.9)
    probe = Probe(detection, Quality(0.9), (match,), 0.9, CloseSecond("i", "", 0.9, 0.1, ""))
    answer = LookupAnswer("m", 0.4, (probe,), 1, 0, 0.4, "")
    assert set(fields(answer.as_dict())) <= words(section("JSON documents"))
    photo = PhotoAnswer("a.jpg", answer).as_dict(), PhotoAnswer("b.jpg", None, "?").as_dict()
    assert set(fields({"photos": list(photo)})) <= words(section("JSON documents"))


def test_the_csv_of_a_lookup_has_the_columns_of_the_page() -> None:
    assert list(rows("lookup.csv"))[2:] == [f"`{column}`" for column in COLUMNS]


def test_every_object_has_a_row_with_its_fields(home: Path) -> None:
    told = rows("Objects")
    patterns = {
        re.sub(r"<[a-z_]+>", r"[^/]+", key.strip("`* ").split("`")[0]): text
        for key, text in told.items()
        if key.startswith("`")
    }
    kinds = set()
    for path in sorted((home / "objects").rglob("*")):
        key = str(path.relative_to(home / "objects"))
        if path.is_dir():
            continue
        [pattern] = [pattern for pattern in patterns if re.fullmatch(pattern, key)]
        kinds.add(pattern.split("/")[0])
        if key.endswith(".json"):
            body = json.loads(path.read_text())
            assert set(fields(body)) - {"digest"} <= words(patterns[pattern]) | {"id", "digest"} | {
                "template_kept"
            }, key
    wanted = {"registry.json", "records", "crops", "decisions", "receipts", "blocks", "runs"}
    assert wanted | {"rereads", "retention.json"} <= kinds


def test_metrics_and_events_of_the_page_are_those_of_the_program(home: Path) -> None:
    named = set(re.findall(r"^face_registry_(\w+)", call(home, "status", "--metrics"), re.M))
    told = words(" ".join(rows("Metrics")))
    assert named <= told
    code = "\n".join(
        path.read_text() for top in ("registry", "ingest") for path in (ROOT / top).rglob("*.py")
    )
    events = set(re.findall(r'"((?:run|video|worker)\.(?!html)[a-z]+)"', code))
    assert events == {name for name in words(" ".join(rows("Events"))) if "." in name}
