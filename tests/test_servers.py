"""The same answers with the objects on a real S3 server, and after the index is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import places
from tests.support.scripted import error, serve_raw
from tests.support.tables import table_of
from tests.support.weed import S3Server, s3_server
from tests.test_main_job import call_here as call

__all__ = ["s3_server"]
FEW = ("card-tricks.mp4", "ask-an-astronaut.mp4")


@pytest.fixture(scope="module")
def table(demo_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table_of(demo_videos, FEW, tmp_path_factory.mktemp("videos"))


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = places.bucket("same")
    monkeypatch.setenv("MINIO_ENDPOINT", s3_server.endpoint)
    monkeypatch.setenv("MINIO_ACCESS_KEY", s3_server.access_key)
    monkeypatch.setenv("MINIO_SECRET_KEY", s3_server.secret_key)
    monkeypatch.setenv("MINIO_SECURE", "false")
    monkeypatch.setenv("MINIO_BUCKET", name)
    yield name


def _answers(home: Path, folder: Path) -> tuple[bytes, bytes]:
    folder.mkdir()
    files = folder / "out.csv", folder / "out.zip"
    result = call(home, "report", "--csv", str(files[0]), "--zip", str(files[1]))
    assert result.exit_code == 0, result.output
    return files[0].read_bytes(), files[1].read_bytes()


def test_a_bucket_gives_what_a_folder_gives(
    table: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served"
    ingested = call(served, "ingest", str(table), "--every", "30", "--workers", "1")
    assert ingested.exit_code == 0
    there = _answers(served, tmp_path / "there")
    assert not (served / "objects").exists()

    shutil.rmtree(served / "index")
    assert "face-registry reindex" in str(call(served, "report").exception)
    assert call(served, "reindex").exit_code == 0
    assert _answers(served, tmp_path / "again") == there

    monkeypatch.delenv("MINIO_ENDPOINT")
    embedded = tmp_path / "embedded"
    done = call(embedded, "ingest", str(table), "--every", "30", "--workers", "0")
    assert done.exit_code == 0
    assert _answers(embedded, tmp_path / "here") == there


def test_wrong_keys_are_said_without_their_values(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "not-the-secret")
    said = str(call(tmp_path, "status").exception)
    assert "MINIO_SECRET_KEY" in said
    assert "not-the-secret" not in said


def test_a_server_in_trouble_ends_a_command_with_one_line(tmp_path: Path) -> None:
    with serve_raw(error(503, "SlowDown", "try later")) as script:
        given = {
            "MINIO_ENDPOINT": f"http://{script.endpoint}",
            "MINIO_ACCESS_KEY": "key",
            "MINIO_SECRET_KEY": "secret",
            "FACE_REGISTRY_TIMEOUT": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", "from registry.cli import main; main()", "status"],
            env={**os.environ, **given}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: http://{script.endpoint} .*\(503 SlowDown.*\).*\n", done.stderr)
    assert 2 <= len(script.asked) <= 7  # tried again, and not for ever
