"""Intents: changes under way, noted in the objects so that a crash can be finished.

A change writes its intent before it changes a record and removes it once the index is up to date.
An intent that is there when a registry is opened was left by a crash: the index may disagree with
the records about what the intent names.
"""

from __future__ import annotations

import time

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


MOST_KEPT = 64
"""Intents of commits that are kept until the index is flushed, at most. A flush takes about 30 ms
on a disk, and to finish so many commits again about as long as to make them."""
LONGEST_KEPT_S = 10.0
"""How long such an intent is kept at most, if further commits follow."""


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


class KeptIntents:
    """Intents of finished commits, kept until what the index has of them is surely on the disk.

    The engine's own log survives a process that is killed, but not a power failure before the next
    flush. Flushing at each commit would take most of its time.
    """

    def __init__(self, intents: Intents) -> None:
        self._intents = intents
        self._names: dict[str, float] = {}
        """When each was kept, oldest first."""

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def keep(self, name: str) -> bool:
        """Keep an intent that is declared. Returns whether it is time to flush the index."""
        now = time.monotonic()
        self._names[name] = now
        oldest = next(iter(self._names.values()))
        return now - oldest >= LONGEST_KEPT_S or len(self._names) >= MOST_KEPT

    def remove(self) -> None:
        """Remove all of them, because the index has been flushed."""
        for name in list(self._names):
            self._intents.remove(name)
            del self._names[name]

    def clear(self) -> None:
        """Leave them where they are: opening the index finishes their changes again."""
        self._names.clear()
