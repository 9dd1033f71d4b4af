"""Weight files: their digests, and those in installed packages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path, PurePosixPath

from registry.errors import ModelError


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal digits. Raises `ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ModelError(f"The weights {path} cannot be read: {exc.strerror or exc}.") from exc


def combined_digest(digests: Iterable[str]) -> str:
    """One digest for a set of files: sha256 over their digests, sorted, one per line.

    File names are not included, so the same weights under other names are the same model.
    """
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def carried_path(distribution: str, name: str) -> Path:
    """The path of the file `name` of an installed distribution, whose code is not imported.

    Raises:
        ModelError: the distribution or the file is not installed.
    """
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError as exc:
        raise ModelError(
            f"The package {distribution}, which contains {name}, is not installed. "
            "Reinstall face-registry with its dependencies."
        ) from exc
    for file in files:
        if PurePosixPath(file).name == name:
            return Path(str(file.locate()))
    raise ModelError(
        f"The installed package {distribution} has no file {name}. "
        f"Reinstall {distribution} in the version that face-registry asks for."
    )


def carried(distribution: str, name: str, sha256: str) -> bytes:
    """The bytes of a file of an installed distribution.

    Raises:
        ModelError: it is not installed, cannot be read, or has another sha256.
    """
    path = carried_path(distribution, name)
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"The weights {path} cannot be read: {exc.strerror or exc}.") from exc
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise ModelError(
            f"The weights {path} are not the expected ones (sha256 {actual}, expected {sha256}). "
            f"Reinstall {distribution} in the version that face-registry asks for."
        )
    return content
