"""`face-registry ingest` on tables as they come: files, links, standard input, and questions."""

from __future__ import annotations

import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry.core.opening import open_registry
from registry.settings import load_settings
from tests.ingest.tables.exports import build_exports
from tests.support.media import write_video
from tests.support.web import Web, serve, web_server
from tests.test_bad_input import Ended, Run, run

__all__ = ["run", "web_server"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Exports, and the videos a and b that they name, which show nobody."""
    build_exports(tmp_path, "http://127.0.0.1:8000")
    for name, blue in (("a", 0), ("b", 90)):
        write_video(tmp_path / f"{name}.mkv", partial(_plain, blue), frames=12)
    return tmp_path


def _plain(blue: int, frame: int) -> tuple[int, int, int]:
    return frame, 80, blue


def ingest(run: Run, table: str | Path, *more: str) -> Ended:
    return run("ingest", str(table), "--workers", "0", "--allow-private-hosts", *more)


def recorded(folder: Path) -> dict[str, Any]:
    """Metrics on record by the name of the file."""
    with open_registry(load_settings(home=folder / "home")) as registry:
        return {Path(v.url.exposed()).name: dict(v.metrics) for v in registry.index.videos()}


def test_an_export_with_titles_and_totals_is_ingested(run: Run, folder: Path) -> None:
    write_video(folder / "c.mkv", partial(_plain, 200), frames=12)
    ended = ingest(run, folder / "search_ads.csv", "--metric", "Impr.", "--metric", "CTR")
    assert ended.code == 0, ended.err
    assert recorded(folder) == {
        "a.mkv": {"Impr.": 12345.0, "CTR": 1.25},
        "b.mkv": {"Impr.": 980.0},
        "c.mkv": {"Impr.": 1020345.0, "CTR": 2.75},
    }
    assert "2 rows of totals or headers skipped" in ended.err
    assert "UTF-16 LE" in ended.err


def test_kinds_of_metrics_are_given_with_their_names(run: Run, folder: Path) -> None:
    named = [word for spec in ("Views:sum", "ROAS:mean@Spend") for word in ("--metric", spec)]
    assert ingest(run, folder / "breakdown.csv", *named).code == 0
    found = recorded(folder)
    assert found["a.mkv"]["Views"] == 90_100
    assert found["a.mkv"]["ROAS"] == pytest.approx(1.0977, abs=5e-5)
    with open_registry(load_settings(home=folder / "home")) as registry:
        assert registry.contract.primary_metric == "Views"


def test_a_question_is_wrong_usage_and_the_option_answers_it(run: Run, folder: Path) -> None:
    table = folder / "counts.csv"
    table.write_text("Video URL,Views\na.mkv,1.250\nb.mkv,80\n")
    ended = ingest(run, table, "--metric", "Views")
    assert ended.code == 2
    assert "'1.250' is 1.25" in ended.last
    assert "'1.250' is 1250" in ended.last
    assert "--decimal" in ended.last
    assert not (folder / "home" / "objects" / "registry.json").exists()
    assert ingest(run, table, "--metric", "Views", "--decimal", ",").code == 0
    assert recorded(folder) == {"a.mkv": {"Views": 1250.0}, "b.mkv": {"Views": 80.0}}


def test_a_unit_is_told_with_an_option(run: Run, folder: Path) -> None:
    table = folder / "mixed.csv"
    table.write_text("Video URL,CTR\na.mkv,12%\nb.mkv,5\n")
    assert ingest(run, table, "--metric", "CTR").code == 2
    assert ingest(run, table, "--metric", "CTR", "--unit", "CTR").code == 2
    assert ingest(run, table, "--metric", "CTR", "--unit", "CTR=%").code == 0
    assert recorded(folder) == {"a.mkv": {"CTR": 12.0}, "b.mkv": {"CTR": 5.0}}


def test_a_workbook_is_ingested(run: Run, folder: Path) -> None:
    assert ingest(run, folder / "workbook.xlsx", "--sheet", "sheet").code == 0
    assert recorded(folder)["a.mkv"] == {"Performance": 4.5}
    ended = ingest(run, folder / "workbook.xlsx", "--sheet", "July")
    assert (ended.code, "Its sheets are" in ended.last) == (2, True)


def test_a_table_behind_a_link_follows_the_rules_for_addresses(
    run: Run, folder: Path, web: Web
) -> None:
    text = b"Video URL,Performance\na.mkv,5\n"
    link = web.on("/t.csv", serve(text, content_type="text/csv"))
    link += "?X-Amz-Signature=5ecret5ecret5ecret"
    ended = run("ingest", link, "--base-folder", str(folder))
    assert ended.code == 1
    assert "--allow-private-hosts" in ended.last
    assert web.seen == []
    ended = ingest(run, link, "--base-folder", str(folder), "--json")
    assert json.loads(ended.out)["videos"]["ingested"] == 1
    assert web.seen[-1].path.endswith("?X-Amz-Signature=5ecret5ecret5ecret")
    assert "5ecret" not in ended.out + ended.err
    assert recorded(folder) == {"a.mkv": {"Performance": 5.0}}
    with open_registry(load_settings(home=folder / "home")) as registry:
        runs = [registry.blobs.get(one.key) for one in registry.blobs.list("runs/")]
    assert any(b"t.csv" in text for text in runs)
    assert all(b"5ecret" not in text for text in runs)
    assert list((folder / "home" / "tmp").iterdir()) == []


def test_a_sheet_that_asks_to_sign_in_is_refused(run: Run, web: Web) -> None:
    link = web.on("/t", serve(b"<!doctype html>Sign in", content_type="text/html"))
    ended = ingest(run, link)
    assert (ended.code, "is a web page, not a table" in ended.last) == (1, True)


def test_standard_input_is_ingested(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.BytesIO(b"Video URL,Performance\nb.mkv,5\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text))
    assert ingest(run, "-", "--base-folder", str(folder)).code == 0
    assert recorded(folder) == {"b.mkv": {"Performance": 5.0}}


def test_an_unreadable_cell_is_told_and_costs_nothing(run: Run, folder: Path) -> None:
    table = folder / "bad.csv"
    table.write_text("Video URL,Views\na.mkv,about a thousand\nb.mkv,7\n")
    ended = ingest(run, table, "--metric", "Views")
    assert ended.code == 0
    assert "Row 2, Views: found 'about a thousand'" in ended.err
    assert recorded(folder) == {"a.mkv": {}, "b.mkv": {"Views": 7.0}}
