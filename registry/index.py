"""The index: faces, videos and identities in Qdrant, each computable from the records.

faces        a vector and the video and performance payload for each face: who is near whom
videos       no vector; what reports read, so that a report costs videos and not faces
identities   no vector; what lists read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from registry.appearances import appearances, identity
from registry.decisions import View
from registry.domain import (
    Appearance,
    Contract,
    Face,
    Identity,
    Status,
    Vectors,
    Video,
)
from registry.errors import ContractError
from registry.matching import Neighbour
from registry.store.base import CollectionSpec, Filter, Hit, Payload, Point, Store

FACES, VIDEOS, IDENTITIES = "faces", "videos", "identities"
_SEEN = "appearances[].identity_id"
EXACT_LIMIT = 200_000
"""Up to so many faces, a nearest neighbour is found by comparing with all of them, which makes
assignment independent of how the engine built its graph; beyond, the graph answers."""
_AT_ONCE = 1024
"""Faces that are asked for or written together: payloads and answers take 7 kB a face."""


class Index:
    """The three collections of one registry."""

    def __init__(self, store: Store, contract: Contract) -> None:
        """Opens the collections, creating those that do not exist."""
        self._store = store
        self._contract = contract
        self._open()

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
        for start in range(0, len(embeddings), _AT_ONCE):
            run = embeddings[start : start + _AT_ONCE]
            hits = self.neighbours(run, limit=1, where=others)
            found += [_neighbour(best[0]) if best else None for best in hits]
        return found

    def neighbours(
        self, embeddings: Vectors, *, limit: int, where: Filter | None = None
    ) -> list[list[Hit]]:
        """The nearest stored faces of each of (n, D) embeddings, best first."""
        if not len(embeddings):
            return []
        exact = self.count_faces() <= EXACT_LIMIT
        return self._faces.query(embeddings, limit=limit, where=where, exact=exact)

    # --- writing --------------------------------------------------------------------------------

    def put(self, video: Video, view: View) -> None:
        """Make the index say of this video what its record says, whatever it said before."""
        before = self._seen_in(video.video_id)
        if before is not None:
            self._faces.delete(Filter(must={"video_id": [video.video_id]}))
        seen = self._write(video, view)
        self._refresh({a.identity_id for a in seen} | (before or set()), view)

    def put_metrics(self, video: Video) -> None:
        """Bring the metrics of a video, and of each of its faces, up to its record."""
        metrics = {"metrics": dict(video.metrics)}
        where = Filter(must={"video_id": [video.video_id]})
        self._faces.set_payload(metrics, where)
        self._videos.set_payload(metrics, where)

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
        for video in videos:
            self._write(video, view)
        self._refresh(identity_ids, view)

    def rebuild(self, videos: Iterable[Video], view: View) -> int:
        """Drop everything and write it anew from the records. Returns how many videos there are."""
        self.drop(self._store)
        self._open()
        seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
        count = 0
        for video in videos:
            for appearance in self._write(video, view):
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

    def count_identities(self) -> int:
        """How many identities the index holds."""
        return self._identities.count()

    def videos(self, identities: Sequence[str] | None = None) -> Iterator[Payload]:
        """Payloads of all videos, or of those that show one of these identities, in order of id."""
        where = None if identities is None else Filter(must={_SEEN: list(identities)})
        return (point.payload for point in self._videos.scroll(where))

    def video(self, video_id: str) -> Payload | None:
        """Payload of one video."""
        found = self._videos.get([video_id])
        return found[0].payload if found else None

    def face_of_crop(self, digest: str) -> Point | None:
        """The face, with its vector, whose stored crop has this sha256."""
        where = Filter(must={"crop_digest": [digest]})
        return next(self._faces.scroll(where, with_vectors=True), None)

    def identities(self) -> Iterator[Identity]:
        """All identities, in order of id."""
        return (_identity(point.payload) for point in self._identities.scroll())

    def get_identities(self, identity_ids: Sequence[str]) -> dict[str, Identity]:
        """Those that exist among these, by id."""
        return {p.id: _identity(p.payload) for p in self._identities.get(identity_ids)}

    def named(self, name: str) -> list[Identity]:
        """Identities of exactly this name."""
        where = Filter(must={"name": [name]})
        return [_identity(point.payload) for point in self._identities.scroll(where)]

    def faces_of(self, identity_id: str) -> Iterator[Payload]:
        """Payloads of the faces of one identity, in order of id."""
        where = Filter(must={"identity_id": [identity_id]})
        return (point.payload for point in self._faces.scroll(where))

    def faces(self, *, with_vectors: bool = False) -> Iterator[Point]:
        """All faces, in order of id."""
        return self._faces.scroll(with_vectors=with_vectors)

    # --- inside ---------------------------------------------------------------------------------

    def _open(self) -> None:
        dimension = self._contract.model.dimension
        spec = CollectionSpec(FACES, dimension, ("video_id", "identity_id", "crop_digest"))
        self._faces = self._store.open(spec)
        self._videos = self._store.open(CollectionSpec(VIDEOS, None, ("video_id", _SEEN, "status")))
        self._identities = self._store.open(
            CollectionSpec(IDENTITIES, None, ("identity_id", "name"))
        )

    def _write(self, video: Video, view: View) -> tuple[Appearance, ...]:
        faces = [(face, view.origin_of(face)) for face in video.faces]
        for start in range(0, len(faces), _AT_ONCE):
            run = faces[start : start + _AT_ONCE]
            self._faces.upsert([self._face_point(video, f, o, view.root(o)) for f, o in run])
        seen = appearances([replace(face, identity_id=view.root(origin)) for face, origin in faces])
        self._videos.upsert([self._video_point(video, seen)])
        return seen

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
        found = {i: identity(i, view.name_of(i), where) for i, where in seen.items()}
        self._identities.upsert([Point(i, asdict(one)) for i, one in found.items() if one])
        if gone := [i for i, one in found.items() if one is None]:
            self._identities.delete(Filter(must={"identity_id": gone}))

    def _face_point(self, video: Video, face: Face, origin: str, identity_id: str) -> Point:
        payload = {
            "face_id": face.face_id,
            "identity_id": identity_id,
            "origin_id": origin,
            "video_id": video.video_id,
            "video_url": video.url,
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
            "model": self._contract.model.name,
            "run": video.run,
        }
        return Point(face.face_id, payload, np.asarray(face.embedding, dtype=np.float32))

    def _video_point(self, video: Video, seen: Sequence[Appearance]) -> Point:
        payload = {
            "registry_id": self._contract.registry_id,
            "video_id": video.video_id,
            "url": video.url,
            "metrics": dict(video.metrics),
            "status": str(video.status),
            "reason": video.reason,
            "run": video.run,
            "faces": len(video.faces),
            "media": asdict(video.media),
            "appearances": [asdict(appearance) for appearance in seen],
        }
        return Point(video.video_id, payload)


def video_appearances(payload: Payload) -> list[Appearance]:
    """The appearances in the payload of a video."""
    return [Appearance(**appearance) for appearance in payload["appearances"]]


def _identity(payload: Payload) -> Identity:
    known: dict[str, Any] = {f.name: payload[f.name] for f in fields(Identity)}
    return Identity(**known)


def _neighbour(hit: Hit) -> Neighbour:
    return Neighbour(hit.id, hit.payload["origin_id"], hit.score)
