"""The order in which objects are listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from registry.blobs.base import BlobInfo


def in_key_order(found: Iterable[BlobInfo], base: int) -> Iterator[BlobInfo]:
    """A server's listing in order of key, holding back as little as that takes.

    S3 and MinIO list in that order. Servers that keep a tree of files (SeaweedFS 4.48) list folder
    by folder, so that `a/x` comes before `a-b` and `a.b`, though `-` and `.` sort before `/`. The
    keys of a folder, whose name starts at index `base` of each, are therefore held until a name
    comes that no such neighbour can follow: one folder's keys at a time, and none where the
    listing is of one folder's own files.
    """
    held: list[BlobInfo] = []
    stem = ""
    for blob in found:
        name, slash, _ = blob.key[base:].partition("/")
        if held and name != stem and not name.startswith((f"{stem}-", f"{stem}.")):
            yield from sorted(held, key=_key)
            held.clear()
        if held:
            held.append(blob)
        elif slash:
            stem = name
            held.append(blob)
        else:
            yield blob
    yield from sorted(held, key=_key)


def _key(blob: BlobInfo) -> str:
    return blob.key
