"""From the URL of a page to the URL of the video on it, in a process that may do little else."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ingest.addresses import AddressPolicy
from ingest.http import Line
from ingest.memory import OVER_MEMORY
from ingest.tables.remote import is_download
from registry.confinement import bare_environment
from registry.errors import FetchError
from registry.page_urls import FILES, site_of
from registry.urls import HttpUrl, printable, redacted

MOST_MEMORY = 1 << 30
"""Bytes that reading a page may take beyond what Python and yt-dlp do."""
_LOOK_S = 0.2
_LONGEST_REASON = 300


def installed() -> bool:
    """Whether yt-dlp is."""
    return importlib.util.find_spec("yt_dlp") is not None


@dataclass(frozen=True, slots=True)
class OnPage:
    """The video of a page."""

    url: str
    headers: Mapping[str, str]
    """What its server wants to be sent along; `Cookie` is for the URL's own origin alone."""


class Pages:
    """Reads pages with yt-dlp. One object serves any number of threads.

    Each page has a Python process to itself, with an empty environment, without the user's
    cookies, configuration, plugins or programs; see `ingest.pages.extraction`.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        folder: Path,
        *,
        max_bytes: int,
        seconds: float,
        extractors: Sequence[str] = (),
        available: Callable[[], bool] = installed,
    ) -> None:
        """Nothing is started yet.

        Args:
            policy: applied to each connection; its resolver stays here, the process has its own.
            folder: where the process is to think that its user lives.
            max_bytes: formats that say they are larger are not chosen.
            seconds: that one page may take.
            extractors: `module:Class` of extractors that go before yt-dlp's own.
            available: whether there is a yt-dlp.
        """
        self._policy, self._folder = policy, folder
        self._max_bytes, self._seconds = max_bytes, seconds
        self._extractors, self._available = tuple(extractors), available

    def recognises(self, url: HttpUrl) -> bool:
        """Whether a URL is of a page, and not of a file.

        What ends as files do is a file, and so is the download that a share link was turned into.
        Pages are those of well-known sites and, if yt-dlp is installed, whatever one of its
        extractors takes, except the generic one.
        """
        if FILES.search(url.path) or is_download(str(url)):
            return False
        if site_of(str(url)):
            return True
        if not self._available():
            return False
        from ingest.pages.extraction import takes

        return takes(str(url), self._extractors)

    def read(self, url: HttpUrl, line: Line) -> OnPage:
        """The video on a page. Raises `FetchError` if there is none that can be fetched."""
        shown = redacted(str(url))
        if not self._available():
            raise FetchError(
                f"{shown}: videos on pages need yt-dlp: install it (`pip install yt-dlp`, the "
                "extra `pages` of face-registry), or give the address of the video file."
            )
        asked = {
            "url": str(url),
            "allow_private": self._policy.allow_private,
            "allowed_hosts": sorted(self._policy.allowed_hosts),
            "extractors": self._extractors,
            "max_bytes": self._max_bytes,
            "seconds": self._seconds,
            "max_memory": MOST_MEMORY,
        }
        answer = self._ask(asked, shown, line)
        if "url" not in answer:
            reason = printable(answer.get("error") or "no reason given", _LONGEST_REASON)
            raise FetchError(f"{shown}: {reason.rstrip('.')}.")
        return OnPage(answer["url"], answer["headers"])

    def _ask(self, asked: Mapping[str, object], shown: str, line: Line) -> dict[str, Any]:
        with subprocess.Popen(
            [sys.executable, "-B", "-m", "ingest.pages.extraction"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=bare_environment(self._folder),
            start_new_session=True,
        ) as process:
            try:
                told = self._wait(process, json.dumps(asked).encode(), shown, line)
            except BaseException:
                process.kill()
                raise
        try:
            answer = json.loads(told)
        except ValueError as exc:
            if process.returncode == OVER_MEMORY:
                raise FetchError(
                    f"{shown}: reading the page took more than {MOST_MEMORY >> 20:,} MiB of memory."
                ) from exc
            raise FetchError(
                f"{shown}: the process that read the page died (exit code {process.returncode})."
            ) from exc
        return answer if isinstance(answer, dict) else {}

    def _wait(
        self, process: subprocess.Popen[bytes], asked: bytes, shown: str, line: Line
    ) -> bytes:
        ends = monotonic() + self._seconds
        given: bytes | None = asked
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(given, timeout=_LOOK_S)[0]
            given = None
            line.check()
            if monotonic() > ends:
                raise FetchError(f"{shown}: reading the page took longer than {self._seconds:g} s.")
