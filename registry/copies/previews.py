"""What a backup or a restore is going to replace, as lines to show before the question."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.copies.archive import Archive
from registry.core import keys
from registry.core.registry import Registry
from registry.core.selectors import list_some
from registry.errors import RegistryError
from registry.terminal import count, person


def preview_of_file(path: Path) -> Iterator[str]:
    """The lines for a backup over a file that exists: what the file is."""
    about = path.stat()
    written = datetime.fromtimestamp(about.st_mtime, UTC).isoformat(timespec="seconds")
    yield f"{path} exists: {about.st_size:,} bytes, written {written}."
    yield f"  {_archive(path)}"
    yield "It would be replaced once the new backup is complete."


def holds_something(registry: Registry) -> bool:
    """Whether a restore would replace something: a registry, a part of one, or a damaged one."""
    try:
        return not registry.is_empty
    except RegistryError:
        return True


def preview_of_restore(registry: Registry, path: Path) -> Iterator[str]:
    """The lines for a restore over a registry: what goes, and what comes."""
    yield f"The registry in {registry.blobs.describe()} would be replaced. It has:"
    try:
        index = registry.index
        named = sorted(
            (one for one in index.identities(provisional=False) if one.name),
            key=lambda one: (one.name, one.identity_id),
        )
        videos, faces = count(index.count_videos(), "video"), count(index.count_faces(), "face")
        people = count(index.count_identities(), "identity", "identities")
        yield f"  {videos}, {faces}, {people}"
        if named:
            some = list_some(person(one.identity_id, one.name) for one in named)
            yield f"  {len(named):,} with a name: {some}"
        yield f"  {count(len(registry.decisions.entries()), 'decision')}"
    except RegistryError as exc:
        yield f"  something that cannot be read: {exc}"
    receipts = sum(1 for _ in registry.blobs.list(keys.RECEIPTS))
    if receipts:
        yield f"  {count(receipts, 'erasure receipt')}"
    yield f"{path} would take its place:"
    yield f"  {_archive(path)}"


def _archive(path: Path) -> str:
    try:
        with Archive(path) as saved:
            manifest: dict[str, Any] = saved.manifest
            counts = manifest["counts"]
            return (
                f"a backup of {manifest['created']}: {count(counts.get('records', 0), 'video')}, "
                f"{count(counts.get('crops', 0), 'face')}, "
                f"{count(counts.get('decisions', 0), 'decision')}"
            )
    except (RegistryError, KeyError, TypeError, AttributeError):
        return "no backup that face-registry can read"
