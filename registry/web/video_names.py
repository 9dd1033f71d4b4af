"""What a video is called on a page, and where it may be opened."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from registry.core.points import IndexedVideo
from registry.terminal import clean


def name_of(video: IndexedVideo) -> str:
    """The last part of the URL, or the whole one without secrets if it has none."""
    shown = video.url.redacted(None)
    last = unquote(urlsplit(shown).path.rstrip("/").rpartition("/")[2])
    return clean(last or shown)


def address_of(video: IndexedVideo) -> str:
    """The URL to open a video on the web; empty for files, buckets, and what else is no link."""
    url = video.url.exposed()
    return url if url.startswith(("http://", "https://")) else ""
