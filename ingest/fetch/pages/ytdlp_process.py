"""A process that runs yt-dlp: it reads one page and writes where the page's video is.

    python -m ingest.fetch.pages.ytdlp_process  < question.json  > answer.json

The kernel refuses what reading a page does not need: files other than Python's and those for name
lookups, writing, and other programs (`registry.system.confinement`). An audit hook refuses
connections to addresses that the policy has not checked, which the kernel cannot tell apart; it
guards against mistakes, not against code that tries to get around it. The caller limits the time.
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

from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.connections import HttpClient
from ingest.fetch.host_headers import HostHeaders, strict_policy
from ingest.fetch.pages.request_handler import CheckedRH
from ingest.fetch.proxies import ProxyRules
from ingest.fetch.streams import TransientError
from ingest.memory import MemoryGuard
from registry.errors import NotReadYet, RegistryError
from registry.system.certificates import tls_context
from registry.system.confinement import (
    REACHING_OUT,
    import_folders,
    restrict_calls,
    restrict_files,
    restrict_resources,
)

_MAX_EMBEDDED = 5
"""Pages followed in a row where a page embeds another."""
_WANTED_HEIGHT = 720
"""px. Detectors work on 640 px, so a larger format brings nothing."""
_HEADERS = ("User-Agent", "Referer", "Origin", "Accept", "Accept-Language")
_CONNECT_S = 10.0
_NOT_READ_YET = (TransientError, NotReadYet)
_REFUSED_EVENTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
     "subprocess.Popen"}
)  # fmt: skip
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LOOKUP_FILES = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/localtime", "/usr/share/zoneinfo", "/lib", "/lib64", "/usr/lib",
    "/usr/lib64",
)  # fmt: skip
"""What the C library reads to look up names and time zones, and its modules for that."""
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
def _extractor_classes(extractors: tuple[str, ...]) -> tuple[Any, ...]:
    names = [name.split(":") for name in extractors]
    first = [getattr(importlib.import_module(module), name) for module, name in names]
    return (*first, *(ie for ie in gen_extractor_classes() if ie.ie_key() != "Generic"))


def accepts(url: str, extractors: Sequence[str] = ()) -> bool:
    """Whether an extractor other than the generic one accepts this URL."""
    return any(ie.suitable(url) for ie in _extractor_classes(tuple(extractors)))


@dataclass(frozen=True, slots=True)
class _RecordingPolicy(AddressPolicy):
    """Remembers the addresses that it allowed."""

    allowed: set[str] = field(default_factory=set, compare=False)

    def checked_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """As `AddressPolicy.checked_addresses`."""
        addresses = AddressPolicy.checked_addresses(self, host, port)
        self.allowed.update(addresses)
        return addresses

    def proxy_addresses(self, host: str, port: int) -> tuple[str, ...]:
        """As `AddressPolicy.proxy_addresses`."""
        addresses = AddressPolicy.proxy_addresses(self, host, port)
        self.allowed.update(addresses)
        return addresses


class _NoLog:
    """A logger for yt-dlp that discards everything."""

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class _Extractor(yt_dlp.YoutubeDL):  # type: ignore[misc]
    def __init__(self, client: HttpClient, seconds: float, extractors: Sequence[str]) -> None:
        self._client, self._request_s = client, seconds
        self.handler: CheckedRH | None = None
        given = client.host_headers
        agent = {"User-Agent": given.user_agent} if given.user_agent else {}
        super().__init__({**_PARAMS, "http_headers": agent, "logger": _NoLog()}, auto_init=False)
        # Extractors look for cookies of a login here; the handler decides which are sent where.
        self.cookiejar.set_policy(strict_policy())
        for cookie in given.cookies:
            self.cookiejar.set_cookie(cookie)
        for ie in _extractor_classes(tuple(extractors))[: len(extractors)]:
            self.add_info_extractor(ie())
        self.add_default_info_extractors()

    def build_request_director(
        self, handlers: object, preferences: object = None
    ) -> RequestDirector:
        """Use one handler, ours."""

        def build_handler(**options: Any) -> CheckedRH:
            self.handler = CheckedRH(self._client, self._request_s, **options)
            return self.handler

        return super().build_request_director([build_handler])


def confine(allowed: set[str]) -> None:
    """Restrict this process, for good, to connections to these addresses.

    It can read Python's files and those for name lookups only, and write none.
    """

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _REFUSED_EVENTS:
            raise PermissionError(f"a page may not start programs ({event})")
        if event == "socket.connect" and (
            args[0].family not in {socket.AF_INET, socket.AF_INET6} or args[1][0] not in allowed
        ):
            raise PermissionError(f"the address {args[1]} was not checked")
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITE_FLAGS:
            raise PermissionError("a page may not write files")

    restrict_files([*import_folders(), *map(Path, _LOOKUP_FILES)], network=True)
    restrict_resources(descriptors=False)
    restrict_calls(REACHING_OUT, keep=False)
    sys.addaudithook(hook)


def extract(question: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a question of `ingest.fetch.pages.resolver` with `url` and `headers`, or `error`."""
    policy = _RecordingPolicy(question["allow_private"], frozenset(question["allowed_hosts"]))
    seconds = question["seconds"]
    tls = tls_context(None)  # now, for it reads files
    client = HttpClient(
        policy,
        lambda: tls,
        connect_s=_CONNECT_S,
        read_s=seconds,
        proxies=ProxyRules.from_dict(question["proxies"]),
        host_headers=HostHeaders.from_dict(question["host_headers"]),
    )
    plugin_dirs.value = []
    extractor = _Extractor(client, seconds, question["extractors"])
    guard = MemoryGuard()
    confine(policy.allowed)
    try:
        with guard.watching(question["max_memory"]):
            video = _find_video(extractor, question["url"])
            return _choose_format(extractor, video, question["max_bytes"])
    except (YoutubeDLError, RegistryError, LookupError, TypeError, ValueError, OSError) as exc:
        first = next(iter(extractor.handler.errors if extractor.handler else []), None)
        if first is None:
            return {"error": _message(exc)}
        return {"error": str(first), "not_read_yet": isinstance(first, _NOT_READ_YET)}


def _find_video(extractor: _Extractor, url: str) -> Mapping[str, Any]:
    """What yt-dlp says of the one video on a page (its info dict)."""
    info: Any = {"_type": "url", "url": url}
    for _ in range(_MAX_EMBEDDED):
        match info.get("_type", "video"):
            case "video":
                if info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
                    raise ValueError("the video is a live broadcast; try again when it has ended")
                video: Mapping[str, Any] = info
                return video
            case "url" | "url_transparent":
                info = extractor.extract_info(
                    info["url"], download=False, ie_key=info.get("ie_key"), process=False
                )
                if not isinstance(info, dict):
                    raise ValueError("yt-dlp finds no video on the page")
            case _:
                entries = list(islice(_first_entries(info.get("entries")), 2))
                if len(entries) != 1:
                    raise ValueError(
                        "the page is a list of videos; give the URL of each in a row of its own"
                    )
                info = entries[0]
    raise ValueError(f"the page embeds more than {_MAX_EMBEDDED} pages in one another")


def _first_entries(entries: Any) -> Iterable[Any]:
    return entries.getslice(0, 2) if hasattr(entries, "getslice") else entries or ()


def _choose_format(
    extractor: _Extractor, video: Mapping[str, Any], max_bytes: int
) -> dict[str, Any]:
    formats = [form for form in video.get("formats") or [video] if _is_plain_file(form, max_bytes)]
    if not formats:
        raise ValueError(
            "the page offers no video file for download (segmented streams such as HLS and DASH, "
            "protected files and files over the size limit are not fetched)"
        )
    best = max(formats, key=_preference)
    expected = {**extractor.params["http_headers"], **(video.get("http_headers") or {})}
    expected |= best.get("http_headers") or {}
    headers = {name: str(expected[name]) for name in _HEADERS if expected.get(name)}
    if cookie := extractor.cookiejar.get_cookie_header(best["url"]):
        headers["Cookie"] = cookie
    return {"url": best["url"], "headers": headers}


def _is_plain_file(form: Mapping[str, Any], max_bytes: int) -> bool:
    return (
        bool(form.get("url"))
        and (form.get("protocol") or determine_protocol(form)) in {"http", "https"}
        and form.get("vcodec") != "none"
        and not form.get("has_drm")
        and (form.get("filesize") or 0) <= max_bytes
    )


def _preference(form: Mapping[str, Any]) -> tuple[bool, float, float]:
    """Sort key: at least the wanted height, then the height nearest to it, then the bit rate."""
    height = form.get("height") or 0
    enough = height >= _WANTED_HEIGHT
    return enough, -height if enough else height, form.get("tbr") or 0


def _message(exc: Exception) -> str:
    if isinstance(exc, DownloadError) and exc.exc_info and exc.exc_info[1] is not None:
        inner = exc.exc_info[1]
        return str(getattr(inner, "orig_msg", None) or inner)
    return str(exc) or type(exc).__name__


def main() -> None:
    """Answer one question."""
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else must reach the output
    answer = extract(json.load(sys.stdin))
    os.write(output, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
