"""The decision log: append-only, one object a decision, in the blob store."""

from __future__ import annotations

import getpass
import re
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from registry import checked
from registry.blobs.base import BlobStore
from registry.decisions import Decision, Kind
from registry.errors import ObjectMissing, StoreCorrupt

_PREFIX = "decisions/"
_NAME = re.compile(_PREFIX + r"(\d{10})\.json")
REWRITES = "rewrites/"
"""Before the key of an object: what an erasure is about to put in its place."""


class DecisionLog:
    """The decisions of one registry. Only its one writer may append."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def read(self) -> list[Decision]:
        """All decisions, in order. Raises `StoreCorrupt` for one that is damaged or missing.

        Numbers have no gaps. That the newest one is missing cannot be seen.
        """
        found = (_NAME.fullmatch(info.key) for info in self._blobs.list(_PREFIX))
        last = max((int(match[1]) for match in found if match), default=0)
        return [self._load(number) for number in range(1, last + 1)]

    def append(self, decision: Decision) -> None:
        """Write a decision that `stamped` made."""
        self._blobs.put(key_of(decision), encode(decision))

    def _load(self, number: int) -> Decision:
        key = _key(number)
        # An erasure takes one away before it puts it back with less in it, and may do so meanwhile.
        for place in (key, REWRITES + key, key):
            with suppress(ObjectMissing):
                return self._loaded(place, number)
        raise StoreCorrupt(f"decision {key} is missing; restore it from a backup")

    def _loaded(self, key: str, number: int) -> Decision:
        data = self._blobs.get(key)
        try:
            decision = _decision(checked.decode(data))
            if decision.number != number:
                raise ValueError(f"it is number {decision.number}")
            return decision
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(
                f"decision {key} is damaged ({exc}); restore it from a backup"
            ) from exc


def key_of(decision: Decision) -> str:
    """Where a decision lies."""
    return _key(decision.number)


def _key(number: int) -> str:
    return f"{_PREFIX}{number:010d}.json"


def encode(decision: Decision) -> bytes:
    """The bytes of a decision."""
    return checked.encode(asdict(decision))


def stamped(decision: Decision, after: list[Decision]) -> Decision:
    """The decision as the next one after these, with who and when."""
    return replace(
        decision,
        number=after[-1].number + 1 if after else 1,
        by=user(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def repeats(decision: Decision, last: Decision) -> bool:
    """Whether a decision says just what the last one says."""
    return replace(decision, number=last.number, by=last.by, at=last.at) == last


def _decision(body: dict[str, Any]) -> Decision:
    return Decision(
        **{
            **body,
            "kind": Kind(body["kind"]),
            "others": tuple(body["others"]),
            "faces": tuple(body["faces"]),
            "groups": tuple(tuple(group) for group in body["groups"]),
        }
    )


def user() -> str:
    """Who runs this process; empty where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
