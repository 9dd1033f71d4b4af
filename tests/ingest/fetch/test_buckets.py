"""s3://bucket/key, from a real S3 server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.fetch.downloads import Downloader, FetchLimits
from registry.blobs.minio_presigned import Buckets
from registry.cli import cli
from registry.errors import FetchError, UsageError
from registry.urls import canonical
from tests.support.media import write_video
from tests.support.weed import S3Server, s3_server

__all__ = ["s3_server"]
KEY = "weekly clips/ä %41?#1.mp4"
"""A blank, a letter of two bytes, and what a URL would read as an escape, a query, a fragment."""
Make = Callable[..., Downloader]


@pytest.fixture
def make(s3_server: S3Server, tmp_path: Path) -> Iterator[Make]:
    made: list[Downloader] = []

    def build(secret: str = s3_server.secret_key, **limits: float) -> Downloader:
        buckets = Buckets(s3_server.endpoint, s3_server.access_key, secret, secure=False)
        found = FetchLimits(**limits)  # type: ignore[arg-type]
        made.append(Downloader(tmp_path / "tmp", limits=found, buckets=buckets))
        return made[-1]

    yield build
    for downloader in made:
        downloader.close()


@pytest.fixture(scope="module")
def video(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    data = write_video(path, lambda i: (i, 80, 120), frames=12).read_bytes()
    client = s3_server.client()
    client.make_bucket("videos")
    client.put_object("videos", KEY, io.BytesIO(data), len(data))
    client.put_object("videos", "empty.mp4", io.BytesIO(b""), 0)
    return data


def test_an_object_is_fetched_whatever_its_key(make: Make, video: bytes) -> None:
    assert make().fetch(f"s3://videos/{KEY}", "v").path.read_bytes() == video


@pytest.mark.parametrize(
    ("url", "limits", "said"),
    [
        ("s3://videos/absent.mp4", {}, "There is no object absent.mp4 in bucket videos"),
        ("s3://no-such-bucket/a.mp4", {}, "There is no bucket no-such-bucket"),
        ("s3://videos/empty.mp4", {}, "empty"),
        (f"s3://videos/{KEY}", {"max_bytes": 100}, "the limit is 100 bytes"),
        (f"s3://videos/{KEY}", {"secret": "wrong-secret"}, "refused access"),
    ],
)
def test_what_cannot_be_had_is_said(
    make: Make, video: bytes, url: str, limits: dict[str, float], said: str
) -> None:
    with pytest.raises(FetchError) as refused:
        make(**limits).fetch(url, "v")
    assert said in str(refused.value)
    assert "X-Amz" not in str(refused.value)
    assert "secret" not in str(refused.value).replace("MINIO_SECRET_KEY", "").lower()


@pytest.mark.slow
def test_the_command_reads_a_bucket_and_names_the_video_by_its_key(
    s3_server: S3Server, video: bytes, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(f'Video URL,Performance\n"s3://videos/{KEY}",1\n')
    environment = {
        "MINIO_ENDPOINT": s3_server.endpoint,
        "MINIO_ACCESS_KEY": s3_server.access_key,
        "MINIO_SECRET_KEY": s3_server.secret_key,
        "MINIO_SECURE": "false",
    }
    arguments = ["--home", str(tmp_path / "home")]
    run = CliRunner(env=environment)
    done = run.invoke(cli, [*arguments, "ingest", str(tmp_path / "t.csv"), "--json"])
    assert json.loads(done.stdout)["videos"]["ingested"] == 1
    shown = run.invoke(cli, [*arguments, "videos", "show", f"s3://videos/{KEY}", "--json"])
    assert json.loads(shown.stdout)["url"] == f"s3://videos/{KEY}"


def test_without_a_server_the_row_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="MINIO_ENDPOINT"):
        Downloader(tmp_path).fetch("s3://videos/a.mp4", "v")


@pytest.mark.parametrize(
    "url", ["s3://videos", "s3:///a.mp4", "s3://Videos/a", "s3://v@x/a", "s3://videos/../../a"]
)
def test_what_names_no_object_is_no_url(url: str) -> None:
    with pytest.raises(UsageError):
        canonical(url)


def test_an_object_has_one_name() -> None:
    name = canonical("s3://videos/a b.mp4")
    assert canonical("S3://videos/a b.mp4") == canonical(name.exposed()) == name
