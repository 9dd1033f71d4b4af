"""Intents: changes under way, noted in the objects so that a crash can be finished.

A change writes its intent before it changes a record and removes it once the index is up to date.
An intent that is there when a registry is opened was left by a crash: the index may disagree with
the records about what the intent names.
"""

from __future__ import annotations

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing

REINDEX = "reindex"
"""The intent to rebuild the index as a whole."""
ERASE = "erase"
"""The intent to erase a person or videos. Its content is the plan (`registry.core.erasing`)."""
INCOMING = "incoming"
"""Objects are being copied here from an archive or another store. The content is the id of their
registry."""
SWITCH = "switch"
"""The intent to switch to another model. Its content says how (`registry.core.switching`)."""


class Intents:
    """The intents of one registry. An intent of any other name is the id of a video."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def declare(self, name: str, content: bytes = b"") -> None:
        """Write an intent. If it is not removed, opening the registry finishes the change."""
        self._blobs.put(keys.intent(name), content)

    def pending(self) -> list[str]:
        """The names of all intents that are there, in order."""
        return [info.key.removeprefix(keys.INTENTS) for info in self._blobs.list(keys.INTENTS)]

    def content(self, name: str) -> bytes | None:
        """The content of an intent; None if there is no such intent."""
        try:
            return self._blobs.get(keys.intent(name))
        except ObjectMissing:
            return None

    def remove(self, name: str) -> None:
        """Remove an intent, because the change is complete."""
        self._blobs.delete(keys.intent(name))
