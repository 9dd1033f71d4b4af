"""A worker on a machine of a Ray cluster: fetches videos and extracts their faces there.

It runs in an actor, a process that Ray starts. The model runs in a process below it, as in an
ingest without Ray, so that a video which crashes or hangs that process costs one video everywhere
alike, and the loss of an actor means the loss of its machine.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import registry
from ingest.extract import Extraction
from ingest.fetch.downloads import Download, Downloader
from ingest.fetch.network import FetchRules
from ingest.frames import MediaLimits, Sampling
from ingest.workers import PoolExtractor
from registry.core.backends import open_buckets
from registry.domain import Contract
from registry.errors import FetchError, RegistryError, UsageError
from registry.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class NodeSetup:
    """What a worker needs to know; it is sent to each of them, secrets of the settings included."""

    settings: Settings
    contract: Contract
    model_source: str
    sampling: Sampling
    limits: MediaLimits
    timeout_s: float
    """Time limit of one video."""
    rules: FetchRules
    marker: Path
    """A file in the home of the main process. A worker that sees it shares that home."""
    version: str = registry.__version__


@dataclass(frozen=True, slots=True)
class Failed:
    """An exception of a worker: Ray would put its own around it, with a traceback as its text."""

    error: Exception


class NodeWorker:
    """The state of an actor. Its methods may run in several threads; one video is processed."""

    def __init__(self, setup: NodeSetup) -> None:
        self._setup = setup
        self._downloader: Downloader | None = None
        self._extractor: PoolExtractor | None = None

    def start(self) -> str | Failed:
        """Check the machine, and start the process of the model. Returns the machine's name."""
        try:
            settings = _settings_here(self._setup)
            self._downloader = self._setup.rules.downloader(
                settings.downloads, open_buckets(settings)
            )
            self._extractor = PoolExtractor(
                settings,
                self._setup.contract,
                self._setup.model_source,
                workers=1,
                sampling=self._setup.sampling,
                limits=self._setup.limits,
                timeout_s=self._setup.timeout_s,
            )
        except Exception as exc:
            return Failed(exc)
        return platform.node()

    def fetch(self, location: str, name: str) -> Download | Failed:
        """As `Downloader.fetch`; the file stays on this machine."""
        assert self._downloader
        try:
            if "://" not in location and not Path(location).exists():
                raise FetchError(
                    f"The machine {platform.node()} of the cluster has no file {location}. Put "
                    "the videos in a folder that all machines share, or on an S3 server (s3://)."
                )
            return self._downloader.fetch(location, name)
        except Exception as exc:
            return Failed(exc)

    def extract(self, path: Path, video_id: str) -> Extraction | Failed:
        """As `PoolExtractor.extract`, of a file on this machine."""
        assert self._extractor
        try:
            return self._extractor.extract(path, video_id)
        except Exception as exc:
            return Failed(exc)

    def discard(self, download: Download) -> None:
        """Delete the file if it is temporary."""
        download.discard()

    def close(self) -> None:
        """Stop what is running and delete temporary files."""
        if self._downloader:
            self._downloader.close()
        if self._extractor:
            self._extractor.close()


def _settings_here(setup: NodeSetup) -> Settings:
    """The settings of the main process, with a home that exists on this machine.

    Raises `RegistryError` if this machine cannot take part.
    """
    name = platform.node()
    if setup.version != registry.__version__:
        raise UsageError(
            f"The machine {name} of the cluster has face-registry {registry.__version__}, and this "
            f"one has {setup.version}. Install the same version on all machines."
        )
    if setup.marker.exists():
        return setup.settings
    if setup.settings.minio_endpoint is None:
        raise RegistryError(
            f"The images of this registry are in the folder {setup.settings.home / 'objects'}, "
            f"which the machine {name} of the cluster does not see. Move them to an S3 server with "
            "`face-registry migrate --to-minio HOST:PORT`, or put the home on a file system that "
            "all machines share under the same path."
        )
    return setup.settings.model_copy(update={"home": load_settings().home})
