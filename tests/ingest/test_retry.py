"""`videos retry`: from the URLs on record, without harm to what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

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
