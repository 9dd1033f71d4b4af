"""The decision log: append-only, one object a decision, in the blob store."""

from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from registry import checked
from registry.blobs.base import BlobStore
from registry.decisions import Decision, Kind
from registry.errors import StoreCorrupt

_PREFIX = "decisions/"


class DecisionLog:
    """The decisions of one registry. Only its one writer may append."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def read(self) -> list[Decision]:
        """All decisions, in order. Raises `StoreCorrupt` for a damaged one."""
        return [self._load(info.key) for info in self._blobs.list(_PREFIX)]

    def append(self, decision: Decision) -> None:
        """Write a decision that `stamped` made."""
        self._blobs.put(key_of(decision), encode(decision))

    def _load(self, key: str) -> Decision:
        try:
            return _decision(checked.decode(self._blobs.get(key)))
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(
                f"decision {key} is damaged ({exc}); restore it from a backup"
            ) from exc


def key_of(decision: Decision) -> str:
    """Where a decision lies."""
    return f"{_PREFIX}{decision.number:010d}.json"


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
