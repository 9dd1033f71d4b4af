"""Videos, identities and decisions as documents, which `--json` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from registry.core.decisions import Decision, DecisionKind, undone_by
from registry.core.points import IndexedFace, IndexedVideo
from registry.core.records import attributes_as_json
from registry.core.registry import Registry
from registry.domain import Appearance, Attribute, Identity, Media, Status
from registry.urls import redacted

COUNTED_FACES = 20_000
"""Faces up to which a report counts likely duplicates: it reads every face, which took 1.2 to 1.4 s
of CPU for so many (1,500 people in 2,000 videos, 128 dimensions)."""


def identity_document(identity: Identity) -> dict[str, Any]:
    """An identity as a document."""
    body = asdict(identity)
    still = body.pop("still")
    return {"identity": body.pop("identity_id"), **body, "still_picture": still}


def identity_documents(identities: Iterable[Identity]) -> list[dict[str, Any]]:
    """Identities as documents, those in most videos first, and still pictures last."""
    by_videos = sorted(identities, key=lambda i: (i.still, -i.videos, -i.faces, i.identity_id))
    return [identity_document(identity) for identity in by_videos]


def track_documents(faces: Iterable[IndexedFace]) -> dict[str, list[dict[str, Any]]]:
    """The tracks of an identity by video id, in order of time, with its faces in each."""
    tracks: dict[tuple[str, int], list[IndexedFace]] = defaultdict(list)
    for face in sorted(faces, key=lambda face: (face.frame, face.track)):
        tracks[face.video_id, face.track].append(face)
    documents: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (video, track), seen in tracks.items():
        documents[video].append({"track": track, "faces": [_face_document(f) for f in seen]})
    return documents


def _face_document(face: IndexedFace) -> dict[str, Any]:
    return {
        "face": face.face_id,
        "frame": face.frame,
        "time_s": face.time_s,
        "quality": face.quality.score,
        "reasons": list(face.quality.reasons),
        "crop": face.crop,
    }


def report_head(registry: Registry, as_of: int | None) -> dict[str, Any]:
    """The fields of `report --json` that do not depend on what is asked.

    `videos` leaves out joined videos and those that `failed`. `likely_duplicates` and `provisional`
    (identities left out of the rows) describe the current state, and are None in a report as of an
    earlier decision. `likely_duplicates` is also None in a registry of more than `COUNTED_FACES`
    faces.
    """
    duplicates = None
    # Each face has an identity. To count the faces themselves, they would have to be loaded.
    if as_of is None and sum(one.faces for one in registry.index.identities()) <= COUNTED_FACES:
        from registry.people.joining import count_duplicates  # loaded only where it is used

        duplicates = count_duplicates(registry)
    failed = registry.index.count_videos(status=Status.FAILED)
    return {
        "model": registry.contract.model.name,
        "threshold": registry.contract.threshold,
        "videos": registry.index.count_videos() - failed - count_joined_videos(registry),
        "failed": failed,
        "as_of": as_of,
        "likely_duplicates": duplicates,
        "provisional": registry.index.count_identities(provisional=True) if as_of is None else None,
    }


def count_joined_videos(registry: Registry) -> int:
    """How many videos on record were joined to another video and count as that one."""
    joined = sorted(registry.view.same_as)
    return registry.index.count_on_record(joined) if joined else 0


def decision_documents(log: Sequence[Decision]) -> list[dict[str, Any]]:
    """Decisions as documents, first to last, each with the undo that took it back, if any."""
    undone = undone_by(log)
    return [
        {
            "decision": decision.number,
            "kind": str(decision.kind),
            "at": decision.at,
            "by": decision.by,
            "counts": decision.number not in undone,
            "undone_by": undone.get(decision.number),
            "identity": decision.identity_id,
            "others": list(decision.others),
            "faces": list(decision.faces),
            "groups": [list(group) for group in decision.groups],
            "name": decision.name,
            "undoes": decision.undoes or None,
            "new_identity": decision.new_identity if decision.kind is DecisionKind.SPLIT else None,
            **({"videos": list(decision.videos)} if decision.videos else {}),
            "text": _sentence(decision),
        }
        for decision in log
    ]


def _sentence(decision: Decision) -> str:
    who, others = decision.identity_id[:8], ", ".join(other[:8] for other in decision.others)
    match decision.kind:
        case DecisionKind.NAME:
            return f"{who} is {decision.name!r}" if decision.name else f"{who} has no name"
        case DecisionKind.MERGE:
            return f"{others} joined {who}"
        case DecisionKind.SPLIT:
            whose = who or "a person who was forgotten"
            named = f", named {decision.name!r}" if decision.name else ""
            return f"{len(decision.faces)} faces of {whose} are {decision.new_identity[:8]}{named}"
        case DecisionKind.SEPARATE:
            return f"{who} and {others} are two people"
        case DecisionKind.HIDE:
            hidden = f"{who}, {others}" if others else who
            return f"{hidden} {'are' if others else 'is'} hidden"
        case DecisionKind.CONSOLIDATE:
            return f"{len(decision.merges)} identities joined {len(decision.groups)} others"
        case DecisionKind.JOIN_VIDEOS:
            first, *rest = (video[:8] for video in decision.videos)
            return f"video {first} is the same footage as {', '.join(rest)}"
        case DecisionKind.SEPARATE_VIDEOS:
            return f"videos {' and '.join(v[:8] for v in decision.videos)} are not the same footage"
        case DecisionKind.UNDO:
            return f"decision {decision.undoes} does not count"
        case DecisionKind.VOID:
            return "was about a person who was forgotten, or a video that was removed"


def video_documents(
    videos: Iterable[IndexedVideo],
    keep: Callable[[str], bool] = lambda identity: True,
    same_as: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Videos as documents, in order of URL.

    Args:
        videos: from the index.
        keep: given an identity id, whether its appearances are listed.
        same_as: the video that each joined video counts as, by id; its document names that video
            in `same_as`, which the documents of other videos do not have.
    """
    documents = [_video_document(video, keep, same_as) for video in videos]
    return sorted(documents, key=lambda document: document["url"])


def listed(registry: Registry, *, provisional: bool) -> Callable[[str], bool]:
    """The `keep` of `video_documents` that leaves out provisional identities, or keeps them."""
    out = {i.identity_id for i in registry.index.identities() if i.provisional and not provisional}
    return lambda identity: identity not in out


def _video_document(
    video: IndexedVideo, keep: Callable[[str], bool], same_as: Mapping[str, str]
) -> dict[str, Any]:
    counts_as = same_as.get(video.video_id)
    return {
        "video": video.video_id,
        "url": video.url.exposed(),
        **({"same_as": counts_as} if counts_as else {}),
        "status": str(video.status),
        "reason": video.reason,
        "metrics": video.metrics,
        "frames": video.media.frames_sampled,
        "faces": video.faces,
        "media": _media_document(video.media),
        "appearances": [
            _appearance_document(appearance)
            for appearance in video.appearances
            if keep(appearance.identity_id)
        ],
    }


def _media_document(media: Media) -> dict[str, Any]:
    return {
        "duration_s": media.duration_s,
        "width": media.width,
        "height": media.height,
        "codec": media.codec,
        "frames_sampled": media.frames_sampled,
        "frames_damaged": media.frames_damaged,
    }


def _appearance_document(appearance: Appearance) -> dict[str, Any]:
    return {
        "identity_id": appearance.identity_id,
        "faces": appearance.faces,
        "first_s": appearance.first_s,
        "last_s": appearance.last_s,
        "screen_time_s": appearance.screen_time_s,
        "best_face": appearance.best_face,
        "best_crop": appearance.best_crop,
        "still_picture": appearance.still,
    }


def shown_attributes(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Attributes as JSON values: several values are a list, links are without what signs them."""
    return {
        name: [shown_value(one) for one in value] if isinstance(value, list) else shown_value(value)
        for name, value in attributes_as_json(attributes).items()
    }


def shown_value(value: Any) -> Any:
    """A value of an attribute as it may be shown: a link without what signs it."""
    return redacted(value, None) if isinstance(value, str) and "://" in value else value
