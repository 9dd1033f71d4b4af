"""What a video is called on a page, and where it may be opened."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from registry.redaction import Url
from registry.terminal import clean


def name_of(url: Url) -> str:
    """The last part of the URL, or the whole one without secrets if it has none."""
    shown = url.redacted(None)
    last = unquote(urlsplit(shown).path.rstrip("/").rpartition("/")[2])
    return clean(last or shown)


def address_of(url: Url) -> str:
    """The URL to open a video on the web; empty for files, buckets, and what else is no link."""
    address = url.exposed()
    return address if address.startswith(("http://", "https://")) else ""
