"""The run of the demo: sample videos on a local web server are ingested and reported."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ingest.api import ingest
from ingest.fetch.addresses import AddressPolicy
from ingest.progress import Reporter
from ingest.summary import Summary
from queries.answers import LookupAnswer
from queries.export import export_csv, write_zip
from queries.lookup import lookup
from queries.page.asking import Asked
from queries.page.writing import save_page
from queries.report import Report, make_report
from queries.selections import Selection
from registry.core.opening import open_registry
from registry.demo.cast import VIDEOS
from registry.demo.server import serve_folder
from registry.demo.videos import build_videos, write_probe
from registry.demo.videos import write_csv as write_table
from registry.settings import Settings, load_settings

METRICS = ("Performance", "Views")
PROBE = "player 3"
"""The person in the photo that the demo looks up."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files of the demo."""

    folder: Path

    @property
    def videos(self) -> Path:
        """The folder of sample videos."""
        return self.folder / "videos"

    @property
    def table(self) -> Path:
        """The table that is ingested."""
        return self.folder / "videos.csv"

    @property
    def home(self) -> Path:
        """The registry."""
        return self.folder / "registry"

    @property
    def report(self) -> Path:
        """The report: how the videos with each person perform."""
        return self.folder / "influencer_performance.csv"

    @property
    def faces(self) -> Path:
        """All face images."""
        return self.folder / "faces.zip"

    @property
    def page(self) -> Path:
        """The report as a page, with faces."""
        return self.folder / "report.html"

    @property
    def probe(self) -> Path:
        """The photo that is looked up."""
        return self.folder / "who-is-this.jpg"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The result of the demo."""

    summary: Summary
    report: Report
    faces: int
    """Number of images in the zip."""
    answer: LookupAnswer


def prepare(places: Places) -> None:
    """Make the sample videos and the photo, and remove those of an earlier demo."""
    for folder in (places.videos, places.home):
        shutil.rmtree(folder, ignore_errors=True)
    build_videos(places.videos)
    write_probe(places.probe, PROBE)


def run(places: Places, reporter: Reporter) -> DemoResult:
    """Serve the videos, ingest their table, write reports and face images, look up the photo."""
    with serve_folder(places.videos) as base_url, open_registry(_embedded(places.home)) as registry:
        write_table(places.table, base_url)
        summary = ingest(
            registry,
            places.table,
            metrics=METRICS,
            policy=AddressPolicy(allow_private=True),
            reporter=reporter,
        )
        found = make_report(registry, (), Selection())
        export_csv(registry, found.table, places.report)
        save_page(registry, places.page, Asked())
        return DemoResult(
            summary, found, write_zip(registry, places.faces), lookup(registry, places.probe)
        )


def expected() -> dict[str, list[tuple[str, float]]]:
    """Return the true answer: for each person the videos as (file, performance)."""
    seen: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for video in VIDEOS:
        for person in video.people:
            seen[person].append((video.file, video.performance))
    return dict(sorted(seen.items()))


def _embedded(home: Path) -> Settings:
    """Settings without servers, whatever the environment says: the demo writes only here."""
    settings = load_settings(home=home)
    return settings.model_copy(
        update={
            "qdrant_url": None, "minio_endpoint": None, "model": None, "device": "auto",
            "proxy": None,  # the videos are on this machine
        }
    )  # fmt: skip
