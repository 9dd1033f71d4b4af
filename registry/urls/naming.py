"""The name of a video: one URL for all the spellings of its link."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class VideoName:
    """What a link is known by."""

    url: Url
    """The canonical URL, from which the video's id follows; its own canonical form."""
    dropped: tuple[str, ...] = ()
    """Names of the query parameters that are no part of it, in order: they sign the link, track who
    clicked it, or say where to start. Their values are not kept."""
    earlier: tuple[Url, ...] = ()
    """The names that earlier versions gave, where they gave another."""


def name_video(url: str) -> VideoName:
    """The name of the video that a link is of; spellings of one link have one name.

    Scheme and host in lower case, the host in ASCII (IDNA) and without a final dot; no default
    port, credentials, fragment or dot segments; percent-encoding as in RFC 3986 (6.2.2); no
    parameter that only signs or tracks (`registry.urls.parameters`), the others in their order; one
    name for a page of a well-known video site (`registry.urls.sites`). The name is for knowing a
    video again: fetch what was given, which has its signature.

    Takes http, https, file (of an absolute path on this machine) and s3 URLs. Raises `UsageError`
    for anything else.
    """
    scheme = url.strip()[:5].lower()
    if scheme == "s3://":
        return VideoName(Url("s3://{}/{}".format(*bucket_and_key(url))))
    if scheme == "file:":
        return VideoName(Url(normalised_file(url.strip())))
    parsed = parse(url)
    path, query = normalised_path(parsed.path), normalised_query(parsed.query)
    place = f"{parsed.scheme}://{parsed.authority}{path}"
    site = site_of(parsed.host, path)
    kept, dropped = without_signatures(query, site, names_file=is_video_file(path))
    video = _joined(place, kept)
    if page := page_name(site, path, query):
        video, dropped = page
    before = first_page_name(site, path, query) or _joined(place, query)
    return VideoName(Url(video), dropped, () if before == video else (Url(before),))


def canonical(url: str) -> Url:
    """The name alone. Raises `UsageError`."""
    return name_video(url).url


def names(url: str) -> tuple[Url, ...]:
    """All names that the video may be on record under: today's, then those of earlier versions.

    Raises `UsageError`.
    """
    name = name_video(url)
    return name.url, *name.earlier


def _joined(place: str, query: str) -> str:
    return f"{place}?{query}" if query else place
