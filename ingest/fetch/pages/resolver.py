"""From the URL of a page to the URL of the video file on it, found by a confined process."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.host_headers import HostHeaders
from ingest.fetch.proxies import ProxyRules
from ingest.fetch.share_links import is_download
from ingest.fetch.streams import Deadline
from ingest.memory import OVER_MEMORY
from registry.errors import FetchError, NotReadYet
from registry.settings import certificate_variables
from registry.system.confinement import bare_environment
from registry.system.console import own_group
from registry.urls import HttpUrl, is_video_file, printable, site_of

MAX_MEMORY = 1 << 30
"""Bytes of memory for one page, beyond what Python and yt-dlp take."""
_POLL_S = 0.2
_MAX_REASON = 300
"""Characters of yt-dlp's error message that are shown."""


def is_installed() -> bool:
    """Whether yt-dlp is installed."""
    return importlib.util.find_spec("yt_dlp") is not None


@dataclass(frozen=True, slots=True)
class PageVideo:
    """The video file of a page."""

    url: str
    headers: Mapping[str, str]
    """Request headers that its server expects; `Cookie` is for the URL's own origin only."""


class PageResolver:
    """Finds videos on pages with yt-dlp; threads can share one.

    Each page gets a Python process of its own, with an empty environment and without the user's
    configuration, plugins or programs, and no cookies but those that are given; see
    `ingest.fetch.pages.ytdlp_process`. What the process is told, secrets too, goes through a pipe.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        folder: Path,
        *,
        max_bytes: int,
        seconds: float,
        extractors: Sequence[str] = (),
        proxies: ProxyRules | None = None,
        host_headers: HostHeaders | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            policy: applied to each connection, but for its resolver: the process uses the system's.
            folder: working and home directory of the process.
            max_bytes: formats whose declared size is larger are not chosen.
            seconds: time limit for one page.
            extractors: extractors (`module:Class`) that are tried before yt-dlp's own.
            proxies: for all requests of the process.
            host_headers: headers, cookies and user agent for them.
        """
        self._policy, self._folder = policy, folder
        self._max_bytes, self._seconds = max_bytes, seconds
        self._extractors = tuple(extractors)
        self._proxies = proxies or ProxyRules()
        self._host_headers = host_headers or HostHeaders()

    def recognises(self, url: HttpUrl) -> bool:
        """Whether a URL is that of a page, not of a file.

        A path with the extension of a video file is a file. Otherwise, pages are those of
        well-known sites and, if yt-dlp is installed, those that one of its extractors other than
        the generic one accepts.
        """
        if is_video_file(url.path) or is_download(str(url)):
            return False
        if site_of(url.host, url.path):
            return True
        if not is_installed():
            return False
        from ingest.fetch.pages.ytdlp_process import accepts

        return accepts(str(url), self._extractors)

    def resolve(self, url: HttpUrl, deadline: Deadline) -> PageVideo:
        """Find the video on a page. Raises `FetchError` or `NotReadYet`."""
        if not is_installed():
            raise FetchError(
                f"{deadline.label}: videos on pages need yt-dlp. Install it (`pip install yt-dlp`, "
                "the extra `pages` of face-registry), or give the URL of the video file itself."
            )
        question = {
            "url": str(url),
            "allow_private": self._policy.allow_private,
            "allowed_hosts": sorted(self._policy.allowed_hosts),
            "proxies": self._proxies.as_dict(),
            "host_headers": self._host_headers.as_dict(),
            "extractors": self._extractors,
            "max_bytes": self._max_bytes,
            "seconds": self._seconds,
            "max_memory": MAX_MEMORY,
        }
        answer = self._run(json.dumps(question).encode(), deadline)
        if "url" not in answer:
            reason = printable(answer.get("error") or "yt-dlp gives no reason", _MAX_REASON)
            error = NotReadYet if answer.get("not_read_yet") else FetchError
            raise error(f"{deadline.label}: {reason.rstrip('.')}.")
        return PageVideo(answer["url"], answer["headers"])

    def _run(self, question: bytes, deadline: Deadline) -> dict[str, Any]:
        """The answer of a process of `ingest.fetch.pages.ytdlp_process`."""
        with subprocess.Popen(
            [sys.executable, "-B", "-m", "ingest.fetch.pages.ytdlp_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=bare_environment(self._folder) | certificate_variables(),
            **own_group(),
        ) as process:
            try:
                output = self._wait(process, question, deadline)
            except BaseException:
                process.kill()
                raise
        try:
            answer = json.loads(output)
        except ValueError as exc:
            problem = f"the process that read the page ended (exit code {process.returncode})"
            if process.returncode == OVER_MEMORY:
                problem = f"reading the page took more than {MAX_MEMORY >> 20:,} MiB of memory"
            raise FetchError(f"{deadline.label}: {problem}.") from exc
        return answer if isinstance(answer, dict) else {}

    def _wait(self, process: subprocess.Popen[bytes], question: bytes, deadline: Deadline) -> bytes:
        end = monotonic() + self._seconds
        unsent: bytes | None = question
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(unsent, timeout=_POLL_S)[0]
            unsent = None
            deadline.check()
            if monotonic() > end:
                raise FetchError(
                    f"{deadline.label}: reading the page took longer than {self._seconds:g} s."
                )
