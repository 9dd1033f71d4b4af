"""What is under way: written before a change reaches the records, removed when the index has it.

An intent that is still there when a registry is opened is what a crash left: the index may say of
that video something other than its record does.
"""

from __future__ import annotations

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing

REINDEX = "reindex"
"""The intent of rebuilding the index as a whole."""
ERASE = "erase"
"""The intent of removing a person or a video; its body says which (`registry.core.erasing`)."""
INCOMING = "incoming"
"""Objects are on their way here from an archive or another store; the body is the registry's id."""
SWITCH = "switch"
"""The intent of changing to another model; its body says how (`registry.core.switching`)."""


class Intents:
    """The intents of one registry, in its blob store. Any that is not named is a video's id."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def declare(self, what: str, body: bytes = b"") -> None:
        """Write an intent, for the next opening of the index to settle."""
        self._blobs.put(keys.intent(what), body)

    def pending(self) -> list[str]:
        """Intents that nothing has settled."""
        return [info.key.removeprefix(keys.INTENTS) for info in self._blobs.list(keys.INTENTS)]

    def body(self, what: str) -> bytes | None:
        """What was written with an intent that is pending; None if it is not."""
        try:
            return self._blobs.get(keys.intent(what))
        except ObjectMissing:
            return None

    def settle(self, what: str) -> None:
        """The index now has it."""
        self._blobs.delete(keys.intent(what))
