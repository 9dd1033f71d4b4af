"""What a video is called on a page, and links to it and to a second of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from queries.page.redaction import HIDDEN, Redaction
from queries.selections import as_cell
from registry.domain import Attribute
from registry.urls import Url, is_video_file, site_of

_TITLES = ("title", "video title", "video name", "ad name", "creative name", "creative")
"""Attributes that say what a video is called, in lower case; the first one that it has counts."""
_LONGEST = 90
_SECONDS = {
    "youtube.com": ("query", "t={}s"),
    "youtu.be": ("query", "t={}s"),
    "twitch.tv": ("query", "t={}s"),
    "dailymotion.com": ("query", "start={}"),
    "vimeo.com": ("fragment", "t={}s"),
}
"""Where the players of these sites look for the second at which they begin."""
_FRAGMENT = ("fragment", "t={}")
"""The same for a video file: W3C Media Fragments 4.2.1, which browsers follow."""


def title(url: Url, attributes: Mapping[str, Attribute], redaction: Redaction, number: int) -> str:
    """What a video is called: by its title, its file name, or the site and the name of its page.

    Args:
        url: of the video.
        attributes: of the video.
        redaction: what is not shown.
        number: on the page, for a video of which nothing may be shown.
    """
    by_name = {name.casefold(): value for name, value in attributes.items()}
    for name in _TITLES:
        given = redaction.text(as_cell(by_name.get(name)) or "").strip()
        if given and given != HIDDEN:
            return _cut(given)
    address = redaction.address(url)
    if not address:
        return f"Video {number}"
    try:
        split = urlsplit(address)
    except ValueError:
        return _cut(address)
    last = unquote(split.path.rstrip("/").rpartition("/")[2])
    host = split.hostname or ""
    if host and not is_video_file(split.path):
        query = split.query.removeprefix("v=")
        last = " ".join(part for part in (host.removeprefix("www."), last, query) if part)
        last = last.replace(" watch ", " ")
    return _cut(redaction.text(last) or address)


def link_to_second(link: str, seconds: float, *, exact: bool = False) -> str:
    """The link to a video, so that it begins at a second where its site or a browser allows it.

    With `exact`, a video file begins at the fraction of the second; sites take whole seconds.
    """
    if not link:
        return ""
    split = urlsplit(link)
    site = site_of(split.hostname or "", split.path)
    rule = _SECONDS.get(site) or (_FRAGMENT if is_video_file(split.path) else None)
    if rule is None:
        return link
    place, form = rule
    at = form.format(seconds if exact and rule is _FRAGMENT else int(seconds))
    if place == "query":
        return split._replace(query=f"{split.query}&{at}" if split.query else at).geturl()
    return split._replace(fragment=at).geturl()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
