"""Addresses of tables and videos that are shared by link: where their bytes are. Pure.

Sources of the forms: Google's help on publishing sheets and on sharing files, Dropbox's help on
forcing a download (`dl=1`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from registry.errors import UsageError

Fetch = Callable[[str], bytes]
"""The bytes at an http or https URL, under the rules for addresses. Raises `FetchError`."""

_LINK = re.compile(r"https?://", re.IGNORECASE)
_SHEET = re.compile(r"/spreadsheets/(?:u/[0-9]+/)?d/(?P<id>(?:e/)?[A-Za-z0-9_-]+)(?P<rest>/.*)?")
_DRIVE_FILE = re.compile(r"/file/(?:u/[0-9]+/)?d/([A-Za-z0-9_-]+)(?:/.*)?")
_DRIVE_HOSTS = frozenset({"drive.google.com", "docs.google.com"})
_DROPBOX_HOSTS = frozenset({"dropbox.com", "www.dropbox.com"})
_SHARED = re.compile(r"//(?:drive|docs)\.google\.com|dropbox\.com", re.IGNORECASE)
_DOWNLOAD = re.compile(
    r"https://(?:drive\.usercontent\.google\.com/download\?|www\.dropbox\.com/[^?]*\?(?:.*&)?dl=1$)"
)
_FOLDERS = re.compile(r"/drive/(?:u/[0-9]+/)?folders/|/scl/fo/|/sh/|/folderview")


def is_link(source: str) -> bool:
    """Whether a table is named by an http or https URL."""
    return bool(_LINK.match(source))


def table_address(url: str) -> str:
    """Where the table behind a link is: a Google sheet as CSV, a shared file as a download.

    A link to a sheet names one of its tabs (`gid`), else the first is meant.
    """
    parts = urlsplit(url)
    match = _SHEET.fullmatch(parts.path) if parts.hostname == "docs.google.com" else None
    if not match:
        return download_address(url)
    asked: dict[str, str] = dict(parse_qsl(parts.query) + parse_qsl(parts.fragment))
    wanted: dict[str, str] = {name: asked[name] for name in ("gid", "single") if name in asked}
    sheet, rest = match["id"], match["rest"] or ""
    if sheet.startswith("e/"):  # published: https://docs.google.com/spreadsheets/d/e/…/pubhtml
        query = urlencode({**wanted, "output": "csv"})
        return f"https://docs.google.com/spreadsheets/d/{sheet}/pub?{query}"
    if rest.startswith(("/export", "/gviz/")):
        return url
    query = urlencode({"format": "csv", **wanted})
    return f"https://docs.google.com/spreadsheets/d/{sheet}/export?{query}"


def is_download(url: str) -> bool:
    """Whether a URL is of the form that `download_address` makes."""
    return bool(_DOWNLOAD.match(url))


def download_address(url: str) -> str:
    """Where the file behind a share link of Google Drive or Dropbox is; other URLs as they are.

    Raises `UsageError` for the link of a folder.
    """
    if not _SHARED.search(url):  # nearly all, and a table may have very many
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host not in _DRIVE_HOSTS | _DROPBOX_HOSTS:
        return url
    if _FOLDERS.search(parts.path):
        raise UsageError("it is the link of a folder; share the file itself and use its link.")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if host in _DROPBOX_HOSTS:
        kept = {name: value for name, value in query.items() if name not in {"dl", "raw", "st"}}
        return f"https://www.dropbox.com{parts.path}?{urlencode({**kept, 'dl': '1'})}"
    match = _DRIVE_FILE.fullmatch(parts.path)
    file = match[1] if match else query.get("id", "")
    if not file or not (match or parts.path in {"/open", "/uc"}):
        return url
    asked = {"id": file, "export": "download", "confirm": "t"}
    if "resourcekey" in query:
        asked["resourcekey"] = query["resourcekey"]
    return f"https://drive.usercontent.google.com/download?{urlencode(asked)}"
