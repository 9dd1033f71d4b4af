"""The name of a video: one canonical URL for all forms of its link."""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.redaction import Url
from registry.urls.earlier import first_page_name
from registry.urls.parameters import without_signatures
from registry.urls.parsing import (
    bucket_and_key,
    normalised_file,
    normalised_path,
    normalised_query,
    parse,
)
from registry.urls.sites import is_video_file, page_name, site_of

_PLAIN_FILE = re.compile(
    r"(https?://)(?![^/]{254})((?:[a-z0-9_-]{1,63}\.)+[a-z]{2,63})"
    r"(/(?!\.)(?:[A-Za-z0-9_~-]|\.(?!/)|/(?!\.))*\.(?:mp4|mov|mkv|webm))"
    r"(?:\?([A-Za-z0-9._~&=-]*))?"
)
"""A file's URL without escapes, port, credentials or dot segments: it need not be normalised. Most
links of a large table are of this form, and are named up to ten times as fast for it."""


@dataclass(frozen=True, slots=True)
class VideoName:
    """The name of the video of a link."""

    url: Url
    """The canonical URL, from which the video's id is computed. Its own name is itself."""
    dropped: tuple[str, ...] = ()
    """Names of the query parameters that were left out, in order. Their values are not kept."""
    earlier: tuple[Url, ...] = ()
    """The names that earlier versions gave, if they differ."""


def name_video(url: str) -> VideoName:
    """The name of the video of a link.

    Scheme and host are in lower case, the host in ASCII (IDNA) and without a final dot. There is no
    default port, no credentials, fragment or dot segments. Percent-encoding is normalised (RFC
    3986, 6.2.2). Parameters that only sign or track are left out (`registry.urls.parameters`), the
    others stay in their order. A page of a well-known video site has one form
    (`registry.urls.sites`). The name identifies a video; the whole link, with its signature, is
    what is downloaded.

    Takes http, https, s3 and file URLs (of an absolute path, here or on a server). Raises
    `UsageError` for anything else.
    """
    if plain := _PLAIN_FILE.fullmatch(url):
        scheme, host, path, query = plain.groups("")
        return _named(f"{scheme}{host}", host, path, query)
    scheme = url.strip()[:5].lower()
    if scheme == "s3://":
        return VideoName(Url("s3://{}/{}".format(*bucket_and_key(url))))
    if scheme == "file:":
        return VideoName(Url(normalised_file(url.strip())))
    parsed = parse(url)
    path, query = normalised_path(parsed.path), normalised_query(parsed.query)
    return _named(f"{parsed.scheme}://{parsed.authority}", parsed.host, path, query)


def _named(origin: str, host: str, path: str, query: str) -> VideoName:
    """The name for a URL whose parts are normalised."""
    place = f"{origin}{path}"
    site = site_of(host, path)
    kept, dropped = without_signatures(query, site, names_file=is_video_file(path))
    video = _joined(place, kept)
    if page := page_name(site, path, query):
        video, dropped = page
    before = first_page_name(site, path, query) or _joined(place, query)
    return VideoName(Url(video), dropped, () if before == video else (Url(before),))


def canonical(url: str) -> Url:
    """The canonical URL of a link. Raises `UsageError`."""
    return name_video(url).url


def names(url: str) -> tuple[Url, ...]:
    """The names under which the video may be on record: the current one, then earlier ones.

    Raises `UsageError`.
    """
    name = name_video(url)
    return name.url, *name.earlier


def _joined(place: str, query: str) -> str:
    return f"{place}?{query}" if query else place
