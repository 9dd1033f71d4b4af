"""What is under way: written before a change reaches the records, removed when the index has it.

An intent that is still there when a registry is opened is what a crash left: the index may say of
that video something other than its record does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from registry.blobs.base import BlobStore

_PREFIX = "intents/"
REINDEX = "reindex"
"""The intent of rebuilding the index as a whole; any other is the id of a video."""


class Intents:
    """The intents of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @contextmanager
    def declared(self, what: str) -> Iterator[None]:
        """Hold an intent for as long as the block runs; it stays if the block does not end well."""
        self._blobs.put(_PREFIX + what, b"")
        yield
        self.settle(what)

    def pending(self) -> list[str]:
        """Intents that nothing has settled."""
        return [info.key.removeprefix(_PREFIX) for info in self._blobs.list(_PREFIX)]

    def settle(self, what: str) -> None:
        """The index now has it."""
        self._blobs.delete(_PREFIX + what)
