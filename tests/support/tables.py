"""Tables with the videos that they list beside them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from registry.cli import cli
from registry.domain import Image
from tests.support.media import write_video


def table_of(videos: Path, files: Sequence[str], folder: Path) -> Path:
    """A table of copies of these videos, whose Performance is 1, 2, ...

    Args:
        videos: the folder that has them.
        files: their names.
        folder: where the table and the copies go.
    """
    for file in files:
        shutil.copy(videos / file, folder)
    path = folder / "videos.csv"
    rows = "\n".join(f"{file},{number}" for number, file in enumerate(files, start=1))
    path.write_text(f"Video URL,Performance\n{rows}\n")
    return path


def ingest_poker(t1_image: Image, home: Path) -> None:
    """Ingest a table of one video: six people at a table, while the camera moves a little."""
    table = str(_poker_table(t1_image, home.with_name("poker-videos")))
    done = CliRunner().invoke(cli, ["--home", str(home), "ingest", table, "--workers", "0"])
    assert done.exit_code == 0, done.output


def _poker_table(t1_image: Image, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    pictures = [np.roll(t1_image, 4 * number, axis=1)[:880] for number in range(21)]
    write_video(folder / "table.mp4", pictures, options={"crf": "18"}, fps=10)
    path = folder / "videos.csv"
    path.write_text("Video URL,Performance\ntable.mp4,1\n")
    return path
