"""Models from InsightFace's releases and from a hub, checked before they are used.

The download itself was not tested, since the machines at hand cannot reach github.com and
huggingface.co: tests replace InsightFace's downloader by one that copies files, and the hub by a
server of their own. The digests are those of the packs that
InsightFace published in 2021.
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
from registry.system.privacy import make_private_folder

_TIMEOUT_S = 60.0
"""Of one read. Chosen: a stalled download ends; a slow one of 260 MB does not."""

Download = Callable[[str, Path], None]
"""Downloads the files of a pack, given by name, into an existing folder, at any depth."""


def from_releases(name: str, folder: Path) -> None:
    """Download and unpack the zip of InsightFace's releases on GitHub, by InsightFace's code."""
    from insightface.utils.storage import download

    # It prints address and path to stdout, which is for results; its progress bar is on stderr.
    with contextlib.redirect_stdout(io.StringIO()):
        download("", name, force=True, root=str(folder))


def from_url(name: str, folder: Path) -> None:
    """Download the one file of a model that a plain address has."""
    import httpx

    entry = find(name)
    [file] = entry.pulled
    with (
        httpx.stream("GET", entry.url, follow_redirects=True, timeout=_TIMEOUT_S) as answer,
        (folder / file).open("wb") as target,
    ):
        if answer.is_error:
            raise RuntimeError(f"the server answered {answer.status_code} {answer.reason_phrase}")
        for part in answer.iter_bytes():
            target.write(part)


def pull(name: str, cache: Path, *, accept_licence: bool) -> str:
    """Download a model into `cache`, and return a sentence about what was done.

    Only the files that the catalogue names are kept. A failed download leaves no files.

    Raises:
        UsageError: the licence allows research only, and was not accepted.
        ModelError: the model does not exist, cannot be downloaded, or has other weights.
    """
    entry = find(name)
    if not entry.pulled:
        return f"Nothing to pull: {name} came with the installed package {entry.carrier}."
    for folder in places(name, cache):
        if holds(folder, entry):
            return f"Nothing to pull: {name} is in {folder}. Licence: {entry.licence}."
    if entry.restricted and not accept_licence:
        raise UsageError(
            f"The licence of {name} is {entry.licence}: repeat with --accept-licence if it covers "
            "what you do."
        )
    install(entry, cache, from_url if entry.url else from_releases)
    return f"{name} is in {cache / name}. Licence: {entry.licence}."


def install(entry: ModelEntry, cache: Path, download: Download) -> None:
    """Download the entry's files, check them, and move them to `cache`/NAME in one step.

    Raises:
        ModelError: they cannot be downloaded or written, or have other digests.
    """
    try:
        make_private_folder(cache)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=cache) as staging:
            kept = _download(entry, Path(staging), cache / entry.name, download)
            _move(entry, kept, cache / entry.name)
    except OSError as exc:
        raise ModelError(
            f"{entry.name} cannot be written to {cache}: {exc.strerror or exc}."
        ) from exc


def _download(entry: ModelEntry, staging: Path, target: Path, download: Download) -> Path:
    """A folder in `staging` with only the entry's files, checked."""
    arrived, kept = staging / "arrived", staging / "kept"
    arrived.mkdir()
    kept.mkdir()
    try:
        download(entry.name, arrived)
    except Exception as exc:  # of requests, zipfile, and RuntimeError for a bad status
        reason = str(exc)
        if isinstance(exc, OSError):  # errors of requests are OSErrors without a number
            reason = exc.strerror or "the server cannot be reached"
        raise ModelError(
            f"{entry.name} cannot be downloaded ({reason}): fetch {entry.source} on another "
            f"machine, put {' and '.join(entry.pulled)} into {target}, and try again."
        ) from exc
    for name in entry.pulled:
        path = next(arrived.rglob(name), None)
        if path is not None:
            shutil.move(path, kept / name)
    if not holds(kept, entry):
        raise ModelError(
            f"The files downloaded as {entry.name} are not those of the catalogue (sha256 of "
            "detector and recogniser) and were removed. Try again, or update face-registry."
        )
    return kept


def _move(entry: ModelEntry, kept: Path, target: Path) -> None:
    """Move the folder to its place; replace a broken one, keep one with the right files."""
    try:
        kept.replace(target)
    except OSError:
        if holds(target, entry):
            return
        shutil.rmtree(target)
        kept.replace(target)
