"""The files that were written out of a registry: zips, tables, backups.

An erasure cannot reach them, so its receipt names those that were written while the person was on
record. The object `exports.json` holds the path, the kind and the time of each, and nothing about a
person. A file that is written again replaces its entry. A file that `serve` sends to a browser has
its name in place of the path, since nobody knows here where the browser saves it; each such
download keeps its own entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
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
_DOWNLOADED = " (downloaded in a browser)"
"""What follows the name of a download."""
_sent_from: ContextVar[Path | None] = ContextVar("_sent_from", default=None)
"""The temporary folder of the download that is being written."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was written out of the registry."""

    kind: str
    """`zip`, `csv`, `parquet`, `excel`, `html`, `coco`, `fiftyone` or `backup`."""
    path: str
    """Absolute, on the machine that wrote it; of a download, its name and `_DOWNLOADED`."""
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


@contextmanager
def sending_from(folder: Path) -> Iterator[None]:
    """In the block, record files of this temporary folder as downloads, by their names."""
    token = _sent_from.set(folder.absolute())
    try:
        yield
    finally:
        _sent_from.reset(token)


def record_exports(registry: WritableRegistry, kind: str, paths: Iterable[Path]) -> None:
    """Record that these files were written just now.

    The files are there already, so nothing is raised where this is not possible, as while another
    process is the writer: the user is told.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    new = [Export(kind, _place(path), at) for path in paths if path != STANDARD_OUTPUT]
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


def _place(path: Path) -> str:
    folder = _sent_from.get()
    absolute = path.absolute()
    return f"{path.name}{_DOWNLOADED}" if absolute.parent == folder else str(absolute)


def save_exports(blobs: BlobStore, exports: Iterable[Export]) -> None:
    """Replace the list: of several entries of one path, the last one stays; of downloads, all."""
    last = {_file_of(export): export for export in sorted(exports, key=lambda export: export.at)}
    ordered = sorted(last.values(), key=lambda export: (export.at, export.path))
    body = {"exports": [asdict(export) for export in ordered]}
    blobs.put(keys.EXPORTS, checked.encode(body))


def _file_of(export: Export) -> tuple[str, str]:
    """What two entries share if the second replaced the file of the first."""
    return export.path, export.at if export.path.endswith(_DOWNLOADED) else ""


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
