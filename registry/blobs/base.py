"""The seam to the objects: keys to bytes, in a folder or a bucket.

A key is `/`-separated names of letters, digits, `.`, `_` and `-`; none is empty, `.` or `..`, and
none starts with a dot. Objects are written whole: a reader sees the old bytes or the new ones.
No key may be the folder of another (`a` beside `a/b`): a folder cannot hold both, and buckets
differ in what they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from registry.errors import StoreError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_MAX_NAME = 255
"""Bytes: NAME_MAX of ext4, XFS, APFS and NTFS, and MinIO's limit for a name between slashes."""
_MAX_KEY = 512
"""Bytes: half of the 1,024 that S3 allows; the other half is left to a prefix in the bucket."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One object in a listing."""

    key: str
    size: int
    """Bytes."""


class BlobStore(Protocol):
    """A flat map from keys to bytes, for many threads at once.

    Every method may raise a `StoreError`, and does for a key that is none.
    """

    def describe(self) -> str:
        """One line for people: what it is and where, without secrets."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole and durably, replacing one of the same key."""

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises `ObjectMissing`."""

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """The object's bytes and its tag, which other bytes do not have. Raises `ObjectMissing`."""

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Write an object only if the one there has this tag, or, for None, if there is none.

        Returns the new tag, or None if the condition did not hold. Some S3 servers take no notice
        of conditions and always write.
        """

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Objects whose key starts with `prefix` (any text), in order of key.

        The order is that of the whole key as text, so `a-b` comes before `a.b` before `a/b`.
        What lies among the objects and has no key for a name is left out.
        """

    def delete(self, key: str) -> None:
        """Remove an object for good, older versions included; nothing happens if there is none."""

    def close(self) -> None:
        """Let go of connections; closing twice is fine."""


def is_key(text: str) -> bool:
    """Whether an object can go by this name."""
    return len(text) <= _MAX_KEY and all(
        len(name) <= _MAX_NAME and _NAME.fullmatch(name) for name in text.split("/")
    )


def starts_keys(prefix: str) -> bool:
    """Whether any key can start with `prefix`."""
    return is_key(prefix if prefix and not prefix.endswith("/") else f"{prefix}x")


def check_key(key: str) -> str:
    """The key itself, if it is one. Raises `StoreError` for anything else."""
    if not is_key(key):
        raise StoreError(
            f"{key[:80]!r} is not an object key: "
            "use /-separated names of letters, digits, '.', '_' and '-', none with '.' in front, "
            f"of {_MAX_NAME} characters at most, {_MAX_KEY} in all"
        )
    return key
