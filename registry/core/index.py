"""The index: faces, videos and identities in Qdrant, each computable from the records.

faces        a vector and the video and performance payload for each face: who is near whom
videos       no vector; what reports read, so that a report costs videos and not faces
identities   no vector; what lists read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from registry.core.decisions import View
from registry.core.known_videos import ALIASES, CONTENT, KnownVideo, details, known_in
from registry.domain import (
    Appearance,
    Contract,
    Face,
    Identity,
    Status,
    Vectors,
    Video,
)
from registry.errors import ContractError, StoreCorrupt
from registry.faces.appearances import appearances, identity
from registry.faces.matching import Neighbour
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point, Store

FACES, VIDEOS, IDENTITIES = "faces", "videos", "identities"
_SEEN = "appearances[].identity_id"
VIDEOS_SPEC = CollectionSpec(VIDEOS, None, ("video_id", _SEEN, "status", ALIASES, CONTENT))
EXACT_LIMIT = 200_000
"""Up to so many faces, a nearest neighbour is found by comparing with all of them, which makes
assignment independent of how the engine built its graph; beyond, the graph answers."""

_BATCH = 500
"""Points that are asked for or written together, as many as the stores put into one request:
payloads and answers take 7 kB a face."""


class Index:
    """The three collections of one registry."""

    def __init__(self, store: Store, contract: Contract) -> None:
        """Opens the collections, creating those that do not exist."""
        self._store = store
        self._contract = contract
        self._open()

    @property
    def contract(self) -> Contract:
        """What the registry was built with."""
        return self._contract

    @staticmethod
    def present(store: Store) -> bool:
        """Whether the store holds an index, whole."""
        return all(store.has(name) for name in (FACES, VIDEOS, IDENTITIES))

    @staticmethod
    def drop(store: Store) -> None:
        """Remove the index, in whatever state it is: nothing of it is read."""
        for name in (FACES, VIDEOS, IDENTITIES):
            store.drop(name)

    def check_owner(self) -> None:
        """Raise `ContractError` if these collections belong to another registry."""
        first = next(self._videos.scroll(), None)
        owner = first.payload.get("registry_id") if first else None
        if owner not in (None, self._contract.registry_id):
            raise ContractError(
                f"{self._store.describe()} holds the index of another registry; "
                "give this one a QDRANT_PREFIX of its own, or drop the other's collections"
            )

    # --- neighbours -----------------------------------------------------------------------------

    def nearest(self, video_id: str, embeddings: Vectors) -> list[Neighbour | None]:
        """The nearest stored face of another video for each of (n, D) embeddings."""
        others = Filter(must_not={"video_id": [video_id]})
        found: list[Neighbour | None] = []
        for start in range(0, len(embeddings), _BATCH):
            run = embeddings[start : start + _BATCH]
            hits = self.neighbours(run, limit=1, where=others)
            found += [neighbour_in(best[0]) if best else None for best in hits]
        return found

    def neighbours(
        self,
        embeddings: Vectors,
        *,
        limit: int,
        where: Filter | None = None,
        exact: bool | None = None,
    ) -> list[list[Hit]]:
        """The nearest stored faces of each of (n, D) embeddings, best first.

        Without `exact`, they are exact up to `EXACT_LIMIT` faces.
        """
        if not len(embeddings):
            return []
        if exact is None:
            exact = self.count_faces() <= EXACT_LIMIT
        return self._faces.query(embeddings, limit=limit, where=where, exact=exact)

    # --- writing --------------------------------------------------------------------------------

    def put(self, video: Video, view: View) -> None:
        """Make the index say of this video what its record says, whatever it said before."""
        before = self._seen_in(video.video_id)
        if before is not None:
            self._faces.delete(Filter(must={"video_id": [video.video_id]}))
        [(_, seen)] = self._written([video], view)
        self._refresh({a.identity_id for a in seen} | (before or set()), view)

    def put_details(self, video: Video, view: View) -> None:
        """Bring all but the faces of a video up to its record, and the metrics of its faces."""
        metrics = {"metrics": as_kept(video.metrics)}
        self._faces.set_payload(metrics, Filter(must={"video_id": [video.video_id]}))
        point, _ = video_point(video, view, self._contract)
        self._videos.upsert([point])

    def remove(self, video_id: str, view: View) -> None:
        """Forget a video."""
        before = self._seen_in(video_id) or set()
        where = Filter(must={"video_id": [video_id]})
        self._faces.delete(where)
        self._videos.delete(where)
        self._refresh(before, view)

    def regroup(self, videos: Iterable[Video], identity_ids: set[str], view: View) -> None:
        """Give the faces of videos the identities of a new view.

        Args:
            videos: records that the index has; their faces are the same as before.
            identity_ids: every identity that gains or loses a face or whose name changes.
            view: what people decided.
        """
        for _ in self._written(videos, view):
            pass
        self._refresh(identity_ids, view)

    def rebuild(self, videos: Iterable[Video], view: View) -> int:
        """Drop everything and write it anew from the records. Returns how many videos there are."""
        self.drop(self._store)
        self._open()
        seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
        count = 0
        for video, found in self._written(videos, view):
            for appearance in found:
                seen[appearance.identity_id].append((video.video_id, appearance))
            count += 1
        self._write_identities(seen, view)
        self.flush()
        self.optimize()
        return count

    def flush(self) -> None:
        """Return when everything written before is durable."""
        for collection in (self._faces, self._videos, self._identities):
            collection.flush()

    def optimize(self) -> None:
        """Let the engine tidy up after many writes."""
        for collection in (self._faces, self._videos, self._identities):
            collection.optimize()

    # --- reading --------------------------------------------------------------------------------

    def count_faces(self) -> int:
        """How many faces the index holds."""
        return self._faces.count()

    def count_videos(self, *, status: Status | None = None) -> int:
        """How many videos the index holds, of one status or in all."""
        return self._videos.count(Filter(must={"status": [status]}) if status else None)

    def count_identities(self, *, provisional: bool = False) -> int:
        """How many established identities the index holds, or how many provisional ones."""
        poor = self._identities.count(Filter(must={"standing": [PROVISIONAL]}))
        return poor if provisional else self._identities.count() - poor

    def videos(self, identities: Sequence[str] | None = None) -> Iterator[Payload]:
        """Payloads of all videos, or of those that show one of these identities, in order of id."""
        where = None if identities is None else Filter(must={_SEEN: list(identities)})
        return (point.payload for point in self._videos.scroll(where))

    def video(self, video_id: str) -> Payload | None:
        """Payload of one video."""
        found = self._videos.get([video_id])
        return found[0].payload if found else None

    def known(self, video_id: str) -> KnownVideo | None:
        """The video of this id, or the first one that has it as another name."""
        points = self._videos.get([video_id])
        point = points[0] if points else self._first_video(ALIASES, video_id)
        return known_in(point.payload) if point else None

    def of_content(self, sha256: str) -> KnownVideo | None:
        """The first video of this content."""
        point = self._first_video(CONTENT, sha256)
        return known_in(point.payload) if point else None

    def known_videos(self) -> Iterator[KnownVideo]:
        """All videos, in order of id."""
        return (known_in(point.payload) for point in self._videos.scroll())

    def _first_video(self, field: str, value: str) -> Point | None:
        return next(self._videos.scroll(Filter(must={field: [value]})), None)

    def identities_in(self, video_ids: Iterable[str]) -> set[str]:
        """The identities that these videos show, as far as they are on record."""
        return {i for video_id in video_ids for i in self._seen_in(video_id) or ()}

    def count_videos_on_record(self, video_ids: Sequence[str]) -> int:
        """How many of these videos the index holds."""
        return len(self._videos.get(video_ids))

    def face_of_crop(self, digest: str) -> Point | None:
        """The face, with its vector, whose stored crop has this sha256."""
        where = Filter(must={"crop_digest": [digest]})
        return next(self._faces.scroll(where, with_vectors=True), None)

    def identities(self, *, provisional: bool = True) -> Iterator[Identity]:
        """All identities, or only the established ones, in order of id."""
        where = None if provisional else Filter(must_not={"standing": [PROVISIONAL]})
        return (identity_in(point.payload) for point in self._identities.scroll(where))

    def identity_payloads(self, identity_ids: Sequence[str] | None = None) -> Iterator[Payload]:
        """Payloads of all identities, in order of id, or of those that exist among these."""
        ids = identity_ids
        return (
            p.payload
            for p in (self._identities.scroll() if ids is None else self._identities.get(ids))
        )

    def count_named(self, name: str, identity_id: str) -> int:
        """1 if the index finds the identity by its name."""
        return self._identities.count(Filter(must={"name": [name], "identity_id": [identity_id]}))

    def get_identities(self, identity_ids: Sequence[str]) -> dict[str, Identity]:
        """Those that exist among these, by id."""
        return {p.id: identity_in(p.payload) for p in self._identities.get(identity_ids)}

    def named(self, name: str) -> list[Identity]:
        """Identities of exactly this name."""
        where = Filter(must={"name": [name]})
        return [identity_in(point.payload) for point in self._identities.scroll(where)]

    def faces_of(self, identity_id: str) -> Iterator[Payload]:
        """Payloads of the faces of one identity, in order of id."""
        where = Filter(must={"identity_id": [identity_id]})
        return (point.payload for point in self._faces.scroll(where))

    def count_faces_of(self, identity_id: str) -> int:
        """How many faces of one identity the index finds."""
        return self._faces.count(Filter(must={"identity_id": [identity_id]}))

    def count_crops_of(self, video_id: str, digests: Sequence[str]) -> int:
        """How many faces of a video the index finds by these sha256 of crops."""
        where = Filter(must={"video_id": [video_id], "crop_digest": list(digests)})
        return self._faces.count(where)

    def faces_in(self, video_id: str) -> Iterator[Point]:
        """The faces of one video with their vectors, in order of id."""
        return self._faces.scroll(Filter(must={"video_id": [video_id]}), with_vectors=True)

    def faces(self, *, with_vectors: bool = False) -> Iterator[Point]:
        """All faces, in order of id."""
        return self._faces.scroll(with_vectors=with_vectors)

    # --- inside ---------------------------------------------------------------------------------

    def _open(self) -> None:
        dimension = self._contract.model.dimension
        spec = CollectionSpec(FACES, dimension, ("video_id", "identity_id", "crop_digest"))
        self._faces = self._store.open(spec)
        self._videos = self._store.open(VIDEOS_SPEC)
        self._identities = self._store.open(
            CollectionSpec(IDENTITIES, None, ("identity_id", "name", "standing"))
        )

    def _written(
        self, videos: Iterable[Video], view: View
    ) -> Iterator[tuple[Video, tuple[Appearance, ...]]]:
        """Write videos with their faces, many in a request, and yield each with its appearances."""
        faces: list[Point] = []
        shown: list[Point] = []
        for video in videos:
            for point in face_points(video, view, self._contract):
                faces.append(point)
                if len(faces) >= _BATCH:
                    self._upsert(faces, [])
            point, seen = video_point(video, view, self._contract)
            shown.append(point)
            if len(shown) >= _BATCH:
                self._upsert(faces, shown)
            yield video, seen
        self._upsert(faces, shown)

    def _upsert(self, faces: list[Point], videos: list[Point]) -> None:
        self._faces.upsert(faces)
        self._videos.upsert(videos)
        faces.clear()
        videos.clear()

    def _seen_in(self, video_id: str) -> set[str] | None:
        payload = self.video(video_id)
        if payload is None:
            return None
        return {appearance["identity_id"] for appearance in payload["appearances"]}

    def _refresh(self, identity_ids: set[str], view: View) -> None:
        if not identity_ids:
            return
        seen: dict[str, list[tuple[str, Appearance]]] = {i: [] for i in identity_ids}
        for payload in self.videos(sorted(identity_ids)):
            for appearance in video_appearances(payload):
                if appearance.identity_id in seen:
                    seen[appearance.identity_id].append((payload["video_id"], appearance))
        self._write_identities(seen, view)

    def _write_identities(self, seen: dict[str, list[tuple[str, Appearance]]], view: View) -> None:
        found = {i: identity(i, view.name_of(i), where, view.same_as) for i, where in seen.items()}
        self._identities.upsert([identity_point(one) for one in found.values() if one])
        if gone := [i for i, one in found.items() if one is None]:
            self._identities.delete(Filter(must={"identity_id": gone}))


PROVISIONAL = "provisional"
_DIGITS = 15
"""Significant digits of a number in a payload: every decimal of so many is a double's own."""


@dataclass(frozen=True, slots=True)
class VideoPoints:
    """Everything in the index about one video, but for its share in the identities."""

    faces: tuple[Point, ...]
    """In the order of the record."""
    video: Point
    appearances: tuple[Appearance, ...]


def points_of(video: Video, view: View, contract: Contract) -> VideoPoints:
    """What the index must hold about a video whose record this is."""
    point, seen = video_point(video, view, contract)
    return VideoPoints(tuple(face_points(video, view, contract)), point, seen)


def face_points(video: Video, view: View, contract: Contract) -> Iterator[Point]:
    """The points of its faces, in the order of the record, made as they are asked for."""
    for face in video.faces:
        origin = view.origin_of(face)
        yield _face_point(video, face, origin, view.root(origin), contract)


def video_point(
    video: Video, view: View, contract: Contract
) -> tuple[Point, tuple[Appearance, ...]]:
    """The point of the video itself, and the appearances in it."""
    seen = tuple(
        Appearance(**_kept(asdict(appearance)))
        for appearance in appearances(
            [replace(face, identity_id=view.identity_of(face)) for face in video.faces]
        )
    )
    return _video_point(video, seen, contract), seen


def _face_point(
    video: Video, face: Face, origin: str, identity_id: str, contract: Contract
) -> Point:
    payload = {
        "face_id": face.face_id,
        "identity_id": identity_id,
        "origin_id": origin,
        "video_id": video.video_id,
        "video_url": video.url.exposed(),
        "metrics": dict(video.metrics),
        "frame": face.frame,
        "time_s": face.time_s,
        "box": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
        "det_score": face.det_score,
        "quality": face.quality.score,
        "reasons": list(face.quality.reasons),
        "track": face.track,
        "crop": face.crop,
        "crop_digest": face.crop_digest,
        "model": contract.model.name,
        "run": video.run,
    }
    return Point(face.face_id, _kept(payload), np.asarray(face.embedding, dtype=np.float32))


def _video_point(video: Video, seen: Sequence[Appearance], contract: Contract) -> Point:
    payload = {
        "registry_id": contract.registry_id,
        "video_id": video.video_id,
        "url": video.url.exposed(),
        "metrics": dict(video.metrics),
        "status": str(video.status),
        "reason": video.reason,
        "run": video.run,
        "faces": len(video.faces),
        "media": asdict(video.media),
        "appearances": [asdict(appearance) for appearance in seen],
        **details(video),
    }
    return Point(video.video_id, _kept(payload))


def identity_point(identity: Identity) -> Point:
    """What the index must hold about an identity."""
    standing = PROVISIONAL if identity.provisional else "established"
    return Point(identity.identity_id, {**asdict(identity), "standing": standing})


def as_kept(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as payloads have them: what to compare with those of the index."""
    kept: dict[str, float] = _kept(dict(metrics))
    return kept


def _kept(value: Any) -> Any:
    """Numbers to `_DIGITS`, however deep; everything else as it is."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _kept(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_kept(inner) for inner in value]
    return value


def video_appearances(payload: Payload) -> list[Appearance]:
    """The appearances in the payload of a video. Raises `StoreCorrupt`."""
    try:
        return [Appearance(**appearance) for appearance in payload["appearances"]]
    except (KeyError, TypeError) as exc:
        raise _damaged("video", exc) from exc


def identity_in(payload: Payload) -> Identity:
    """The identity in its payload. Raises `StoreCorrupt`."""
    known: dict[str, Any] = {f.name: payload[f.name] for f in fields(Identity) if f.name in payload}
    try:
        return Identity(**known)
    except TypeError as exc:
        raise _damaged("identity", exc) from exc


def neighbour_in(hit: Hit) -> Neighbour:
    """The stored face that a query came back with. Raises `StoreCorrupt`."""
    try:
        return Neighbour(hit.id, hit.payload["origin_id"], hit.score)
    except KeyError as exc:
        raise _damaged("face", exc) from exc


def _damaged(what: str, exc: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"the index holds a damaged {what} ({exc}): run `face-registry reindex` to rebuild it"
    )
