"""Packs from InsightFace's releases into our folder of models, checked before they count.

What was run: everything here but the transfer itself, with InsightFace's downloader replaced by one
that copies files, and the refusal on a machine that cannot reach github.com. The digests are those
of the packs that InsightFace published in 2021.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from registry.errors import ModelError, UsageError
from registry.models.entries import ModelEntry, find, holds, places

Download = Callable[[str, Path], None]
"""Puts the files of the pack named into a folder that exists, at any depth."""


def from_releases(name: str, folder: Path) -> None:
    """The pack by InsightFace's own means: the zip of its releases on GitHub, unpacked."""
    from insightface.utils.storage import download

    # It prints the address and the path to stdout, where results go; its progress bar stays.
    with contextlib.redirect_stdout(io.StringIO()):
        download("", name, force=True, root=str(folder))


def pull(name: str, cache: Path, *, accept_licence: bool) -> str:
    """Fetch a pack into `cache`, and say in a sentence what was done.

    Only its detector and recogniser are kept. A pull that breaks leaves nothing behind.

    Raises:
        UsageError: the pack's licence was not accepted.
        ModelError: no such model, it cannot be downloaded, or what came is something else.
    """
    entry = find(name)
    if entry.carrier:
        return f"Nothing to pull: {name} came with the installed package {entry.carrier}."
    for folder in places(name, cache):
        if holds(folder, entry):
            return f"Nothing to pull: {name} is in {folder}. Licence: {entry.licence}."
    if not accept_licence:
        raise UsageError(
            f"The licence of {name} is {entry.licence}: repeat with --accept-licence if it covers "
            "what you do."
        )
    install(entry, cache, from_releases)
    return f"{name} is in {cache / name}. Licence: {entry.licence}."


def install(entry: ModelEntry, cache: Path, download: Download) -> None:
    """Download the entry's files, check them, and move them to `cache`/NAME in one step.

    Raises:
        ModelError: they cannot be downloaded or written, or are not the entry's.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=cache) as staging:
            kept = _fetch(entry, Path(staging), cache / entry.name, download)
            _settle(entry, kept, cache / entry.name)
    except OSError as exc:
        raise ModelError(
            f"{entry.name} cannot be written to {cache}: {exc.strerror or exc}."
        ) from exc


def _fetch(entry: ModelEntry, staging: Path, target: Path, download: Download) -> Path:
    """A folder in `staging` with the files of the entry, checked, and nothing else."""
    arrived, kept = staging / "arrived", staging / "kept"
    arrived.mkdir()
    kept.mkdir()
    try:
        download(entry.name, arrived)
    except Exception as exc:  # requests', zipfile's, and a bare RuntimeError for a bad status
        reason = str(exc)
        if isinstance(exc, OSError):  # requests' own are OSErrors without a number
            reason = exc.strerror or "the server cannot be reached"
        raise ModelError(
            f"{entry.name} cannot be downloaded ({reason}): fetch {entry.source} on another "
            f"machine, put {' and '.join(entry.files)} into {target}, and try again."
        ) from exc
    for name in entry.files:
        found = next(arrived.rglob(name), None)
        if found is not None:
            shutil.move(found, kept / name)
    if not holds(kept, entry):
        raise ModelError(
            f"What was downloaded as {entry.name} is not the pack that the catalogue knows (sha256 "
            "of its detector and recogniser): nothing was kept. Try again, or update face-registry."
        )
    return kept


def _settle(entry: ModelEntry, kept: Path, target: Path) -> None:
    """Move the folder to its place, over a broken one; a right one from elsewhere may stay."""
    try:
        kept.replace(target)
    except OSError:
        if holds(target, entry):
            return
        shutil.rmtree(target)
        kept.replace(target)
