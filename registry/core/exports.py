"""The files that were written out of a registry: zips, tables, backups.

An erasure cannot reach them, so its receipt names those that were written while the person was on
record. The object `exports.json` holds the path, the kind and the time of each, and nothing about a
person. A file that is written again replaces its entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.guarded import GuardedStore
from registry.errors import ObjectMissing, RegistryError, StoreCorrupt
from registry.system import checked_json as checked
from registry.system.files import STANDARD_OUTPUT

_STAMP = "%Y%m%dT%H%M%SZ"
"""How the id of a run begins (`registry.core.runs`)."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was written out of the registry."""

    kind: str
    """`zip`, `csv`, `parquet`, `excel`, `html`, `coco`, `fiftyone` or `backup`."""
    path: str
    """Absolute, on the machine that wrote it."""
    at: str
    """When it was last written: ISO 8601, UTC, to the second."""


class WritableRegistry(Protocol):
    """What `record_exports` needs of a `Registry`."""

    blobs: GuardedStore

    def say(self, sentence: str, /) -> None:
        """Tell the user of a warning."""

    def writing(self) -> AbstractContextManager[None]:
        """Become the writer, and make a change in the block."""


def load_exports(blobs: BlobStore) -> list[Export]:
    """All files known, oldest first. Raises `StoreCorrupt`."""
    try:
        return [Export(**entry) for entry in checked.decode(blobs.get(keys.EXPORTS))["exports"]]
    except ObjectMissing:
        return []
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreCorrupt(
            f"{keys.EXPORTS} is damaged ({exc}). Restore a backup, or delete it: receipts of "
            "erasures then no longer name the files that were written before."
        ) from exc


def record_exports(registry: WritableRegistry, kind: str, paths: Iterable[Path]) -> None:
    """Record that these files were written just now.

    The files are there already, so nothing is raised where this is not possible, as while another
    process is the writer: the user is told.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    new = [Export(kind, str(path.absolute()), at) for path in paths if path != STANDARD_OUTPUT]
    if not new:
        return
    try:
        with registry.writing():
            save_exports(registry.blobs, [*load_exports(registry.blobs), *new])
    except RegistryError as exc:
        names = ", ".join(export.path for export in new)
        registry.say(
            f"warning: It could not be recorded that {names} was written, so the receipt of a "
            f"later erasure will not name it. {exc}"
        )


def save_exports(blobs: BlobStore, exports: Iterable[Export]) -> None:
    """Replace the list: of several entries of one path, the last one stays."""
    last = {export.path: export for export in sorted(exports, key=lambda export: export.at)}
    ordered = sorted(last.values(), key=lambda export: (export.at, export.path))
    body = {"exports": [asdict(export) for export in ordered]}
    blobs.put(keys.EXPORTS, checked.encode(body))


def written_since(exports: Iterable[Export], run: str) -> list[Export]:
    """The files that were written after a run began; all of them if its id has no time in it."""
    began = run.partition("-")[0]
    try:
        datetime.strptime(began, _STAMP)
    except ValueError:
        return list(exports)
    return [
        export
        for export in exports
        if f"{datetime.fromisoformat(export.at).astimezone(UTC):{_STAMP}}" >= began
    ]
