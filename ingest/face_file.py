"""The faces of a long video on their way from a worker process to the one that records them.

Through a pipe, a long video's faces would be in memory several times for a moment: in both
processes as arrays and as pickled bytes. So they go through a file in the folder of downloads,
which is private. The process that reads the file removes it. A file of a process that was killed is
removed when workers are started again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from ingest.extract import Extraction
from ingest.fetch.partial_file import disk_error
from registry.errors import StoreError
from registry.faces.face_table import PART, FaceTable
from registry.system.paths import remove
from registry.system.privacy import make_private_folder
from registry.system.process import is_alive, machine_id

_SUFFIX = ".faces"
_LEFT_BEHIND_S = 24 * 3600.0
"""Files this old are removed, whoever wrote them: no process hands over faces for so long."""


@dataclass(frozen=True, slots=True)
class FilledFile:
    """An extraction whose faces are in a file."""

    extraction: Extraction
    """Without faces."""
    faces: int
    """How many the file has."""


def new_face_file(folder: Path) -> Path:
    """The path of a file that this process will read; it does not exist yet."""
    return folder / f"{os.getpid()}-{_machine()}-{token_hex(4)}{_SUFFIX}"


def save_faces(extraction: Extraction, path: Path) -> Extraction | FilledFile:
    """The extraction to send to another process; the faces of a long video are saved to `path`.

    Raises `StoreError` if the file cannot be written.
    """
    faces = extraction.faces
    if not isinstance(faces, FaceTable) or len(faces) <= PART:
        return extraction
    try:
        make_private_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=_SUFFIX)
        with os.fdopen(handle, "wb") as file:  # only its owner can read it
            faces.save(file)
        Path(name).rename(path)
    except OSError as exc:
        raise disk_error(exc, path.parent) from exc
    return FilledFile(replace(extraction, faces=()), len(faces))


def load_faces(sent: Extraction | FilledFile, path: Path) -> Extraction:
    """What `save_faces` was given. Raises `StoreError` if the file cannot be read."""
    if isinstance(sent, Extraction):
        return sent
    try:
        with path.open("rb") as file:
            faces = FaceTable.load(file, sent.faces)
    except (OSError, ValueError) as exc:
        raise StoreError(f"{path} cannot be read ({exc}). Run the same command again.") from exc
    return replace(sent.extraction, faces=faces)


def remove_face_file(path: Path) -> None:
    """Remove the file, and what a worker that was killed wrote of it."""
    for file in path.parent.glob(f"{path.stem}*{_SUFFIX}"):
        with suppress(OSError):
            remove(file)


def remove_left_behind(folder: Path) -> None:
    """Remove the files of processes that ended without reading them."""
    for path in folder.glob(f"*{_SUFFIX}"):
        process, _, rest = path.name.partition("-")
        ours = rest.startswith(f"{_machine()}-") and process.isdecimal()
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > _LEFT_BEHIND_S
            if old or (ours and not is_alive(int(process))):
                remove(path)


def _machine() -> str:
    """A short name of where process ids are valid."""
    return hashlib.sha256(machine_id().encode()).hexdigest()[:8]
