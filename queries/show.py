"""Videos, identities and decisions as the documents that `--json` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from registry.core.decisions import Decision, Kind, undone_by
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people.joining import likely_duplicates
from registry.store.base import Payload

_APPEARANCE = (
    "identity_id",
    "faces",
    "first_s",
    "last_s",
    "screen_time_s",
    "best_face",
    "best_crop",
)


def identity_document(identity: Identity) -> dict[str, Any]:
    """One identity."""
    body = asdict(identity)
    return {"identity": body.pop("identity_id"), **body}


def identity_documents(identities: Iterable[Identity]) -> list[dict[str, Any]]:
    """Identities, those in most videos first."""
    found = sorted(identities, key=lambda i: (-i.videos, -i.faces, i.identity_id))
    return [identity_document(identity) for identity in found]


def report_head(registry: Registry, as_of: int | None) -> dict[str, Any]:
    """What `report --json` says before its rows.

    `likely_duplicates` and `provisional`, the number of those left out of the rows, are of how
    things stand now, and None in a report as of an earlier decision.
    """
    return {
        "model": registry.contract.model.name,
        "threshold": registry.contract.threshold,
        "videos": registry.index.count_videos() - joined_videos(registry),
        "as_of": as_of,
        "likely_duplicates": likely_duplicates(registry) if as_of is None else None,
        "provisional": registry.index.count_identities(provisional=True) if as_of is None else None,
    }


def joined_videos(registry: Registry) -> int:
    """How many videos on record were joined to another one and count as that one."""
    joined = sorted(registry.view.same_as)
    return registry.index.count_videos_on_record(joined) if joined else 0


def decision_documents(log: Sequence[Decision]) -> list[dict[str, Any]]:
    """All decisions, first to last: who, when, what, and which undo took it back, if any."""
    gone = undone_by(log)
    return [
        {
            "decision": decision.number,
            "kind": str(decision.kind),
            "at": decision.at,
            "by": decision.by,
            "counts": decision.number not in gone,
            "undone_by": gone.get(decision.number),
            "identity": decision.identity_id,
            "others": list(decision.others),
            "faces": list(decision.faces),
            "groups": [list(group) for group in decision.groups],
            "name": decision.name,
            "undoes": decision.undoes or None,
            "new_identity": decision.new_identity if decision.kind is Kind.SPLIT else None,
            **({"videos": list(decision.videos)} if decision.videos else {}),
            "text": _sentence(decision),
        }
        for decision in log
    ]


def _sentence(decision: Decision) -> str:
    who, others = decision.identity_id[:8], ", ".join(other[:8] for other in decision.others)
    match decision.kind:
        case Kind.NAME:
            return f"{who} is {decision.name!r}" if decision.name else f"{who} has no name"
        case Kind.MERGE:
            return f"{who} takes in {others}"
        case Kind.SPLIT:
            whose = who or "someone who was forgotten"
            return f"{len(decision.faces)} faces of {whose} are {decision.new_identity[:8]}"
        case Kind.SEPARATE:
            return f"{who} and {others} are two people"
        case Kind.CONSOLIDATE:
            return f"{len(decision.merges)} identities join {len(decision.groups)} others"
        case Kind.JOIN_VIDEOS:
            first, *rest = (video[:8] for video in decision.videos)
            return f"video {first} is the same footage as {', '.join(rest)}"
        case Kind.SEPARATE_VIDEOS:
            return f"videos {' and '.join(v[:8] for v in decision.videos)} are not the same footage"
        case Kind.UNDO:
            return f"decision {decision.undoes} does not count"
        case Kind.VOID:
            return "concerned someone who was forgotten, or a video that was removed"


def video_documents(
    payloads: Iterable[Payload],
    keep: Callable[[str], bool] = lambda identity: True,
    same_as: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Videos by URL, with the appearances of identities that `keep` lets pass.

    A video that was joined to another has `same_as`, the id of the video that it counts as.
    """
    documents = [_document(payload, keep, same_as) for payload in payloads]
    return sorted(documents, key=lambda document: document["url"])


def established(registry: Registry, *, provisional: bool) -> Callable[[str], bool]:
    """What `video_documents` takes to leave out provisional identities, or to show them too."""
    out = {i.identity_id for i in registry.index.identities() if i.provisional and not provisional}
    return lambda identity: identity not in out


def _document(
    payload: Payload, keep: Callable[[str], bool], same_as: Mapping[str, str]
) -> dict[str, Any]:
    counts = same_as.get(payload["video_id"])
    return {
        "video": payload["video_id"],
        "url": payload["url"],
        **({"same_as": counts} if counts else {}),
        "status": payload["status"],
        "reason": payload["reason"],
        "metrics": payload["metrics"],
        "frames": payload["media"]["frames_sampled"],
        "faces": payload["faces"],
        "media": payload["media"],
        "appearances": [
            {key: appearance[key] for key in _APPEARANCE}
            for appearance in payload["appearances"]
            if keep(appearance["identity_id"])
        ],
    }
