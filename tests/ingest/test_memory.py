"""A video that needs more memory than a worker may take costs itself and nothing else."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from ingest import ingest
from ingest.frames import MediaLimits
from ingest.summary import Summary
from registry import open_registry
from tests.support.media import require_encoder, write_video

LOW = MediaLimits(max_memory=120 << 20)


class _Warnings:
    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, videos: int) -> None: ...

    def advance(self, summary: Summary, url: str, outcome: str) -> None: ...

    def warn(self, message: str) -> None:
        self.said.append(message)


def _bomb(path: Path) -> None:
    """Flat pictures of 4K, of which the decoder keeps 16: 210 MB."""
    require_encoder("libx264")
    options = {"preset": "ultrafast", "x264-params": "ref=16:bframes=0:threads=1"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 4096, 2160, "yuv420p"
        for number in range(18):
            frame = av.VideoFrame(4096, 2160, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([10 * number]) * plane.buffer_size)
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _table(folder: Path) -> Path:
    _bomb(folder / "bomb.mp4")
    for name in ("before", "after"):
        write_video(folder / f"{name}.mp4", lambda i: (i, 80, 120), frames=10 + len(name))
    path = folder / "t.csv"
    path.write_text("Video URL,Performance\nbefore.mp4,1\nbomb.mp4,2\nafter.mp4,3\n")
    return path


def test_a_bomb_costs_its_video_and_names_the_limit(tmp_path: Path) -> None:
    table = _table(tmp_path)
    with open_registry(home=tmp_path / "home") as registry:
        summary = ingest(registry, table, workers=1, every=1, limits=LOW)
        [failure] = summary.failures
        assert (failure.row, summary.ingested) == (3, 2)
        assert "more than 120 MiB of memory" in failure.reason
        assert "--max-memory" in failure.reason


def test_without_workers_it_is_said_that_nothing_limits_memory(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", lambda i: (i, 80, 120), frames=2)
    (tmp_path / "t.csv").write_text("Video URL,Performance\nv.mp4,1\n")
    told = _Warnings()
    with open_registry(home=tmp_path / "home") as registry:
        ingest(registry, tmp_path / "t.csv", workers=0, reporter=told)
    assert [text for text in told.said if "without limits on memory" in text]


@pytest.mark.parametrize("given", ["63", "-1"])
def test_too_low_a_limit_is_wrong_usage(given: str) -> None:
    from click.testing import CliRunner

    from registry.cli import cli

    assert CliRunner().invoke(cli, ["ingest", "t.csv", "--max-memory", given]).exit_code == 2
