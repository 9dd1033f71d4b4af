"""Checks, backup, rebuilding the index, calibration and reports, from the pages."""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import openpyxl
import pandas as pd
import pytest

from queries.report import report
from registry.copies.backup import restore
from registry.core import keys
from registry.core.exports import Export, load_exports, record_exports, save_exports, sending_from
from registry.core.opening import open_registry, open_snapshot
from registry.core.registry import Registry
from registry.core.runs import runs
from registry.domain import Video
from registry.settings import load_settings
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.page_server import Pages, serve_pages
from tests.support.registries import dump, new_registry, who
from tests.web.conftest import VIDEOS

BACKUP = "face-registry-backup.zip"
ORPHAN = f"{keys.CROPS}nobody/face.jpg"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Registry]:
    """A registry to damage."""
    with new_registry(tmp_path / "own", *VIDEOS) as opened:
        yield opened


@pytest.fixture
def own_pages(own: Registry) -> Iterator[Pages]:
    with serve_pages(own) as running:
        yield running


@pytest.fixture
def own_client(own_pages: Pages) -> Iterator[httpx.Client]:
    with own_pages.client() as made:
        yield made


def with_pictures(home: Path, *videos: Video) -> Registry:
    """A registry whose crops are pictures, as masks and report pages need them."""
    jpeg = cv2.imencode(".jpg", np.full((160, 160, 3), 128, np.uint8))[1].tobytes()
    digest = hashlib.sha256(jpeg).hexdigest()
    registry = new_registry(home)
    with registry.writing():
        for one in videos:
            for face in one.faces:
                registry.blobs.put(face.crop, jpeg)
            faces = tuple(replace(face, crop_digest=digest) for face in one.faces)
            registry.commit(replace(one, faces=faces))
    return registry


def left_behind() -> list[Path]:
    """Temporary folders of downloads that are still there."""
    return sorted(Path(tempfile.gettempdir()).glob("face-registry-download-*"))


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files that no other test uses."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def test_the_checks_show_what_is_wrong_with_advice_and_repair_it(
    own_client: httpx.Client, own: Registry
) -> None:
    with own.writing():
        own.blobs.put(ORPHAN, b"left by an interrupted ingest")
    found = own_client.post("/registry/checks").text
    assert "Crops without a record: 1" in found
    assert "face-registry doctor --fix" in found
    assert own.blobs.exists(ORPHAN)
    repaired = own_client.post("/registry/checks", data={"fix": "1", "deep": "1"}).text
    assert "Removed crops without a record: 1." in repaired
    assert "match their digests" in repaired
    assert not own.blobs.exists(ORPHAN)
    assert runs(own)[-1].kind == "repair"
    assert own_client.get("/registry/checks").url.path == "/registry"
    assert own_client.get("/").status_code == 200  # the registry is still open


def test_a_damaged_record_is_a_finding_and_no_failure_of_the_page(
    own_client: httpx.Client, own: Registry
) -> None:
    with own.writing():
        own.blobs.put(keys.record(VIDEOS[1].video_id), b"{}")
    found = own_client.post("/registry/checks")
    assert found.status_code == 200
    assert "Damaged records: 1 of 4" in found.text


def test_a_snapshot_is_neither_checked_nor_saved(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "used")
    with new_registry(settings.home, *VIDEOS[:2]):
        snapshot = open_snapshot(settings)
        with serve_pages(snapshot) as pages, pages.client() as client:
            for action in ("checks", "reindex", "backup"):
                refused = client.post(f"/registry/{action}", data={"back": "/registry"})
                assert refused.url.path == "/registry", action
                assert 'class="notice bad"' in refused.text, action


def test_the_index_is_rebuilt(own_client: httpx.Client, own: Registry) -> None:
    before = dump(own)
    page = own_client.post("/registry/reindex")
    assert "The index was rebuilt from the records of 4 videos." in page.text
    assert dump(own) == before
    assert runs(own)[-1].kind == "reindex"


@pytest.mark.usefixtures("own_temporary")
def test_a_backup_is_sent_recorded_and_restores(
    own_client: httpx.Client, own: Registry, tmp_path: Path
) -> None:
    sent = own_client.post("/registry/backup")
    assert f'filename="{BACKUP}"' in sent.headers["content-disposition"]
    (tmp_path / BACKUP).write_bytes(sent.content)
    [export] = load_exports(own.blobs)
    assert (export.kind, export.path) == ("backup", f"{BACKUP} (downloaded in a browser)")
    with open_registry(home=tmp_path / "restored") as restored:
        restore(restored, tmp_path / BACKUP)
        assert dump(restored) == dump(own)
    deadline = time.monotonic() + 20
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.05)  # the server removes it after the last byte was sent
    assert left_behind() == []


def test_a_download_is_named_by_receipts_and_not_said_to_be_there(tmp_path: Path) -> None:
    names = ("faces.zip", "report.html", "face-registry.xlsx", "influencer_performance.csv")
    with (
        with_pictures(tmp_path / "sent", *VIDEOS) as registry,
        serve_pages(registry) as pages,
        pages.client() as client,
    ):
        for name in names:
            assert client.get(f"/downloads/{name}").status_code == 200, name
        recorded = [f"{name} (downloaded in a browser)" for name in names]
        assert sorted(one.path for one in load_exports(registry.blobs)) == sorted(recorded)
        receipt = registry.forget(who(registry, VIDEOS[3], 1))
        assert sorted(one["path"] for one in receipt["exports"]) == sorted(recorded)
        found = client.post("/registry/checks").text
        assert "(downloaded in a browser)" in found
        assert "still there" not in found


def test_each_download_is_recorded_and_a_file_once(own: Registry, tmp_path: Path) -> None:
    with own.writing():
        save_exports(
            own.blobs,
            [
                Export("csv", path, f"2026-06-0{day}T00:00:00+00:00")
                for path in ("/tables/a.csv", "a.csv (downloaded in a browser)")
                for day in (1, 2)
            ],
        )
    assert [one.path for one in load_exports(own.blobs)].count("/tables/a.csv") == 1
    assert len(load_exports(own.blobs)) == 3
    with sending_from(tmp_path / "sent"):
        record_exports(own, "csv", [tmp_path / "elsewhere.csv"])
    assert load_exports(own.blobs)[-1].path == str(tmp_path / "elsewhere.csv")


def test_during_an_ingest_upkeep_is_refused(own_pages: Pages, own_client: httpx.Client) -> None:
    desk = own_pages.site.desk
    with own_pages.site.workspace.reading():  # so that the ingest waits for its turn
        desk.retry()
        assert desk.is_running
        for action in ("checks", "reindex", "calibration"):
            data = {"act": "use", "back": "/ingest"}
            refused = own_client.post(f"/registry/{action}", data=data, follow_redirects=False)
            assert refused.headers["location"] == "/ingest", action
    assert own_client.get("/registry").text.count("An ingest is under way") == 3


def test_an_erasure_that_waited_for_its_turn_is_refused_during_an_ingest(
    own: Registry, own_pages: Pages, own_client: httpx.Client
) -> None:
    one, erased = who(own, VIDEOS[0]), VIDEOS[1].video_id
    workspace, desk = own_pages.site.workspace, own_pages.site.desk
    for path in (f"/people/{one}/forget", f"/videos/{erased}/remove"):
        with ThreadPoolExecutor(1) as threads:
            with workspace.reading():  # so that the erasure waits for its turn
                sent = threads.submit(own_client.post, path, data={"sure": "yes", "back": "/"})
                while not workspace.turns._queue:
                    time.sleep(0.01)
                desk.retry()
            assert "An ingest is under way. Erase when it has finished." in sent.result(60).text
        while desk.is_running:
            time.sleep(0.01)
    assert own.identity(one).identity_id == one
    assert own.index.has_video(erased)


@pytest.mark.parametrize("path", ["checks", "reindex", "backup", "calibration"])
def test_each_needs_a_session_a_post_and_its_own_origin(
    pages: Pages, client: httpx.Client, path: str
) -> None:
    with pages.stranger() as stranger:
        assert stranger.post(f"/registry/{path}").status_code == 401
    foreign = {"origin": "https://evil.example"}
    assert client.post(f"/registry/{path}", headers=foreign).status_code == 403
    assert client.post("/downloads/report", headers=foreign).status_code == 403


def test_a_report_answers_the_question_of_the_form(tmp_path: Path) -> None:
    attributes = ({"Platform": "TikTok"}, {"Platform": "TikTok"}, {"Platform": "YouTube"})
    videos = [
        replace(
            video(name, [person(0), person(number + 1)], metrics={"Performance": number + 1.0}),
            attributes=values,
        )
        for number, (name, values) in enumerate(zip("abc", attributes, strict=True))
    ]
    with (
        with_pictures(tmp_path / "asked", *videos) as registry,
        serve_pages(registry) as pages,
        pages.client() as client,
    ):
        asked = {
            "metric": "Performance", "where": "Platform=TikTok\n", "min_videos": "2", "top": "5",
        }  # fmt: skip
        sent = client.post("/downloads/report", data={**asked, "format": "csv"})
        table = pd.read_csv(io.StringIO(sent.text))
        same = report(registry, "Performance", where=["Platform=TikTok"], min_videos=2, top=5)
        assert list(table["identity"]) == list(same["identity"])
        assert list(table["videos"]) == [2]
        sent = client.post("/downloads/report", data={**asked, "format": "excel", "by": "Platform"})
        sheet = openpyxl.load_workbook(io.BytesIO(sent.content))["people"]
        assert "by_Platform" in [cell.value for cell in sheet[1]]
        sent = client.post("/downloads/report", data={**asked, "format": "html"})
        assert "Platform" in sent.text
        assert "YouTube" not in sent.text
        assert {one.kind for one in load_exports(registry.blobs)} == {"csv", "excel", "html"}


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("metric", "Nothing", "Nothing"),
        ("where", "Platform", "write COLUMN=VALUE"),
        ("where", "Nowhere=1", "Nowhere"),
        ("since", "yesterday", "is not a date"),
        ("by", "Nowhere", "Nowhere"),
        ("min_videos", "0", "is not a number of videos"),
        ("top", "ten", "is not a number of rows"),
        ("format", "pdf", "Choose one of these formats"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why_and_stays(
    client: httpx.Client, field: str, text: str, words: str
) -> None:
    question = {"format": "csv", "by": "", field: text}
    answer = client.post("/downloads/report", data=question)
    assert answer.status_code == 422
    assert words in answer.text.partition('role="alert"')[2].partition("</div>")[0]
    if field in ("where", "since", "by", "min_videos", "top"):
        assert text in answer.text.partition('action="/downloads/report"')[2]


def test_a_calibration_is_measured_used_and_taken_back(poker_home: Path, tmp_path: Path) -> None:
    copy_home(poker_home, tmp_path / "home")
    with (
        open_registry(home=tmp_path / "home") as registry,
        serve_pages(registry) as pages,
        pages.client() as client,
    ):
        measured = client.post("/registry/calibration", data={"target_far": ""})
        assert "Pairs of faces of two people" in measured.text
        assert "Nothing was changed yet" in measured.text
        assert not registry.blobs.exists(keys.CALIBRATION)
        used = client.post("/registry/calibration", data={"act": "use"})
        assert "These thresholds are used from now on" in used.text
        assert "calibrated on this registry" in client.get("/registry").text
        reset = client.post("/registry/calibration", data={"act": "reset"})
        assert "Removed the calibration" in reset.text
        assert not registry.blobs.exists(keys.CALIBRATION)


@pytest.mark.parametrize(("rate", "words"), [("often", "is not a rate"), ("0.5", "0.5")])
def test_a_rate_that_cannot_be_used_is_refused(client: httpx.Client, rate: str, words: str) -> None:
    page = client.post("/registry/calibration", data={"target_far": rate, "back": "/registry"})
    assert words in page.text.partition('class="notice bad"')[2].partition("</div>")[0]


def test_too_few_pairs_change_no_threshold(client: httpx.Client, registry: Registry) -> None:
    page = client.post("/registry/calibration", data={"act": "use"})
    assert "There are too few pairs of people" in page.text
    assert not registry.blobs.exists(keys.CALIBRATION)
