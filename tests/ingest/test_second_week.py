"""The tables of later weeks: one video under several names, numbers that change, blank cells."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest import ingest
from ingest.fetch.addresses import AddressPolicy
from ingest.summary import Summary
from ingest.tables.questions import QuestionError
from registry import open_registry
from registry.core import keys
from registry.core.metric_history import history_of
from registry.core.registry import Registry
from registry.core.video_changes import rename_metric
from registry.domain import Content, Image, MetricValue, Video
from registry.errors import SourceError, UsageError
from registry.upkeep.doctor import Inspection
from tests.support.media import numbered, write_video
from tests.support.web import Exchange, Web, serve, web_server

__all__ = ["web_server"]

URL = "Video URL"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Three short videos without anybody in them."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        name: write_video(folder / f"{name}.mp4", numbered(12, seed=seed)).read_bytes()
        for seed, name in enumerate("abc")
    }


@pytest.fixture
def folder(tmp_path: Path, clips: Mapping[str, bytes]) -> Path:
    """The folder of a table, with the videos in it."""
    place = tmp_path / "tables"
    place.mkdir()
    for name, body in clips.items():
        (place / f"{name}.mp4").write_bytes(body)
    return place


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(home=tmp_path / "home") as opened:
        yield opened


Run = Callable[..., Summary]


@pytest.fixture
def run(registry: Registry, folder: Path) -> Run:
    """Ingests rows, header first, as a CSV file."""

    def ingest_rows(*rows: Sequence[object], name: str = "week.csv", **options: Any) -> Summary:
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        options.setdefault("workers", 0)
        return ingest(registry, folder / name, **options)

    return ingest_rows


def _video(registry: Registry, folder: Path, name: str) -> Video:
    found = registry.records.get(registry.video(str(folder / name)).video_id)
    assert found is not None
    return found


def _sound(registry: Registry) -> None:
    """The index says what the records do, and there is no crop too many."""
    found = Inspection(registry, deep=True).findings()
    assert {one.part: one.detail for one in found if one.verdict == "failed"} == {}
    crops = {face.crop for video in registry.records.all() for face in video.faces}
    assert {info.key for info in registry.blobs.list("crops/")} == crops


# --- one video under several names ---------------------------------------------------------------


def _signed(link: str, day: str, signature: str) -> str:
    return (
        f"{link}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KEY%2F{day}%2Fs3"
        f"&X-Amz-Date={day}T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={signature}"
    )


def test_a_new_signature_is_the_same_video_and_nothing_is_fetched(
    registry: Registry, run: Run, web: Web, clips: Mapping[str, bytes]
) -> None:
    local = {"policy": AddressPolicy(allow_private=True), "metrics": ["Performance"]}
    a, b = (web.on(f"/{name}.mp4", serve(clips[name])) for name in "ab")
    for week, values in (("1", (10, 4)), ("2", (2, 5))):
        summary = run(
            (URL, "Performance"),
            (_signed(a, f"2026100{week}", week * 64), values[0]),
            (f"{b}?Expires=179{week}000000&Signature=s{week}__&Key-Pair-Id=K2", values[1]),
            **local,
        )
    assert (summary.updated, summary.ingested, len(web.seen)) == (2, 0, 2)
    videos = {video.url.exposed(): video for video in registry.records.all()}
    assert {url: video.metrics["Performance"] for url, video in videos.items()} == {a: 2, b: 5}
    assert "X-Amz-Signature" in videos[a].dropped
    assert "2" * 64 not in str(summary.as_dict())
    _sound(registry)


def test_tracking_parameters_are_no_other_video(
    registry: Registry, run: Run, web: Web, clips: Mapping[str, bytes]
) -> None:
    a, b = (web.on(f"/{name}.mp4", serve(clips[name])) for name in "ab")
    rows = [
        (f"{a}?utm_source=x&utm_campaign=q2", 9),
        (f"{a}?utm_source=x&utm_campaign=q3", 1),
        (f"{a}?fbclid=IwAR0", 1.2),
        (b, 2),
    ]
    summary = run((URL, "ROAS"), *rows, metrics=["ROAS"], policy=AddressPolicy(allow_private=True))
    assert (summary.ingested, summary.duplicates) == (2, 2)
    assert any("differ in ROAS: 9 and 1. Row 2 is used" in said for said in summary.warnings)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_copy_in_another_folder_is_another_name_of_the_video(
    registry: Registry, run: Run, folder: Path, clips: Mapping[str, bytes], workers: int
) -> None:
    (folder / "copy").mkdir()
    shutil.copy(folder / "a.mp4", folder / "copy" / "final_v2.mp4")
    rows = ("a.mp4", 10), ("copy/final_v2.mp4", 4), ("b.mp4", 1)
    first = run((URL, "Performance"), *rows, workers=workers)
    assert (first.ingested, first.duplicates, first.failures) == (2, 1, [])
    assert "recorded as another name of it" in first.same_files[0]
    assert any("differ in Performance: 10 and 4" in said for said in first.warnings)
    video = _video(registry, folder, "copy/final_v2.mp4")
    assert video.url.exposed() == (folder / "a.mp4").as_uri()
    assert [name.exposed() for name in video.names] == [(folder / "copy/final_v2.mp4").as_uri()]
    assert video.metrics == {"Performance": 10}
    assert video.content is not None
    assert video.content.size == len(clips["a"])
    again = run((URL, "Performance"), *rows, workers=workers)
    assert (again.ingested, again.unchanged, again.duplicates) == (0, 2, 1)
    assert again.same_files == []
    _sound(registry)


def test_of_two_rows_with_one_content_the_first_counts_also_if_it_arrives_last(
    registry: Registry, run: Run, web: Web, tmp_path: Path, astronaut: Image
) -> None:
    body = write_video(tmp_path / "face.mp4", [astronaut] * 12).read_bytes()

    def late(exchange: Exchange) -> None:
        exchange.pause(2)
        serve(body)(exchange)

    slow, fast = web.on("/slow.mp4", late), web.on("/fast.mp4", serve(body))
    summary = run(
        (URL, "Performance"), (slow, 1), (fast, 1), policy=AddressPolicy(allow_private=True)
    )
    assert (summary.ingested, summary.duplicates, summary.failures) == (1, 1, [])
    [video] = registry.records.all()
    assert (video.url.exposed(), [name.exposed() for name in video.names]) == (slow, [fast])
    assert len(video.faces) == 2
    _sound(registry)


def test_two_rows_of_a_file_that_is_no_video_both_fail(run: Run, folder: Path) -> None:
    for name in ("x.mp4", "y.mp4"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypmp42" + bytes(4000))
    summary = run((URL, "Performance"), ("x.mp4", 1), ("y.mp4", 2))
    assert [failure.row for failure in summary.failures] == [2, 3]
    assert summary.failures[0].reason == summary.failures[1].reason
    assert (summary.ingested, summary.duplicates) == (0, 0)


def test_a_name_whose_file_was_replaced_is_a_video_of_its_own_again(
    registry: Registry, run: Run, folder: Path, clips: Mapping[str, bytes]
) -> None:
    shutil.copy(folder / "a.mp4", folder / "copy.mp4")
    rows = (URL, "Performance"), ("a.mp4", 1), ("copy.mp4", 1)
    run(*rows)
    (folder / "copy.mp4").write_bytes(clips["b"])
    assert run(*rows).changed_files == 1
    again = run(*rows, reread_changed=True)
    assert (again.ingested, registry.index.count_videos()) == (1, 2)
    assert _video(registry, folder, "a.mp4").names == ()
    _sound(registry)


def test_rows_of_one_content_are_combined_as_the_metric_asks_in_any_order(
    registry: Registry, run: Run, folder: Path
) -> None:
    for name in ("copy1.mp4", "copy2.mp4"):
        shutil.copy(folder / "a.mp4", folder / name)
    spec = {"metrics": ["Views:sum", "ROAS:mean@Spend"]}
    header = (URL, "Views", "ROAS", "Spend", "Day")
    run(header, ("copy1.mp4", 1, 2.0, 10, "Monday"), **spec)
    summary = run(
        header,
        ("b.mp4", 7, 1.0, 1, "Monday"),
        ("a.mp4", 100, 9.0, 10, "Monday"),
        ("copy1.mp4", 50_000, 1.0, 5_000, "Tuesday"),
        ("copy2.mp4", 40_000, 1.2, 4_000, "Monday"),
    )
    video = _video(registry, folder, "a.mp4")
    assert video.metrics["Views"] == 90_100
    assert video.metrics["ROAS"] == pytest.approx(9_890 / 9_010)
    assert video.weights["ROAS"].weight == 9_010
    assert video.attributes["Day"] == ("Monday", "Tuesday")
    assert [value.value for value in history_of(video, "Views")] == [1, 90_100]
    assert (summary.ingested, summary.updated, summary.duplicates) == (1, 1, 2)
    _sound(registry)


def test_a_failed_video_that_gets_the_content_of_another_one_becomes_its_name(
    registry: Registry, run: Run, folder: Path
) -> None:
    (folder / "late.mp4").write_bytes(b"not a video at all, not yet" * 100)
    first = run((URL, "Performance"), ("a.mp4", 1), ("late.mp4", 2))
    assert len(first.failures) == 1
    shutil.copy(folder / "a.mp4", folder / "late.mp4")
    second = run((URL, "Performance"), ("a.mp4", 1), ("late.mp4", 1), retry_failed=True)
    assert (second.failures, second.duplicates) == ([], 1)
    assert registry.index.count_videos() == 1
    assert _video(registry, folder, "late.mp4").url.exposed() == (folder / "a.mp4").as_uri()
    _sound(registry)


def test_a_replaced_file_is_noticed_and_read_again_when_asked(
    registry: Registry, run: Run, folder: Path, clips: Mapping[str, bytes]
) -> None:
    rows = (URL, "Performance"), ("a.mp4", 1)
    run(*rows)
    os.utime(folder / "a.mp4", (1_000_000_000, 1_000_000_000))
    assert run(*rows).changed_files == 0  # another time, the same bytes
    (folder / "a.mp4").write_bytes(clips["b"])
    noticed = run(*rows)
    assert (noticed.changed_files, noticed.ingested) == (1, 0)
    assert "Use --reread-changed" in noticed.warnings[0]
    again = run(*rows, reread_changed=True)
    assert (again.ingested, again.changed_files) == (1, 0)
    content = _video(registry, folder, "a.mp4").content
    assert content is not None
    assert content.size == len(clips["b"])
    assert run(*rows).changed_files == 0


def test_a_server_is_asked_whether_a_file_was_replaced(
    registry: Registry, run: Run, web: Web, clips: Mapping[str, bytes]
) -> None:
    url = web.on("/v.mp4", serve(clips["a"], etag='"one"'))
    options = {"policy": AddressPolicy(allow_private=True), "reread_changed": True}
    rows = (URL, "Performance"), (url, 1)
    assert run(*rows, **options).ingested == 1
    assert run(*rows, **options).unchanged == 1
    assert web.seen[-1].headers["if-none-match"] == '"one"'
    web.on("/v.mp4", serve(clips["b"], etag='"two"'))
    assert run(*rows, **options).ingested == 1
    [video] = registry.records.all()
    assert video.content != Content("", 0)
    assert video.source is not None
    assert video.source.etag == '"two"'
    web.on("/v.mp4", serve(b"", etag='"three"', headers={"Content-Length": "0"}))
    web.close()
    gone = run((URL, "Performance"), (url, 3), **options)
    assert (gone.updated, gone.failures) == (1, [])
    assert "was not compared" in gone.warnings[-1]


# --- numbers -------------------------------------------------------------------------------------

FULL = ((URL, "ROAS", "Views"), ("a.mp4", 4.5, 1500), ("b.mp4", 2.0, 80))
BOTH = {"metrics": ["ROAS", "Views"]}


def test_a_blank_cell_leaves_the_earlier_value_and_says_so(
    registry: Registry, run: Run, folder: Path
) -> None:
    first = run(*FULL, **BOTH)
    second = run((URL, "ROAS", "Views"), ("a.mp4", "", 1600), ("b.mp4", 2.1, ""))
    assert second.blank_cells() == {"ROAS": 1, "Views": 1}
    changes = [change for one in second.updates.values() for change in one.changes.metrics]
    assert {str(change) for change in changes} == {"Views 1500 → 1600", "ROAS 2 → 2.1"}
    a, b = (_video(registry, folder, name) for name in ("a.mp4", "b.mp4"))
    assert (a.metrics, b.metrics) == ({"ROAS": 4.5, "Views": 1600}, {"ROAS": 2.1, "Views": 80})
    assert history_of(a, "Views") == (
        MetricValue(first.run, 1500),
        MetricValue(second.run, 1600),
    )
    cleared = run((URL, "ROAS", "Views"), ("a.mp4", "", 1600), blank_clears=True)
    assert cleared.updated == 1
    a = _video(registry, folder, "a.mp4")
    assert a.metrics == {"Views": 1600}
    assert history_of(a, "ROAS")[-1] == MetricValue(cleared.run, None)
    _sound(registry)


def test_per_cent_after_plain_numbers_is_a_question(run: Run) -> None:
    run(*FULL, **BOTH)
    with pytest.raises(QuestionError, match="of this registry has been plain numbers"):
        run((URL, "ROAS"), ("b.mp4", "220%"), metrics=["ROAS"])


def test_a_cell_that_cannot_be_read_leaves_that_metric_only(
    registry: Registry, run: Run, folder: Path
) -> None:
    rows = ("a.mp4", 4.5, "about a thousand"), ("b.mp4", 2.0, "--"), ("c.mp4", "< 10%", 7)
    summary = run((URL, "ROAS", "Views"), *rows, **BOTH)
    assert (summary.ingested, summary.failures) == (3, [])
    assert any("about a thousand" in said for said in summary.warnings)
    assert [dict(_video(registry, folder, f"{n}.mp4").metrics) for n in "abc"] == [
        {"ROAS": 4.5},
        {"ROAS": 2.0},
        {"Views": 7.0},
    ]
    run((URL, "ROAS", "Views"), ("a.mp4", 4.5, 1500))
    again = run((URL, "ROAS", "Views"), ("a.mp4", 4.5, "many"))
    assert (again.unchanged, _video(registry, folder, "a.mp4").metrics["Views"]) == (1, 1500)


def test_what_a_table_was_told_is_remembered_and_replacing_it_is_said(
    registry: Registry, run: Run, folder: Path
) -> None:
    rows = ("Link", "CTR"), ("a.mp4", "1,250"), ("b.mp4", "2,375")
    run(*rows, url_column="Link", metrics=["CTR"], decimal=",")
    assert run(*rows, name="week2.csv").unchanged == 2
    assert _video(registry, folder, "a.mp4").metrics == {"CTR": 1.25}
    other = run(("Film", "CTR"), ("c.mp4", "3,5"), url_column="Film")
    assert "--url-column is now 'Film'. Earlier ingests used 'Link'." in other.notes
    assert other.gone == 2


def test_per_cent_is_a_question_where_an_earlier_version_recorded_no_units(
    registry: Registry, run: Run
) -> None:
    run(*FULL, **BOTH)
    with registry.writing():
        registry.blobs.delete(keys.TABLE)
    with pytest.raises(QuestionError, match="ROAS"):
        run((URL, "ROAS"), ("b.mp4", "220%"), metrics=["ROAS"], name="week2.csv")
    run((URL, "ROAS"), ("b.mp4", "3"), metrics=["ROAS"], name="week3.csv")
    run((URL, "ROAS"), ("b.mp4", "$4"), metrics=["ROAS"], name="week4.csv")


def test_a_table_without_one_of_the_metrics_leaves_that_one_as_it_is(
    registry: Registry, run: Run, folder: Path
) -> None:
    run(*FULL, **BOTH)
    later = run((URL, "Views"), ("b.mp4", 90), ("c.mp4", 7), name="week2.csv")
    [warning] = [text for text in later.warnings if "has no column" in text]
    assert 'no column "ROAS", which earlier tables had. The values on record stay.' in warning
    assert not [note for note in later.notes if "named first" in note]
    assert _video(registry, folder, "b.mp4").metrics == {"ROAS": 2.0, "Views": 90}
    assert _video(registry, folder, "c.mp4").metrics == {"Views": 7}
    third = run((URL, "Views", "ROAS"), ("c.mp4", 7, 3), name="week3.csv")
    assert (third.updated, third.warnings) == (1, [])
    with pytest.raises(SourceError, match='no column "ROAS" and no column "Views"'):
        run((URL, "Clicks"), ("b.mp4", 90), name="week4.csv")
    with pytest.raises(SourceError, match=r'no column "ROAS"\. Its'):
        run((URL, "Views"), ("b.mp4", 90), name="week4.csv", **BOTH)
    with pytest.raises(QuestionError, match="ROAS"):
        run((URL, "ROAS"), ("b.mp4", "220%"), name="week5.csv")


def test_a_plan_says_what_would_be_done_and_does_nothing(
    registry: Registry, run: Run, folder: Path
) -> None:
    empty = run(*FULL, **BOTH, plan=True)
    assert empty.planned is not None
    assert [video.row for video in empty.planned.new] == [2, 3]
    assert registry.is_empty
    assert list(registry.blobs.list()) == []
    run(*FULL, **BOTH)
    before = {info.key: registry.blobs.get(info.key) for info in registry.blobs.list()}
    rows = ("a.mp4", "", "1,600"), ("c.mp4", 2.1, "many"), ("ftp://x/y.mp4", 1, 1)
    plan = run((URL, "ROAS", "Views"), *rows, plan=True)
    assert any("A plan reads no video." in note for note in plan.notes)
    document = plan.as_dict()
    assert document["updates"] == [
        {"row": 2, "url": (folder / "a.mp4").as_uri(), "metric": "Views", "from": 1500, "to": 1600}
    ]
    assert document["plan"]["columns"] == [URL, "ROAS", "Views"]
    assert [one["row"] for one in document["plan"]["new"]] == [3]
    assert [one["cell"] for one in document["plan"]["unreadable"]] == ["many"]
    assert document["plan"]["gone"] == [(folder / "b.mp4").as_uri()]
    assert (plan.blank_cells(), plan.exit_code) == ({"ROAS": 1}, 3)
    assert before == {info.key: registry.blobs.get(info.key) for info in registry.blobs.list()}


def test_a_metric_under_a_new_name_is_said(run: Run) -> None:
    run((URL, "Views"), ("a.mp4", 1), metrics=["Views"])
    summary = run((URL, "View count"), ("a.mp4", 2), metrics=["View count"])
    assert any(
        "This registry has the metrics Views. 'View count' is a new one." in said
        and 'metrics rename "View count" "Views"' in said
        for said in summary.notes
    )


def test_the_column_of_a_renamed_metric_is_recorded_under_its_name(
    registry: Registry, run: Run, folder: Path
) -> None:
    run((URL, "Views"), ("a.mp4", 1), metrics=["Views"])
    run((URL, "View count"), ("a.mp4", 2), metrics=["View count"])
    with pytest.raises(QuestionError, match="of this registry has been plain"):
        run((URL, "View count"), ("a.mp4", "2 %"))
    rename_metric(registry, "View count", "Views")
    summary = run((URL, "View count"), ("a.mp4", 3), name="week4.csv")
    assert [str(one) for one in summary.updates.popitem()[1].changes.metrics] == ["Views 2 → 3"]
    assert _video(registry, folder, "a.mp4").metrics == {"Views": 3}
    with pytest.raises(UsageError, match="Two columns of the table are the metric 'Views'"):
        run((URL, "View count", "Views"), ("a.mp4", 3, 3), metrics=["Views", "View count"])


def test_columns_that_are_not_metrics_stay_as_attributes(
    registry: Registry, run: Run, folder: Path
) -> None:
    (folder / "windows.csv").write_bytes(
        f"{URL};Titre;Vues\r\na.mp4;Été à Besançon;5\r\nb.mp4;Noël;7\r\n".encode("cp1252")
    )
    ingest(registry, folder / "windows.csv", metrics=["Vues"], workers=0)
    assert _video(registry, folder, "a.mp4").attributes == {"Titre": "Été à Besançon"}
    assert registry.video("Noël").url.exposed() == (folder / "b.mp4").as_uri()
    run((URL, "Vues", "Published"), ("a.mp4", 5, "2026-10-01"))
    assert _video(registry, folder, "a.mp4").attributes == {
        "Titre": "Été à Besançon",
        "Published": "2026-10-01",
    }
    _sound(registry)
