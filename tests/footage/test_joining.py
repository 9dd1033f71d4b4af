"""Joined videos count once, wherever videos are counted, and every decision can be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from qdrant_client import QdrantClient

from queries.averages import average_of, averages
from queries.documents import decision_documents, report_head
from registry.blobs.folder import FolderStore
from registry.cli import cli
from registry.copies.backup import backup, restore
from registry.core import keys
from registry.core.decision_redaction import redact
from registry.core.decisions import Decision, DecisionKind, encode_decision, fold
from registry.core.erasing import Eraser, decode_plan
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.core.video_changes import revise
from registry.domain import Video
from registry.errors import RegistryError, UnknownError, UsageError
from registry.footage.joining import join_videos, separate_videos
from registry.people.corrections import undo
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.upkeep.index_comparison import compare_index
from registry.upkeep.status import dump as whole
from tests.support.factories import contract, person, video
from tests.support.registries import dump, new_registry, put, who

ANN, BEA, CLEO = person(0), person(1), person(2)
FULL = video("full", [ANN, ANN, ANN, BEA], metrics={"Performance": 10.0, "Views": 100.0})
SHORT = video("short", [ANN, CLEO], metrics={"Performance": 4.0, "Clicks": 7.0})
OTHER = video("other", [ANN], metrics={"Performance": 1.0, "Views": 5.0})
THIRD = video("third", [ANN, ANN, CLEO], metrics={"Performance": 7.0})
VIDEOS = (FULL, SHORT, OTHER, THIRD)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", *VIDEOS) as opened:
        yield opened


def _rows(registry: Registry, **given: Any) -> dict[str, dict[str, Any]]:
    rows = averages(registry, **given).to_dict(orient="records")
    return {row["identity"]: {str(name): value for name, value in row.items()} for row in rows}


def _join(registry: Registry, *videos: Video) -> Decision:
    return join_videos(registry, [one.url.exposed() for one in videos])


def _is_sound(registry: Registry) -> bool:
    """Whether the index says what records and decisions say, and a rebuilt one says the same."""
    differences = list(compare_index(registry.records, registry.index, registry.view))
    before = dump(registry)
    registry.reindex()
    return not differences and dump(registry) == before


def test_joined_videos_count_once_as_the_first_one(registry: Registry) -> None:
    ann, cleo = who(registry, FULL), who(registry, SHORT, 1)
    before = _rows(registry)[ann]
    assert (before["videos"], before["average_performance"]) == (4, 5.5)
    _join(registry, FULL, SHORT)
    rows = _rows(registry)
    assert rows[ann]["videos"] == 3
    assert rows[ann]["average_performance"] == pytest.approx((10 + 1 + 7) / 3)
    assert rows[ann]["average_Views"] == pytest.approx((100 + 5) / 2)
    assert "average_Clicks" not in rows[ann], "no video that counts has the metric"
    assert rows[cleo]["average_performance"] == pytest.approx((10 + 7) / 2), "in a part of it"
    assert report_head(registry, None)["videos"] == 3
    assert _is_sound(registry)


def test_screen_time_is_not_added_up_and_faces_are_those_on_record(registry: Registry) -> None:
    ann, cleo = who(registry, FULL), who(registry, SHORT, 1)
    before = _rows(registry)
    _join(registry, FULL, SHORT)
    rows = _rows(registry)
    third = 10 / 30
    assert rows[ann]["screen_time_s"] == pytest.approx(
        before[ann]["screen_time_s"] - third, abs=1e-3
    )
    assert rows[cleo]["screen_time_s"] == before[cleo]["screen_time_s"], (
        "only one of them shows her"
    )
    assert [rows[i]["faces"] for i in (ann, cleo)] == [before[i]["faces"] for i in (ann, cleo)]


def test_who_is_not_in_the_first_one_has_the_longest_screen_time(registry: Registry) -> None:
    cleo = who(registry, SHORT, 1)
    put(registry, video("long", [CLEO, CLEO, CLEO], metrics={}))
    join_videos(registry, [FULL.url.exposed(), SHORT.url.exposed(), "https://example.com/long.mp4"])
    row = _rows(registry)[cleo]
    assert row["videos"] == 2
    assert row["screen_time_s"] == pytest.approx(4 * 10 / 30, abs=1e-3)


def test_lookups_and_reports_agree(registry: Registry) -> None:
    ann, cleo = who(registry, FULL), who(registry, SHORT, 1)
    _join(registry, OTHER, FULL)
    _join(registry, THIRD, SHORT)
    for identity in (ann, cleo):
        row = _rows(registry)[identity]
        assert average_of(registry, identity)["Performance"] == row["average_performance"]
        assert registry.identity(identity).videos == row["videos"]


def test_undoing_restores_everything_and_earlier_reports_can_be_made_again(
    registry: Registry,
) -> None:
    states, reports = [dump(registry)], [averages(registry)]
    for videos in ((FULL, SHORT), (OTHER, THIRD), (THIRD, FULL)):
        _join(registry, *videos)
        states.append(dump(registry))
        reports.append(averages(registry))
    assert registry.view.same_as == dict.fromkeys(
        (one.video_id for one in (FULL, SHORT, THIRD)), OTHER.video_id
    )
    for number, report in enumerate(reports):
        pd.testing.assert_frame_equal(averages(registry, as_of=number), report)
    for number in (3, 2, 1):
        undo(registry)
        assert dump(registry) == states[number - 1]
    undo(registry, 4)
    assert registry.view.same_as == {FULL.video_id: THIRD.video_id}


def _set_metrics(registry: Registry, video: Video, metrics: dict[str, float]) -> None:
    record = registry.records.get(video.video_id)
    assert record is not None
    revise(registry, replace(record, metrics=metrics))


def test_metrics_that_change_later_count(registry: Registry) -> None:
    ann = who(registry, FULL)
    _join(registry, FULL, SHORT)
    _set_metrics(registry, SHORT, {"Performance": 1000.0})
    assert _rows(registry)[ann]["average_performance"] == 6.0
    _set_metrics(registry, FULL, {"Performance": 1.0})
    assert _rows(registry)[ann]["average_performance"] == 3.0


def test_a_joined_video_that_is_read_again_stays_joined(registry: Registry) -> None:
    _join(registry, FULL, SHORT)
    put(registry, video("full", [BEA], metrics={"Performance": 10.0}))
    assert registry.identity(who(registry, SHORT)).videos == 3
    assert _is_sound(registry)


def test_what_was_separated_is_not_joined_and_the_other_way_round(registry: Registry) -> None:
    separate_videos(registry, FULL.url.exposed(), SHORT.url.exposed())
    with pytest.raises(UsageError, match=r"Decision 1 .*videos undo 1"):
        _join(registry, OTHER, SHORT, FULL)
    with pytest.raises(UsageError, match="Decision 1 says already"):
        separate_videos(registry, SHORT.url.exposed(), FULL.url.exposed())
    _join(registry, OTHER, FULL)
    with pytest.raises(UsageError, match="Decision 1"):
        _join(registry, SHORT, OTHER)
    with pytest.raises(UsageError, match="Decision 3 separates"):
        separate_videos(registry, OTHER.url.exposed(), FULL.url.exposed())


def test_what_cannot_be_joined_is_named(registry: Registry) -> None:
    with pytest.raises(UnknownError, match="nowhere"):
        join_videos(registry, [FULL.url.exposed(), "https://example.com/nowhere.mp4"])
    with pytest.raises(UsageError, match="one video"):
        join_videos(registry, [FULL.url.exposed(), FULL.video_id])
    with pytest.raises(UsageError, match="two or more"):
        join_videos(registry, [FULL.url.exposed()])
    _join(registry, FULL, SHORT)
    with pytest.raises(UsageError, match=f"count as {FULL.video_id}"):
        _join(registry, SHORT, FULL)


def _served(root: Path) -> Registry:
    """A registry whose index frees what is deleted: an erasure changes it where it stands."""
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    return Registry(load_settings(home=root), FolderStore(root / "objects"), store)


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("chain", [False, True])
def test_who_remains_of_joined_videos_is_still_one(
    tmp_path: Path, served: bool, chain: bool
) -> None:
    opened = _served(tmp_path) if served else open_registry(load_settings(home=tmp_path))
    with opened as registry:
        registry.establish(contract())
        put(registry, *VIDEOS)
        if chain:
            _join(registry, FULL, SHORT)
            _join(registry, THIRD, FULL)
        else:
            _join(registry, FULL, SHORT, THIRD)
        separate_videos(registry, FULL.url.exposed(), OTHER.url.exposed())
        cleo = who(registry, SHORT, 1)
        registry.remove_videos([FULL.url.exposed()])
        counted = registry.view.counted_video(SHORT.video_id)
        assert counted == registry.view.counted_video(THIRD.video_id)
        assert registry.identity(cleo).videos == 1
        assert registry.view.separated_videos(THIRD.video_id, OTHER.video_id) == 2 + chain
        log = b"".join(encode_decision(decision) for decision in registry.decisions.entries())
        assert FULL.video_id.encode() not in log
        assert _is_sound(registry)
        registry.remove_videos([SHORT.url.exposed(), THIRD.url.exposed()])
        assert {decision.kind for decision in registry.decisions.entries()} == {DecisionKind.VOID}
        assert _is_sound(registry)
        with pytest.raises(UsageError, match="a video that has been removed"):
            undo(registry, 1)


def test_an_erasure_that_was_cut_off_between_two_decisions_keeps_the_rest_joined(
    registry: Registry,
) -> None:
    first = _join(registry, FULL, SHORT)
    _join(registry, FULL, THIRD)
    eraser = Eraser(registry.blobs, registry.records)
    plan = decode_plan(eraser.plan_videos(registry.view, [FULL.video_id]).encode())
    gone = {FULL.video_id}
    redacted = encode_decision(redact(first, gone, set(), plan.stand_ins))
    with registry.writing():
        registry.blobs.put(keys.decision(first.number), redacted)
        eraser.erase(plan, fold(registry.decisions.entries()))
    view = fold(registry.decisions.entries())
    assert view.counted_video(SHORT.video_id) == view.counted_video(THIRD.video_id)
    assert eraser.count_remaining(plan)["decisions"] == 0


def test_of_two_joined_videos_the_one_that_stays_counts_alone(registry: Registry) -> None:
    ann = who(registry, FULL)
    _join(registry, FULL, SHORT)
    registry.remove_videos([FULL.url.exposed()])
    row = _rows(registry)[ann]
    assert (row["videos"], row["average_performance"]) == (3, 4.0)
    assert registry.decisions.entries() == [Decision(1, DecisionKind.VOID)]


def test_copies_carry_what_was_said(registry: Registry, tmp_path: Path) -> None:
    _join(registry, FULL, SHORT)
    separate_videos(registry, OTHER.url.exposed(), THIRD.url.exposed())
    backup(registry, tmp_path / "saved.zip")
    with open_registry(load_settings(home=tmp_path / "there")) as there:
        restore(there, tmp_path / "saved.zip")
        assert whole(there) == whole(registry)
        assert there.view == registry.view
    assert [entry["videos"] for entry in whole(registry)["decisions"]] == [
        (FULL.video_id, SHORT.video_id),
        (OTHER.video_id, THIRD.video_id),
    ]


def test_where_nothing_was_said_of_videos_documents_are_as_before(registry: Registry) -> None:
    decision = registry.name(who(registry, FULL), "Ann")
    assert b"videos" not in encode_decision(decision)
    assert "videos" not in whole(registry)["decisions"][0]
    [document] = decision_documents([decision])
    assert "videos" not in document


# --- commands -----------------------------------------------------------------------------------


def _call(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(cli, ["--home", str(home), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit | RegistryError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_say_what_counts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with new_registry(home, *VIDEOS) as registry:
        ann = who(registry, FULL)
    assert "same as" not in _call(home, "videos", "list")
    joined = _call(home, "videos", "join", FULL.url.exposed(), SHORT.video_id[:8])
    assert f"{SHORT.video_id[:8]} now counts as {FULL.video_id}." in joined
    assert f"Performance: 10 counts ({FULL.video_id[:8]}); {SHORT.video_id[:8]} has 4" in joined
    assert f"Clicks: no value counts ({FULL.video_id[:8]}); {SHORT.video_id[:8]} has 7" in joined
    assert "Views" not in joined
    assert "undo 1" in joined
    listed = json.loads(_call(home, "videos", "list", "--json"))["videos"]
    same = {one["url"]: one.get("same_as") for one in listed}
    assert same == {
        FULL.url.exposed(): None,
        SHORT.url.exposed(): FULL.video_id,
        OTHER.url.exposed(): None,
        THIRD.url.exposed(): None,
    }
    assert "same as" in _call(home, "videos", "list")
    assert f"Same footage as {FULL.video_id}" in _call(home, "videos", "show", SHORT.url.exposed())
    assert f"Counts for {SHORT.video_id[:8]} too" in _call(
        home, "videos", "show", FULL.url.exposed()
    )
    assert f"(same as {FULL.video_id[:8]})" in _call(home, "identities", "show", ann)
    assert "3 videos" in _call(home, "identities", "show", ann)
    apart = _call(home, "videos", "separate", OTHER.url.exposed(), THIRD.url.exposed())
    assert "are not the same footage" in apart
    log = json.loads(_call(home, "identities", "list", "--decisions", "--json"))["decisions"]
    assert [entry["kind"] for entry in log] == ["join_videos", "separate_videos"]
    assert log[0]["videos"] == [FULL.video_id, SHORT.video_id]
    assert "is the same footage as" in log[0]["text"]
    assert "Decision 1 (join_videos) no longer counts" in _call(home, "videos", "undo", "1")
    assert "(separate_videos) no longer counts" in _call(home, "identities", "undo")
    assert "same as" not in _call(home, "videos", "list")
