"""`videos retry`: from the URLs on record, without harm to what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ingest import ingest
from ingest.fetch.addresses import AddressPolicy
from ingest.summary import NothingRead
from registry import open_registry
from registry.cli import cli
from tests.support.media import another_file, write_video
from tests.support.web import Web, serve, status, web_server

__all__ = ["web_server"]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), *arguments])

    return call


def _retry(run: Run, *arguments: str, code: int = 0) -> Any:
    result = run("videos", "retry", "--workers", "0", "--json", *arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=12).read_bytes()


def _cut_off(folder: Path) -> tuple[Path, bytes]:
    """A video without its last third, and the bytes of the whole one."""
    path, muxer = folder / "cut.mp4", {"movflags": "frag_keyframe+empty_moov"}
    write_video(
        path, lambda i: (i, 80, 120), frames=60, container_options=muxer, options={"g": "6"}
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return path, whole


def _ingest(run: Run, tmp_path: Path, *urls: str) -> None:
    rows = [f"{url},{number}" for number, url in enumerate(urls, start=1)]
    (tmp_path / "t.csv").write_text("\n".join(["Video URL,Performance", *rows]))
    run("ingest", str(tmp_path / "t.csv"), "--workers", "0", "--allow-private-hosts")


def test_failed_and_partial_videos_are_read_again(
    run: Run, tmp_path: Path, web: Web, clip: bytes
) -> None:
    gone = web.on("/gone.mp4", status(404))
    cut, whole = _cut_off(tmp_path)
    _ingest(run, tmp_path, gone, "cut.mp4", "v.mp4")
    web.on("/gone.mp4", serve(another_file(clip, 1)))
    cut.write_bytes(whole)
    summary = _retry(run, "--all", "--allow-private-hosts")
    assert (summary["videos"]["ingested"], summary["failures"]) == (2, [])
    shown = json.loads(run("videos", "list", "--json").stdout)["videos"]
    assert {video["status"] for video in shown} == {"done"}
    assert sorted(video["metrics"]["Performance"] for video in shown) == [1, 2, 3]
    assert _retry(run, "--all")["videos"]["rows"] == 0


def test_a_failed_video_that_is_another_one_is_its_name_and_a_difference_is_said(
    run: Run, tmp_path: Path, web: Web, clip: bytes
) -> None:
    gone = web.on("/gone.mp4", status(404))
    _ingest(run, tmp_path, gone, "v.mp4")
    web.on("/gone.mp4", serve(clip))
    summary = _retry(run, "--all", "--allow-private-hosts")
    assert "had Performance 1 on record" in summary["warnings"][0]
    [video] = json.loads(run("videos", "list", "--json").stdout)["videos"]
    assert video["metrics"] == {"Performance": 2}
    assert json.loads(run("videos", "show", gone, "--json").stdout)["names"] == [gone]


def test_a_partial_video_that_fails_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    cut, _ = _cut_off(tmp_path)
    _ingest(run, tmp_path, "cut.mp4")
    before = run("videos", "list", "--json").stdout
    assert json.loads(before)["videos"][0]["status"] == "partial"
    cut.unlink()
    [failure] = _retry(run, cut.as_uri(), code=3)["failures"]
    assert "no file" in failure["reason"]
    assert run("videos", "list", "--json").stdout == before


def test_a_lost_password_is_said(run: Run, tmp_path: Path, web: Web) -> None:
    url = web.on("/v.mp4", status(401))
    _ingest(run, tmp_path, url.replace("//", "//ann:hunter2@"))
    result = run("videos", "retry", "--all", "--workers", "0", "--allow-private-hosts")
    assert result.exit_code == 3
    assert "keeps no user names, passwords and signatures" in result.stderr
    assert "hunter2" not in result.output


def test_what_is_not_to_be_retried_is_refused(run: Run, tmp_path: Path, clip: bytes) -> None:
    _ingest(run, tmp_path, "v.mp4")
    whole = run("videos", "retry", (tmp_path / "v.mp4").as_uri())
    assert "is complete" in str(whole.exception)
    assert "videos list" in str(run("videos", "retry", "https://example.com/x").exception)
    for arguments in ([], ["--all", "x"]):
        assert "--all" in str(run("videos", "retry", *arguments).exception)


_BUSY = {"Retry-After": "0"}


def _ingest_again(run: Run, tmp_path: Path) -> tuple[int, Any]:
    arguments = [str(tmp_path / "t.csv"), "--workers", "0", "--allow-private-hosts", "--json"]
    result = run("ingest", *arguments)
    return result.exit_code, json.loads(result.stdout)


def test_a_failure_of_the_server_is_no_verdict_and_the_next_ingest_reads_the_video(
    run: Run, tmp_path: Path, web: Web, clip: bytes
) -> None:
    busy = web.on("/busy.mp4", status(503, _BUSY))
    gone = web.on("/gone.mp4", status(404))
    _ingest(run, tmp_path, busy, gone, "v.mp4")
    web.on("/gone.mp4", serve(another_file(clip, 1)))
    code, summary = _ingest_again(run, tmp_path)
    assert code == 3
    failures = {failure["row"]: failure for failure in summary["failures"]}
    assert [failures[row]["not_read_yet"] for row in (2, 3)] == [True, False]
    assert failures[2]["reason"].endswith("Given up after 4 attempts. The next ingest tries again.")
    assert "--retry-failed" in failures[3]["reason"]
    web.on("/busy.mp4", serve(another_file(clip, 2)))
    code, summary = _ingest_again(run, tmp_path)
    assert (code, summary["videos"]["ingested"], summary["videos"]["failed"]) == (3, 1, 1)
    code, summary = _ingest_again(run, tmp_path)
    assert summary["videos"]["ingested"] == 0  # the mark is gone


def test_a_run_that_can_read_nothing_fails(run: Run, tmp_path: Path, web: Web, clip: bytes) -> None:
    urls = [web.on(f"/{number}.mp4", status(503, _BUSY)) for number in range(2)]
    _ingest(run, tmp_path, *urls)
    result = run(
        "ingest", str(tmp_path / "t.csv"), "--workers", "0", "--allow-private-hosts", "--profile"
    )  # fmt: skip
    assert result.exit_code == 1
    assert isinstance(result.exception, NothingRead)
    assert "workers have nothing to do" in result.stdout  # the table of stages
    assert str(result.exception).startswith(f"None of the 2 videos could be read. {urls[0]}: ")
    assert "--retry-failed" not in result.stderr  # the next run needs no option
    assert "503 Service Unavailable" in result.stderr
    with (
        open_registry(home=tmp_path / "home") as registry,
        pytest.raises(NothingRead) as raised,
    ):
        table = pd.read_csv(tmp_path / "t.csv")
        policy = AddressPolicy(allow_private=True)
        ingest(registry, table, workers=0, policy=policy)
    assert [failure.not_read_yet for failure in raised.value.summary.failures] == [True, True]


def test_a_run_of_other_numbers_only_does_not_fail_with_the_server(
    run: Run, tmp_path: Path, web: Web, clip: bytes
) -> None:
    _ingest(run, tmp_path, "v.mp4")
    _ingest(run, tmp_path, "v.mp4", web.on("/busy.mp4", status(503, _BUSY)))
    code, summary = _ingest_again(run, tmp_path)
    assert (code, summary["videos"]["unchanged"], summary["videos"]["failed"]) == (3, 1, 1)
