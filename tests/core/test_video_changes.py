"""Changes of recorded videos: their names, their content, the names of their metrics."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from queries.averages import averages
from queries.export import write_csv
from registry import ids, open_registry
from registry.copies.backup import backup, restore
from registry.core import keys
from registry.core.intents import REINDEX
from registry.core.listed_videos import load_listed_videos, save_listed_videos
from registry.core.metric_history import history_of, with_values
from registry.core.registry import Registry
from registry.core.table_settings import (
    TableSettings,
    load_table_settings,
    save_table_settings,
)
from registry.core.video_changes import absorb, make_first, rename_metric, revise
from registry.domain import Content, MetricValue, Video
from registry.errors import StoreCorrupt, UnknownError, UsageError
from registry.system import checked_json as checked
from registry.upkeep.doctor import Inspection
from registry.urls import Url
from tests.support.factories import person, video
from tests.support.registries import new_registry, put

A = video("a", [person(0), person(1)], metrics={"Views": 1.0})
B = video("b", [person(1), person(2)], metrics={"Views": 3.0})


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", A, B) as opened:
        yield opened


def _record(registry: Registry, one: Video) -> Video:
    found = registry.records.get(one.video_id)
    assert found is not None
    return found


def _differences(registry: Registry) -> dict[str, str]:
    found = Inspection(registry, deep=True).findings()
    return {one.part: one.detail for one in found if one.verdict == "failed"}


def test_a_video_is_found_by_id_other_name_content_and_attribute(registry: Registry) -> None:
    other = Url("https://example.com/copy.mp4")
    revise(
        registry,
        replace(
            _record(registry, A),
            names=(other,),
            content=Content("ab" * 32, 5),
            attributes={"Ad": "AD-006", "Campaign": ("One", "Two")},
        ),
    )
    revise(registry, replace(_record(registry, B), attributes={"Campaign": "Two"}))
    known = registry.index.known(ids.video_id(other))
    assert known is not None
    assert known.video_id == A.video_id
    assert registry.index.of_content("ab" * 32) == known
    assert registry.index.of_content("cd" * 32) is None
    for key in (other.exposed(), "AD-006", "One"):
        assert registry.video(key).video_id == A.video_id
    with pytest.raises(UnknownError, match="attribute of 2 videos"):
        registry.video("Two")
    assert _differences(registry) == {}


def test_a_video_that_is_absorbed_leaves_nothing_behind(registry: Registry) -> None:
    absorb(registry, B.video_id, replace(_record(registry, A), names=(B.url,)))
    assert registry.index.video(B.video_id) is None
    assert registry.video(B.url.exposed()).video_id == A.video_id
    assert list(registry.blobs.list(keys.crops_of(B.video_id))) == []
    assert registry.index.count_identities() == 2
    assert _differences(registry) == {}


def test_a_crash_while_one_is_absorbed_is_settled_when_the_registry_is_opened(
    tmp_path: Path,
) -> None:
    with (
        new_registry(tmp_path / "home", A, B) as registry,
        pytest.raises(ZeroDivisionError),
        registry.writing(),
        registry.intent(B.video_id),
    ):
        registry.records.put(replace(_record(registry, A), names=(B.url,)))
        registry.records.delete(B.video_id)
        raise ZeroDivisionError
    with open_registry(home=tmp_path / "home") as registry:
        assert registry.index.video(B.video_id) is None
        assert registry.index.count_videos() == 1


def test_a_metric_is_renamed_everywhere_and_again_after_a_crash(registry: Registry) -> None:
    registry.set_primary_metric("Views")
    with registry.writing():
        save_table_settings(
            registry.blobs,
            TableSettings(metrics=("Views:sum", "ROAS"), units={"Views": ""}),
        )
    revise(registry, replace(_record(registry, A), metrics={"Plays": 1.0}))  # as a crash left it
    assert rename_metric(registry, "Views", "Plays") == 1
    assert [_record(registry, one).metrics for one in (A, B)] == [{"Plays": 1.0}, {"Plays": 3.0}]
    assert registry.contract.primary_metric == "Plays"
    settings = load_table_settings(registry.blobs)
    assert (settings.renames, settings.units) == ({"Views": "Plays"}, {"Plays": ""})
    assert set(averages(registry)["average_performance"]) == {1.0, 2.0, 3.0}
    with pytest.raises(UnknownError, match="no metric"):
        rename_metric(registry, "Views", "Clicks")
    assert _differences(registry) == {}


def test_two_names_of_one_number_become_one_series(registry: Registry) -> None:
    revise(registry, with_values(_record(registry, A), "z-later", {"View count": 9.0}))
    rename_metric(registry, "View count", "Views")
    joined = _record(registry, A)
    assert joined.metrics == {"Views": 9.0}
    assert history_of(joined, "Views") == (
        MetricValue("test-run", 1.0),
        MetricValue("z-later", 9.0),
    )


def test_two_metrics_of_one_run_are_not_joined(registry: Registry) -> None:
    revise(registry, replace(_record(registry, A), metrics={"Views": 1.0, "ROAS": 2.0}))
    with pytest.raises(UsageError, match="they are two metrics"):
        rename_metric(registry, "ROAS", "Views")
    with pytest.raises(UsageError, match="its name already"):
        rename_metric(registry, "Views", "Views")


def test_metrics_of_different_units_are_not_joined(registry: Registry) -> None:
    with registry.writing():
        save_table_settings(registry.blobs, TableSettings(units={"Views": "", "CTR": "%"}))
    with pytest.raises(UsageError, match="different units"):
        rename_metric(registry, "CTR", "Views")


def test_another_metric_becomes_the_first(registry: Registry) -> None:
    make_first(registry, "Views")
    assert registry.contract.primary_metric == "Views"
    with pytest.raises(UnknownError, match="no video has a value"):
        make_first(registry, "ROAS")


def test_the_ids_of_removed_videos_leave_the_list_of_the_last_table(registry: Registry) -> None:
    with registry.writing():
        save_listed_videos(registry.blobs, {A.video_id, B.video_id})
    registry.remove_videos([A.url.exposed()])
    assert load_listed_videos(registry.blobs) == {B.video_id}
    assert A.video_id.encode() not in registry.blobs.get(keys.LISTED)


def test_damaged_settings_are_named(registry: Registry) -> None:
    with registry.writing():
        registry.blobs.put(keys.TABLE, b'{"digest": "0"}')
        registry.blobs.put(keys.LISTED, b"[]")
    with pytest.raises(StoreCorrupt, match=r"table\.json is damaged"):
        load_table_settings(registry.blobs)
    with pytest.raises(StoreCorrupt, match=r"listed\.json is damaged"):
        load_listed_videos(registry.blobs)


def _of_schema_1(home: Path) -> None:
    """Make a registry what the version before schema 2 would have written."""
    path = home / "objects" / keys.CONTRACT
    body = checked.decode(path.read_bytes())
    path.write_bytes(checked.encode({**body, "schema": 1}))


SIGNED = "https://example.com/s.mp4?X-Amz-Date=20261001T000000Z&X-Amz-Signature=00"


def test_a_registry_of_schema_1_opens_with_the_same_report_and_new_names(tmp_path: Path) -> None:
    old = replace(video("s", [person(3)]), video_id=ids.video_id(SIGNED), url=Url(SIGNED))
    with new_registry(tmp_path / "home", A, B) as registry:
        put(registry, replace(old, faces=()))
        write_csv(averages(registry), tmp_path / "before.csv")
        records = {info.key: registry.blobs.get(info.key) for info in registry.blobs.list("rec")}
    _of_schema_1(tmp_path / "home")
    with open_registry(home=tmp_path / "home") as registry:
        assert (registry.contract.schema, registry.blobs.exists(keys.intent(REINDEX))) == (3, True)
        write_csv(averages(registry), tmp_path / "after.csv")
        assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
        assert records == {
            info.key: registry.blobs.get(info.key) for info in registry.blobs.list("rec")
        }
        known = registry.index.known(ids.video_id("https://example.com/s.mp4"))
        assert known is not None
        assert known.video_id == old.video_id
        assert _differences(registry) == {}


def test_a_backup_of_schema_1_is_restored(tmp_path: Path) -> None:
    with new_registry(tmp_path / "home", A, B) as registry:
        backup(registry, tmp_path / "saved.zip")
        write_csv(averages(registry), tmp_path / "before.csv")
    _as_schema_1(tmp_path / "saved.zip", tmp_path / "old.zip")
    with open_registry(home=tmp_path / "there") as there:
        assert restore(there, tmp_path / "old.zip")["schema"] == 1
        write_csv(averages(there), tmp_path / "after.csv")
        assert there.contract.schema == 3
        assert _differences(there) == {}
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def _as_schema_1(saved: Path, old: Path) -> None:
    """The archive that the version before schema 2 would have written."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(old, "w") as target:
        manifest = json.loads(source.read("manifest.json"))
        manifest["schema"] = manifest["contract"]["schema"] = 1
        for entry in manifest["objects"]:
            data = source.read(f"objects/{entry['key']}")
            if entry["key"] == keys.CONTRACT:
                data = checked.encode({**checked.decode(data), "schema": 1})
                entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
            target.writestr(f"objects/{entry['key']}", data)
        manifest["counts"]["bytes"] = sum(entry["size"] for entry in manifest["objects"])
        target.writestr("manifest.json", json.dumps(manifest))
