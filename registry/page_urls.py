"""What a page of a well-known video site is called, however its URL is spelt. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

SITES = (
    "dailymotion.com",
    "facebook.com",
    "fb.watch",
    "instagram.com",
    "tiktok.com",
    "twitch.tv",
    "twitter.com",
    "vimeo.com",
    "x.com",
    "youtu.be",
    "youtube-nocookie.com",
    "youtube.com",
)
"""Known for pages with videos, whether yt-dlp is installed or not."""

_KNOWN = re.compile(rf"https?://(?:[^/?#]*\.)?(?:{'|'.join(map(re.escape, SITES))})(?:[:/?#]|$)")

FILES = re.compile(
    r"\.(3g2|3gp|asf|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ogg|ogv|ts|webm|webp|wmv)$", re.I
)
"""A path that ends so is fetched as it is: it names a file, on whatever host."""

_ID = r"([A-Za-z0-9_-]{6,20})"
_YOUTUBE = re.compile(rf"/(?:embed|live|shorts|v)/{_ID}/?")
_TIKTOK = re.compile(r"(/@[\w.-]*/(?:video|photo)/[0-9]+)/?")
_INSTAGRAM = re.compile(r"/(?:[\w.]+/)?(?:p|reels?|tv)/([A-Za-z0-9_-]+)/?")
_VIMEO = re.compile(r"/(?:video/)?([0-9]+)(?:/([0-9a-f]{6,}))?/?")
_X = re.compile(r"/(?:i/web|\w+)/status/([0-9]+)(?:/(?:video|photo)/[0-9])?/?")


def site_of(url: str) -> str:
    """The well-known site whose page a canonical URL is; "" if it is none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if FILES.search(parts.path):
        return ""
    return next((site for site in SITES if host == site or host.endswith(f".{site}")), "")


def page_name(url: str) -> str:
    """A canonical URL in the one spelling that names its video, or as it is.

    What does not say which video is meant goes: who shared it, where to start, which list it was
    found in. The result names the same page.
    """
    if not _KNOWN.match(url):
        return url
    rule = _RULES.get(site_of(url))
    parts = urlsplit(url)
    return (rule(parts.path, parse_qs(parts.query)) if rule else "") or url


def _youtube(path: str, query: dict[str, list[str]]) -> str:
    found = _YOUTUBE.fullmatch(path)
    name = found[1] if found else query.get("v", [""])[0] if path == "/watch" else ""
    return f"https://www.youtube.com/watch?v={name}" if re.fullmatch(_ID, name) else ""


def _youtu_be(path: str, query: dict[str, list[str]]) -> str:
    return _youtube(f"/v{path}", {})


def _tiktok(path: str, query: dict[str, list[str]]) -> str:
    found = _TIKTOK.fullmatch(path)
    return f"https://www.tiktok.com{found[1]}" if found else ""


def _instagram(path: str, query: dict[str, list[str]]) -> str:
    found = _INSTAGRAM.fullmatch(path)
    return f"https://www.instagram.com/p/{found[1]}/" if found else ""


def _vimeo(path: str, query: dict[str, list[str]]) -> str:
    found = _VIMEO.fullmatch(path)
    if not found:
        return ""
    hidden = found[2] or query.get("h", [""])[0]  # without it, an unlisted video is not shown
    return f"https://vimeo.com/{found[1]}{f'/{hidden}' if hidden.isalnum() else ''}"


def _x(path: str, query: dict[str, list[str]]) -> str:
    found = _X.fullmatch(path)
    return f"https://x.com/i/status/{found[1]}" if found else ""


_RULES: dict[str, Callable[[str, dict[str, list[str]]], str]] = {
    "instagram.com": _instagram,
    "tiktok.com": _tiktok,
    "twitter.com": _x,
    "vimeo.com": _vimeo,
    "x.com": _x,
    "youtu.be": _youtu_be,
    "youtube-nocookie.com": _youtube,
    "youtube.com": _youtube,
}
