"""yt-dlp, in a process of its own: reads one page, says where its video is, and ends.

    python -m ingest.pages.extraction  < question.json  > answer.json

The kernel refuses what reading a page does not need: files, but those of Python and of looking up
names; writing; other programs (`registry.system.confinement`). An audit hook refuses connections to
addresses that the policy did not judge, which the kernel cannot tell from others; it guards against
slips, not against a program that is out to get around it. The time limit is the caller's.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.extractor import gen_extractor_classes
from yt_dlp.globals import plugin_dirs
from yt_dlp.networking import RequestDirector
from yt_dlp.utils import DownloadError, YoutubeDLError, determine_protocol

from ingest.addresses import AddressPolicy
from ingest.http import Transport
from ingest.memory import MemoryGuard
from ingest.pages.requests import CheckedRH
from registry.errors import RegistryError
from registry.system.certificates import tls_context
from registry.system.confinement import (
    REACHING_OUT,
    import_folders,
    restrict_calls,
    restrict_files,
    restrict_resources,
)

_HOPS = 5
"""Pages that embed a page that embeds a page."""
_WANTED_HEIGHT = 720
"""px: detectors look at 640, so the smallest format of at least so much is as good as a larger."""
_HEADERS = ("User-Agent", "Referer", "Origin", "Accept", "Accept-Language")
_CONNECT_S = 10.0
_REFUSED = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
     "subprocess.Popen"}
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LOOKING_UP = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/localtime", "/usr/share/zoneinfo", "/lib", "/lib64", "/usr/lib",
    "/usr/lib64",
)  # fmt: skip
"""What the C library reads to look up names and times, and its modules for that."""
_PARAMS: dict[str, Any] = {
    "allowed_extractors": ["default", "-generic"],
    "cachedir": False,
    "enable_file_urls": False,
    "extractor_retries": 1,
    "ignoreerrors": False,
    "js_runtimes": {},
    "logtostderr": True,
    "noplaylist": True,
    "proxy": "",
    "quiet": True,
    "usenetrc": False,
}


@functools.cache
def _classes(extractors: tuple[str, ...]) -> tuple[Any, ...]:
    named = [name.split(":") for name in extractors]
    own = [getattr(importlib.import_module(module), name) for module, name in named]
    return (*own, *(ie for ie in gen_extractor_classes() if ie.ie_key() != "Generic"))


def takes(url: str, extractors: Sequence[str] = ()) -> bool:
    """Whether an extractor other than the generic one says that it is for this URL."""
    return any(ie.suitable(url) for ie in _classes(tuple(extractors)))


@dataclass(frozen=True, slots=True)
class _Noting(AddressPolicy):
    """Remembers what it let pass."""

    passed: set[str] = field(default_factory=set, compare=False)

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """As its base does."""
        found = AddressPolicy.addresses(self, host, port)
        self.passed.update(found)
        return found


class _Quiet:
    """A log that nobody reads."""

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class _Reader(yt_dlp.YoutubeDL):  # type: ignore[misc]
    def __init__(self, transport: Transport, seconds: float, extractors: Sequence[str]) -> None:
        self._transport, self._request_s = transport, seconds
        self.handler: CheckedRH | None = None
        super().__init__({**_PARAMS, "logger": _Quiet()}, auto_init=False)
        for ie in _classes(tuple(extractors))[: len(extractors)]:
            self.add_info_extractor(ie())
        self.add_default_info_extractors()

    def build_request_director(
        self, handlers: object, preferences: object = None
    ) -> RequestDirector:
        """One handler, ours."""

        def ours(**given: Any) -> CheckedRH:
            self.handler = CheckedRH(self._transport, self._request_s, **given)
            return self.handler

        return super().build_request_director([ours])


def confine(passed: set[str]) -> None:
    """From now on, and for good, this process connects to these addresses alone.

    It reads no file but Python's and those that looking up names takes, and writes none.
    """

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in _REFUSED:
            raise PermissionError(f"a page may not start programs ({event})")
        if event == "socket.connect" and (
            given[0].family not in {socket.AF_INET, socket.AF_INET6} or given[1][0] not in passed
        ):
            raise PermissionError(f"{given[1]} was not judged")
        if event == "open" and isinstance(given[2], int) and given[2] & _WRITING:
            raise PermissionError("a page may not write files")

    restrict_files([*import_folders(), *map(Path, _LOOKING_UP)], network=True)
    restrict_resources(descriptors=False)
    restrict_calls(REACHING_OUT, keep=False)
    sys.addaudithook(hook)


def extract(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a question of `ingest.pages.reading`: `url` and `headers`, or `error`."""
    policy = _Noting(asked["allow_private"], frozenset(asked["allowed_hosts"]))
    transport = Transport(policy, tls_context(None), connect_s=_CONNECT_S, read_s=asked["seconds"])
    plugin_dirs.value = []
    reader = _Reader(transport, asked["seconds"], asked["extractors"])
    guard = MemoryGuard()
    confine(policy.passed)
    try:
        with guard.watching(asked["max_memory"]):
            return _chosen(reader, _video(reader, asked["url"]), asked["max_bytes"])
    except (YoutubeDLError, RegistryError, LookupError, TypeError, ValueError, OSError) as exc:
        problems = reader.handler.problems if reader.handler else []
        return {"error": problems[0] if problems else _sentence(exc)}


def _video(reader: _Reader, url: str) -> Mapping[str, Any]:
    found: Any = {"_type": "url", "url": url}
    for _ in range(_HOPS):
        match found.get("_type", "video"):
            case "video":
                if found.get("is_live") or found.get("live_status") in {"is_live", "is_upcoming"}:
                    raise ValueError("a live broadcast has no end; come back when it is over")
                video: Mapping[str, Any] = found
                return video
            case "url" | "url_transparent":
                found = reader.extract_info(
                    found["url"], download=False, ie_key=found.get("ie_key"), process=False
                )
                if not isinstance(found, dict):
                    raise ValueError("yt-dlp finds nothing there")
            case _:
                first = list(islice(_entries(found.get("entries")), 2))
                if len(first) != 1:
                    raise ValueError(
                        "the page is a list of videos; give the address of each in a row of its own"
                    )
                found = first[0]
    raise ValueError("the page leads from page to page")


def _entries(entries: Any) -> Iterable[Any]:
    return entries.getslice(0, 2) if hasattr(entries, "getslice") else entries or ()


def _chosen(reader: _Reader, video: Mapping[str, Any], max_bytes: int) -> dict[str, Any]:
    formats = [one for one in video.get("formats") or [video] if _is_plain(one, max_bytes)]
    if not formats:
        raise ValueError(
            "the page offers no video file for download (streams in pieces, such as HLS and DASH, "
            "protected ones and ones that are too large are not fetched)"
        )
    best = max(formats, key=_preference)
    told = {**reader.params["http_headers"], **(video.get("http_headers") or {})}
    told |= best.get("http_headers") or {}
    headers = {name: str(told[name]) for name in _HEADERS if told.get(name)}
    if cookie := reader.cookiejar.get_cookie_header(best["url"]):
        headers["Cookie"] = cookie
    return {"url": best["url"], "headers": headers}


def _is_plain(one: Mapping[str, Any], max_bytes: int) -> bool:
    return (
        bool(one.get("url"))
        and (one.get("protocol") or determine_protocol(one)) in {"http", "https"}
        and one.get("vcodec") != "none"
        and not one.get("has_drm")
        and (one.get("filesize") or 0) <= max_bytes
    )


def _preference(one: Mapping[str, Any]) -> tuple[bool, float, float]:
    """At least the wanted height, and no more than that; then the better bit rate."""
    height = one.get("height") or 0
    enough = height >= _WANTED_HEIGHT
    return enough, -height if enough else height, one.get("tbr") or 0


def _sentence(exc: Exception) -> str:
    if isinstance(exc, DownloadError) and exc.exc_info and exc.exc_info[1] is not None:
        inner = exc.exc_info[1]
        return str(getattr(inner, "orig_msg", None) or inner)
    return str(exc) or type(exc).__name__


def main() -> None:
    """Answer one question."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no answer
    answer = extract(json.load(sys.stdin))
    os.write(answers, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
