"""Files that are written: endings that fit the format, CSV for Excel, folders of the zip."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from queries.export import write_csv, write_zip
from queries.zip_paths import cover_path, folder_name
from registry.cli import cli
from registry.core.exports import load_exports
from registry.core.opening import open_registry
from registry.domain import Identity, Status
from registry.errors import UsageError
from registry.settings import load_settings
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry, who

PARK = video("park", [person(0), person(1)], metrics={"Performance": 1.5})
FAILED = replace(video("gone", []), status=Status.FAILED, reason="It is gone.")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose records and index a test must not change."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with new_registry(home, PARK, FAILED) as registry:
        registry.name(who(registry, PARK), "Zoë: A/B")
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copy_home(filled, tmp_path / "home")


def call(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            "report --csv x.html",
            "report --csv x.CSV.GZ",
            "report --csv x.xlsx",
            "report --csv x.tsv",
        ),
        *("report --zip x.csv", "report --parquet x.csv", "report --excel x.xls", "backup x.html"),
        *("identities together --csv x.json", "videos timeline park.mp4 --csv x.pdf"),
        *("lookup x.jpg --csv x.jpg", "identities forget Ann --receipt x.csv"),
        *("calibrate --png x.jpg", "calibrate --html x.png"),
    ],
)
def test_an_ending_of_another_format_is_refused_before_anything_is_done(
    arguments: str, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted((*tmp_path.iterdir(), *filled.rglob("*")))
    refused = call(filled, *arguments.split())
    assert refused.exit_code == 2
    assert "is another format. Use ." in refused.stderr
    assert sorted((*tmp_path.iterdir(), *filled.rglob("*"))) == before


@pytest.mark.parametrize("name", ["x.csv", "x.CSV", "x", "x.txt", "x.2026"])
def test_other_endings_and_none_are_fine(name: str, home: Path, tmp_path: Path) -> None:
    assert call(home, "report", "--csv", str(tmp_path / name)).exit_code == 0


def test_the_functions_of_python_have_the_same_rule(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Use \.csv"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "x.html")
    with open_registry(home=home) as registry, pytest.raises(UsageError, match=r"Use \.zip"):
        write_zip(registry, tmp_path / "x.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_csv_for_excel_has_a_mark_and_the_decimal_sign_that_was_asked_for(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    options = ("report", "--csv", str(path), "--csv-for-excel")
    assert call(home, *options, "comma").exit_code == 0
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfidentity;name;")
    [row] = [
        row
        for row in csv.DictReader(data.decode("utf-8-sig").splitlines(), delimiter=";")
        if row["name"]
    ]
    assert (row["name"], row["average_performance"]) == ("Zoë: A/B", "1,5")
    assert call(home, *options, "point").exit_code == 0
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfidentity,name,")
    assert b"1.5" in data
    assert call(home, "report", "--csv", str(path)).exit_code == 0
    assert path.read_bytes().startswith(b"identity,name,")


def test_the_locale_decides_where_no_sign_is_given(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    monkeypatch.setenv("LC_ALL", "C")
    assert call(home, "report", "--csv-for-excel", "--csv", str(path)).exit_code == 0
    assert path.read_bytes().startswith(b"\xef\xbb\xbfidentity,")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    unknown = call(home, "report", "--csv-for-excel", "--csv", str(path))
    assert (unknown.exit_code, "--csv-for-excel comma" in unknown.stderr) == (2, True)
    assert call(home, "report", "--csv-for-excel", "comma").exit_code == 2


def test_a_csv_for_excel_is_read_back_by_ingest_as_it_was_written(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    table = pd.DataFrame({"Video URL": ["https://example.com/park.mp4"], "Performance": [2.25]})
    write_csv(table, path, for_excel="comma")
    plan = call(home, "ingest", str(path), "--plan", "--json")
    assert plan.exit_code == 0, plan.output
    document = json.loads(plan.stdout)
    assert document["plan"]["separator"] == ";"
    [update] = document["updates"]
    assert (update["from"], update["to"]) == (1.5, 2.25)


def test_failed_videos_are_counted_apart(filled: Path) -> None:
    document = json.loads(call(filled, "report", "--json").stdout)
    assert (document["videos"], document["failed"]) == (1, 1)


def test_the_dump_has_the_identities_that_decisions_made(home: Path) -> None:
    with open_registry(home=home) as registry:
        one, other = who(registry, PARK, 0), who(registry, PARK, 1)
    assert call(home, "identities", "merge", one, other, "--yes").exit_code == 0
    document = json.loads(call(home, "status", "--dump").stdout)
    [park] = [entry for entry in document["videos"] if entry["faces"]]
    assert [face["identity_id"] for face in park["faces"]] == [one, one]
    assert [face["assigned_identity_id"] for face in park["faces"]] == [one, other]
    assert [entry["identity_id"] for entry in document["identities"]] == [one]


# --- folders of the zip -------------------------------------------------------------------------


def test_folders_of_the_zip_have_names_and_the_tables_agree(home: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "1.zip", tmp_path / "2.zip"]
    with open_registry(home=home) as registry:
        named, other = who(registry, PARK, 0), who(registry, PARK, 1)
        for path in paths:
            write_zip(registry, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        names = set(archive.namelist())
        listed = list(csv.DictReader(archive.read("index.csv").decode().splitlines()))
    folder = f"Zoë_ A_B ({named[:8]})"
    assert {name.split("/")[0] for name in names} == {folder, other, "index.csv"}
    assert {row["path"] for row in listed} == {
        name for name in names if name.endswith(".jpg") and not name.endswith("/cover.jpg")
    }
    report = json.loads(call(home, "report", "--json").stdout)
    assert {row["face_image"] for row in report["rows"]} < names


def identity(name: str) -> Identity:
    return Identity("5f3c5638-7e0e-5d68-a2de-7c2cf3e01682", name, 1, 1, 1.0, "crop", "face")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Katie Hill", "Katie Hill"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Windows", "C__Windows"),
        ("..", "_"),
        (" . ", "_"),
        ("NUL.txt", "_NUL.txt"),
        ("con", "_con"),
        ("Cone", "Cone"),
        ("J. R.", "J. R"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ("田中", "田中"),
        ("x" * 300, "x" * 200),
        ("é" * 300, "é" * 100),
    ],
)
def test_a_name_becomes_a_folder_that_every_system_accepts(name: str, folder: str) -> None:
    assert folder_name(identity(name)) == f"{folder} (5f3c5638)"
    assert cover_path(identity(name)) == f"{folder} (5f3c5638)/cover.jpg"


def test_an_identity_without_a_name_has_its_id() -> None:
    assert folder_name(identity("")) == "5f3c5638-7e0e-5d68-a2de-7c2cf3e01682"


@given(st.text(min_size=1).filter(lambda name: not re.search("[\ud800-\udfff]", name)))
def test_no_name_leaves_the_folder_of_the_zip(name: str) -> None:
    folder = folder_name(identity(name))
    path = PureWindowsPath(folder)
    assert path.parts == (folder,)
    assert not path.is_reserved()
    assert not path.drive
    assert len(folder.encode()) <= 255
    assert folder == folder.strip(" .")


def test_a_table_goes_to_standard_output_alone(home: Path) -> None:
    done = call(home, "report", "--csv", "-")
    table = pd.read_csv(io.StringIO(done.stdout))
    assert list(table.columns[:4]) == ["identity", "name", "face_image", "average_performance"]
    assert "verdict" in done.stderr  # what people read
    with open_registry(load_settings(home=home)) as registry:
        assert load_exports(registry.blobs) == []
    both = call(home, "report", "--csv", "-", "--json")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "--csv - and --json both write to standard output." in both.stderr
