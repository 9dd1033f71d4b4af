"""The log of events: one form a line, nothing in it that must not leave the machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from ingest import ingest
from registry import events, open_registry
from registry.cli import cli, main
from registry.urls import Url
from tests.support.factories import person, video
from tests.support.media import write_video
from tests.support.registries import new_registry


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    yield
    events.stop()


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_one_json_object_with_time_and_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events.start("json", None)
    events.emit("video.fetched", row=2, seconds=1.23456, reason="", message="a\nb\x1b[31m\u202e")
    out, err = capsys.readouterr()
    [line] = _lines(err)
    assert out == ""
    assert err.isascii()
    assert pd.Timestamp(line.pop("time")).tz is not None
    assert line == {
        "level": "info",
        "event": "video.fetched",
        "row": 2,
        "seconds": 1.235,
        "message": "a\nb\x1b[31m\u202e",
    }


def test_text_is_one_line_with_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    events.start("text", "debug")
    events.emit("run.end", logging.ERROR, run="r-1", reason="no\nroom", counts={"faces": 1})
    [line] = capsys.readouterr().err.splitlines()
    assert line.split(" ", 1)[1] == (
        r'ERROR   run.end run=r-1 reason="no\nroom" counts="{\"faces\": 1}"'
    )


def test_credentials_and_secrets_of_a_url_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    events.start("json", None)
    events.emit(
        "video.fetched", url=Url("https://ann:pw@example.com/a.mp4?X-Amz-Signature=abc&v=1")
    )
    [line] = _lines(capsys.readouterr().err)
    assert line["url"] == "https://example.com/a.mp4?X-Amz-Signature=***&v=1"


def test_the_level_is_the_least_one_that_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    events.start(None, "warning")
    events.emit("video.fetched")
    events.emit("video.failed", logging.WARNING)
    assert "video.failed" in capsys.readouterr().err
    assert events.listening() == ("text", "warning")
    events.stop()
    events.emit("video.failed", logging.ERROR)
    assert capsys.readouterr().err == ""


def test_a_program_that_embeds_the_registry_takes_events_into_its_own_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="face_registry"):
        events.emit("video.fetched", row=3)
    [record] = caplog.records
    assert record.getMessage() == "video.fetched row=3"
    assert vars(record)["fields"] == {"row": 3}


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_every_line_of_a_run_is_an_event_also_those_of_worker_processes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    clip = write_video(tmp_path / "0.mp4", lambda i: (i, 80, 120), frames=12)
    table = pd.DataFrame({"Video URL": [str(clip), str(tmp_path / "1.mp4")], "Performance": 1.0})
    events.start("json", "info")
    with open_registry(home=tmp_path / "home") as registry:
        run = ingest(registry, table, workers=workers, allow_local_files=True).run
    said = _lines(capfd.readouterr().err)
    assert {line["run"] for line in said} == {run}
    assert {line["event"] for line in said} == {
        "run.begin", "video.fetched", "video.read", "video.recorded", "video.failed", "run.end",
    } | ({"worker.ready"} if workers else set())  # fmt: skip
    rows = {line["event"]: line["row"] for line in said if "row" in line}
    assert rows == {"video.fetched": 2, "video.recorded": 2, "video.failed": 3}


def test_a_command_speaks_in_events_and_names_nobody(tmp_path: Path) -> None:
    one = video("a", [person(0)])
    with new_registry(tmp_path, one) as registry:
        registry.name(one_identity := next(registry.index.identities()).identity_id, "Annabel")
    log = ["--home", str(tmp_path), "--log-format", "json"]
    undone = CliRunner().invoke(cli, [*log, "identities", "undo"], catch_exceptions=False)
    decision, note = _lines(undone.stderr)
    assert (decision["event"], decision["kind"]) == ("decision", "undo")
    assert note["event"] == "note"
    assert "Annabel" not in undone.stderr
    assert one_identity not in undone.stderr


def _ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    [line] = _lines(capsys.readouterr().err)
    return ended.value.code, line


def test_an_error_is_an_event_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with new_registry(tmp_path, video("a", [person(0)])):
        pass
    log = ["--home", str(tmp_path), "--log-format", "json"]
    code, said = _ended([*log, "identities", "show", "Annabel"], capsys)
    assert (code, said["error"]) == (1, "UnknownError")
    assert "Annabel" not in said["message"]
    code, said = _ended([*log, "ingest", "--no-such-option"], capsys)
    assert (code, said["level"]) == (2, "error")
    code, said = _ended([*log, "--debug", "ingest", str(tmp_path / "no.csv")], capsys)
    assert "SourceError" in said["traceback"]


def test_a_format_that_there_is_not_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACE_REGISTRY_LOG_FORMAT", "xml")
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    assert ended.value.code == 2
    assert "FACE_REGISTRY_LOG_FORMAT" in capsys.readouterr().err
