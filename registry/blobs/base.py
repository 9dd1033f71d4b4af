"""The interface to the objects: keys to bytes, in a folder or a bucket.

A key consists of names of lower-case letters, digits, `.`, `_` and `-`, separated by `/`; no name
is empty, or starts or ends with a dot. Capitals are in times alone (`20261127T101500Z`): file
systems of Windows and macOS take `a` and `A` for one name. Names that Windows gives to devices
(`con`, `nul.json`) are not used either, so that a registry can be copied to any system. Objects are
written atomically: a reader gets the old bytes or the new ones. No key may be a folder of another
(`a` and `a/b`): a file system cannot store both, and buckets differ in what they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from registry.errors import StoreError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
"""As in the ids of runs."""
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names of devices of Windows (`registry.system.local_paths.is_device_name`), without a suffix."""
_MAX_NAME = 255
"""Bytes: NAME_MAX of ext4, XFS, APFS and NTFS, and MinIO's limit for a name between slashes."""
_AT_ONCE = 4
"""Objects written at the same time. Measured with 18 crops of 9 kB on ext4: 36 ms one by one, 14 ms
four at a time, no less with more."""
_MAX_KEY = 512
"""Bytes: half of the 1,024 that S3 allows; the other half is for a prefix in the bucket."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One object in a listing."""

    key: str
    size: int
    """Bytes."""
    version: str = field(default="", compare=False)
    """Changes when other bytes are written under the key."""


class BlobStore(Protocol):
    """A map from keys to bytes; threads may share it.

    Every method may raise a `StoreError`, and does so for an invalid key.
    """

    def describe(self) -> str:
        """One line for messages: kind and place, without secrets."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object atomically and durably, replacing one of the same key."""

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Write objects by key, each as `put` does, several at once.

        If it raises, some may be written.
        """

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises `ObjectMissing`."""

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """The object's bytes and its tag, which changes with the bytes. Raises `ObjectMissing`."""

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Write an object only if the existing one has this tag; with None, only if none exists.

        Returns the new tag, or None if the condition was not met. Some S3 servers ignore the
        condition and always write.
        """

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Objects whose key starts with `prefix` (any text), in order of key.

        Keys are ordered as text, so `a-b` comes before `a.b` and that before `a/b`. Files whose
        name is not a valid key are left out.
        """

    def delete(self, key: str) -> None:
        """Remove an object with its older versions; no error if it does not exist."""

    def close(self) -> None:
        """Close connections and files. May be called twice."""


def put_at_once(put: Callable[[str, bytes], None], objects: Mapping[str, bytes]) -> None:
    """Call `put` for each object, in several threads. Raises the first error when all have ended.

    Writing is mostly waiting, for a disk or for a server, and file systems join what they sync at
    the same time.
    """
    if len(objects) < 2:
        for key, data in objects.items():
            put(key, data)
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="put") as threads:
        written = [threads.submit(put, key, data) for key, data in objects.items()]
    for one in written:
        one.result()


def is_key(text: str) -> bool:
    """Whether this is a valid key."""
    names = text.split("/")
    return (
        len(text) <= _MAX_KEY
        and all(len(name) <= _MAX_NAME and _NAME.fullmatch(name) for name in names)
        and "./" not in text
        and not text.endswith(".")
        and _DEVICES.isdisjoint([name.partition(".")[0] for name in names])
        and (("z" not in text and text.islower()) or _has_one_case(text))
    )


def starts_keys(prefix: str) -> bool:
    """Whether a key can start with `prefix`; some prefixes are let through that start none."""
    start = prefix if prefix and not prefix.endswith("/") else f"{prefix}x"
    return len(start) <= _MAX_KEY and all(
        len(name) <= _MAX_NAME and _NAME.fullmatch(name) for name in start.split("/")
    )


def check_key(key: str) -> str:
    """The key. Raises `StoreError` if it is not valid."""
    if not is_key(key):
        raise StoreError(
            f"{key[:80]!r} is not an object key. "
            "Use names of lower-case letters, digits, '.', '_' and '-', separated by '/', none "
            "with '.' in front or at the end, none that Windows gives to a device, of at most "
            f"{_MAX_NAME} characters, {_MAX_KEY} in all."
        )
    return key


def _has_one_case(text: str) -> bool:
    """Whether all capitals are in times, and no time is in small letters."""
    plain = _TIME.sub("", text)
    return plain == plain.lower() and not _TIME.search(plain.upper())
