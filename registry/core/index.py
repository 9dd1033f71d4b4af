"""The index: faces, videos and identities in Qdrant, each computable from the records.

faces        a vector and the video and performance payload for each face: who is near whom
videos       no vector; what reports read, so that a report costs videos and not faces
identities   no vector; what lists read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from registry.core.decisions import View
from registry.core.nearest import nearest_by_graph, nearest_faces, videos_of_similar_faces
from registry.core.points import (
    ALIASES,
    CONTENT,
    PROVISIONAL,
    IndexedFace,
    IndexedVideo,
    ReportedVideo,
    as_kept,
    decided_identity,
    face_in,
    face_points,
    identity_in,
    identity_point,
    reported_video_in,
    video_in,
    video_point,
)
from registry.domain import Appearance, Contract, Identity, Status, Vectors, Video
from registry.errors import ContractError
from registry.faces.appearances import revised_identity
from registry.faces.matching import Neighbour
from registry.faces.quality import founds
from registry.store.base import Collection, CollectionSpec, Filter, Point, Store

FACES, VIDEOS, IDENTITIES = "faces", "videos", "identities"
_SEEN = "appearances[].identity_id"
VIDEOS_SPEC = CollectionSpec(VIDEOS, None, ("video_id", _SEEN, "status", ALIASES, CONTENT))
EXACT_LIMIT = 200_000
"""Up to so many faces, a nearest neighbour is found by comparing with all of them, which makes
assignment independent of how the engine built its graph; beyond, the graph answers."""

_BATCH = 500
"""Points that are asked for or written together, as many as the stores put into one request:
payloads and answers take 7 kB a face."""


@dataclass(frozen=True, slots=True)
class SimilarFace:
    """A stored face that a query returned."""

    face: IndexedFace
    similarity: float
    """Cosine with the face that was asked about, -1 to 1."""


class Index:
    """The three collections of one registry.

    What it returns is decoded; a payload that cannot be decoded raises `StoreCorrupt`. `stored_…`
    returns points as they are, for code that compares them with what they should be.
    """

    def __init__(self, store: Store, contract: Contract) -> None:
        """Opens the collections, creating those that do not exist; that of faces when needed."""
        self._store = store
        self._contract = contract
        self._count: int | None = None
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

    def nearest(
        self, video_id: str, embeddings: Vectors, own: Vectors | None = None
    ) -> list[Neighbour | None]:
        """The nearest stored face of another video for each of (n, D) embeddings.

        An embedding without a neighbour at the registry's threshold, and at the cosine that `own`
        (n,) has for it, gets None or any neighbour below. Beyond `EXACT_LIMIT` faces, the
        candidates are those of the graph, and all faces of their videos are compared.
        """
        exact = self._face_count() <= EXACT_LIMIT
        threshold = self._contract.threshold
        return nearest_faces(self._faces, video_id, embeddings, threshold, own, exact=exact)

    def similar_faces(
        self,
        embeddings: Vectors,
        *,
        limit: int,
        without: Sequence[str] = (),
        exact: bool = False,
    ) -> list[list[SimilarFace]]:
        """The nearest stored faces of each of (n, D) embeddings, best first.

        Args:
            embeddings: float32, L2-normalised.
            limit: the number of faces for each embedding, at most.
            without: identities whose faces are left out.
            exact: whether to compare with every face, however many there are. Else, beyond
                `EXACT_LIMIT` faces, those of the videos to which the graph leads are compared.
        """
        where = Filter(must_not={"identity_id": without}) if without else None
        if exact or self._face_count() <= EXACT_LIMIT:
            found = self._faces.query(embeddings, limit=limit, where=where)
        else:
            found = nearest_by_graph(self._faces, embeddings, limit, where)
        return [[SimilarFace(face_in(hit.payload), hit.score) for hit in hits] for hits in found]

    def videos_of_similar_faces(
        self, embeddings: Vectors, *, limit: int, without: Sequence[str]
    ) -> list[dict[str, float]]:
        """As `nearest.videos_of_similar_faces`."""
        return videos_of_similar_faces(self._faces, embeddings, limit=limit, without=without)

    # --- writing --------------------------------------------------------------------------------

    def put(self, video: Video, view: View) -> None:
        """Make the index say of this video what its record says.

        The identities in the video are updated by what changes in it, so they must be up to date:
        after a crash, use `restore`.
        """
        before = self.video(video.video_id)
        gone = {a.identity_id: a for a in before.appearances} if before else {}
        if before is not None:
            self._delete_faces(video.video_id)
        [(_, seen)] = self._written([video], view)
        added = {a.identity_id: a for a in seen}
        if view.is_joined(video.video_id):
            self.refresh(gone.keys() | added.keys(), view)
        else:
            self._revise(video.video_id, gone, added, view)

    def restore(self, videos: Iterable[Video], view: View) -> None:
        """Make the index say of these videos what their records say, whatever it said before.

        Their identities are computed again from all videos that show them.
        """
        affected: set[str] = set()

        def without_faces() -> Iterator[Video]:
            for video in videos:
                affected.update(self._seen_in(video.video_id) or ())
                self._delete_faces(video.video_id)
                yield video

        for _, seen in self._written(without_faces(), view):
            affected.update(a.identity_id for a in seen)
        self.refresh(affected, view)

    def put_details(self, video: Video, view: View) -> None:
        """Bring all but the faces of a video up to its record, and the metrics of its faces."""
        metrics = {"metrics": as_kept(video.metrics)}
        self._faces.set_payload(metrics, Filter(must={"video_id": [video.video_id]}))
        point, _ = video_point(video, view, self._contract)
        self._videos.upsert([point])

    def remove(self, video_id: str, view: View) -> None:
        """Forget a video."""
        before = self._seen_in(video_id) or set()
        self._delete_faces(video_id)
        self._videos.delete(Filter(must={"video_id": [video_id]}))
        self.refresh(before, view)

    def regroup(
        self, videos: Iterable[Video], identity_ids: set[str], before: View, after: View
    ) -> None:
        """Give the faces of videos the identities of a new view.

        Args:
            videos: records that the index has; their faces are the same as before.
            identity_ids: identities whose name or videos change, also if no face moves.
            before: what people decided until now.
            after: what they decided with the change.
        """
        changed = set(identity_ids)
        self._count = None  # faces that are written again would be counted twice
        for video, _ in self._written(videos, after):
            for face in video.faces:
                moves = {before.identity_of(face), after.identity_of(face)}
                if len(moves) > 1:
                    changed |= moves
        self.refresh(changed, after)

    def rebuild(self, videos: Iterable[Video], view: View) -> int:
        """Drop everything and write it anew from the records. Returns how many videos there are."""
        self.drop(self._store)
        self._open()
        seen: dict[str, list[tuple[str, Appearance]]] = defaultdict(list)
        count = 0
        for video, appearances in self._written(videos, view):
            for appearance in appearances:
                seen[appearance.identity_id].append((video.video_id, appearance))
            count += 1
        self._write_identities(seen, view)
        self.flush()
        self.optimize()
        return count

    def flush(self) -> None:
        """Return when everything written before is durable."""
        for collection in self._opened():
            collection.flush()

    def optimize(self) -> None:
        """Let the engine tidy up after many writes."""
        for collection in self._opened():
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

    def has_video(self, video_id: str) -> bool:
        """Whether the index holds the video."""
        return bool(self._videos.get([video_id]))

    def video_ids(self, identity_ids: Sequence[str] | None = None) -> Iterator[str]:
        """Ids of all videos, or of those that show one of these identities, in order."""
        return (point.id for point in self.stored_videos(identity_ids))

    def video(self, video_id: str) -> IndexedVideo | None:
        """The video of this id."""
        points = self._videos.get([video_id])
        return video_in(points[0].payload) if points else None

    def videos(self, identity_ids: Sequence[str] | None = None) -> Iterator[IndexedVideo]:
        """All videos, or those that show one of these identities, in order of id."""
        where = None if identity_ids is None else Filter(must={_SEEN: list(identity_ids)})
        return map(video_in, self._videos.payloads(where))

    def reported_videos(self) -> Iterator[ReportedVideo]:
        """What reports need of all videos, in order of id."""
        return map(reported_video_in, self._videos.payloads())

    def get_videos(self, video_ids: Sequence[str]) -> dict[str, IndexedVideo]:
        """Those that exist among these, by id."""
        return {point.id: video_in(point.payload) for point in self._videos.get(video_ids)}

    def known(self, video_id: str) -> IndexedVideo | None:
        """The video of this id, or the first one that has it as another name."""
        points = self._videos.get([video_id])
        point = points[0] if points else self._first_video(ALIASES, video_id)
        return video_in(point.payload) if point else None

    def of_content(self, sha256: str) -> IndexedVideo | None:
        """The first video of this content."""
        point = self._first_video(CONTENT, sha256)
        return video_in(point.payload) if point else None

    def count_on_record(self, video_ids: Sequence[str]) -> int:
        """How many of these videos the index holds."""
        return len(self._videos.get(video_ids))

    def identities_in(self, video_ids: Iterable[str]) -> set[str]:
        """Ids of the identities in these videos; videos that the index does not hold have none."""
        return {i for video_id in video_ids for i in self._seen_in(video_id) or ()}

    def _first_video(self, field: str, value: str) -> Point | None:
        return next(self._videos.scroll(Filter(must={field: [value]})), None)

    def identities(self, *, provisional: bool = True) -> Iterator[Identity]:
        """All identities, or only the established ones, in order of id."""
        where = None if provisional else Filter(must_not={"standing": [PROVISIONAL]})
        return map(identity_in, self._identities.payloads(where))

    def get_identities(self, identity_ids: Sequence[str]) -> dict[str, Identity]:
        """Those that exist among these, by id."""
        return {p.id: identity_in(p.payload) for p in self._identities.get(identity_ids)}

    def named(self, name: str) -> list[Identity]:
        """Identities of exactly this name."""
        where = Filter(must={"name": [name]})
        return [identity_in(point.payload) for point in self._identities.scroll(where)]

    def faces(self, *, with_vectors: bool = False) -> Iterator[IndexedFace]:
        """All faces, in order of id."""
        points = self.stored_faces(with_vectors=with_vectors)
        return (face_in(point.payload, point.vector) for point in points)

    def faces_of(self, identity_id: str) -> Iterator[IndexedFace]:
        """The faces of one identity, in order of id."""
        where = Filter(must={"identity_id": [identity_id]})
        return map(face_in, self._faces.payloads(where))

    def faces_in(self, video_id: str) -> Iterator[IndexedFace]:
        """The faces of one video with their vectors, in order of id."""
        points = self.stored_faces(video_id, with_vectors=True)
        return (face_in(point.payload, point.vector) for point in points)

    def faces_in_videos(self, video_ids: Sequence[str]) -> Iterator[IndexedFace]:
        """The faces of these videos with their vectors; within a video in order of id."""
        for start in range(0, len(video_ids), _BATCH):
            where = Filter(must={"video_id": list(video_ids[start : start + _BATCH])})
            for point in self._faces.scroll(where, with_vectors=True):
                yield face_in(point.payload, point.vector)

    def get_faces(self, face_ids: Sequence[str]) -> Iterator[IndexedFace]:
        """Those of these faces that exist."""
        return (face_in(point.payload) for point in self._faces.get(face_ids))

    def face_of_crop(self, digest: str) -> IndexedFace | None:
        """The face, with its vector, whose stored crop has this sha256."""
        where = Filter(must={"crop_digest": [digest]})
        point = next(self._faces.scroll(where, with_vectors=True), None)
        return face_in(point.payload, point.vector) if point else None

    # --- comparing with the records -------------------------------------------------------------

    def stored_videos(self, identity_ids: Sequence[str] | None = None) -> Iterator[Point]:
        """The points of all videos, or of those that show one of these identities, by id."""
        where = None if identity_ids is None else Filter(must={_SEEN: list(identity_ids)})
        return self._videos.scroll(where)

    def stored_faces(
        self, video_id: str | None = None, *, with_vectors: bool = False
    ) -> Iterator[Point]:
        """The points of all faces, or of those of one video, in order of id."""
        where = None if video_id is None else Filter(must={"video_id": [video_id]})
        return self._faces.scroll(where, with_vectors=with_vectors)

    def stored_identities(self, identity_ids: Sequence[str] | None = None) -> Iterator[Point]:
        """The points of all identities, or of those that exist among these, in order of id."""
        if identity_ids is None:
            return self._identities.scroll()
        return iter(self._identities.get(identity_ids))

    def count_faces_of(self, identity_id: str) -> int:
        """How many faces of one identity a filter finds."""
        return self._faces.count(Filter(must={"identity_id": [identity_id]}))

    def count_crops_of(self, video_id: str, digests: Sequence[str]) -> int:
        """How many faces of a video a filter finds by these sha256 of crops."""
        where = Filter(must={"video_id": [video_id], "crop_digest": list(digests)})
        return self._faces.count(where)

    def count_named(self, name: str, identity_id: str) -> int:
        """1 if a filter finds the identity by its name."""
        return self._identities.count(Filter(must={"name": [name], "identity_id": [identity_id]}))

    # --- inside ---------------------------------------------------------------------------------

    def _open(self) -> None:
        self._opened_faces: Collection | None = None
        self._count = None
        self._videos = self._store.open(VIDEOS_SPEC)
        self._identities = self._store.open(
            CollectionSpec(IDENTITIES, None, ("identity_id", "name", "standing"))
        )
        if not self._store.has(FACES):
            self._open_faces()

    @property
    def _faces(self) -> Collection:
        """Opened when it is first used: it is most of the index, and reports do not need it."""
        return self._opened_faces or self._open_faces()

    def _open_faces(self) -> Collection:
        dimension = self._contract.model.dimension
        spec = CollectionSpec(FACES, dimension, ("video_id", "identity_id", "crop_digest"))
        self._opened_faces = self._store.open(spec)
        return self._opened_faces

    def _opened(self) -> list[Collection]:
        faces = [self._opened_faces] if self._opened_faces else []
        return [*faces, self._videos, self._identities]

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
        if self._count is not None:
            self._count += len(faces)
        self._faces.upsert(faces)
        self._videos.upsert(videos)
        faces.clear()
        videos.clear()

    def _face_count(self) -> int:
        """How many faces there are, counted once: counting takes as long as a query does.

        Faces that another process writes are not in it.
        """
        if self._count is None:
            self._count = self.count_faces()
        return self._count

    def _delete_faces(self, video_id: str) -> None:
        self._count = None
        self._faces.delete(Filter(must={"video_id": [video_id]}))

    def _seen_in(self, video_id: str) -> set[str] | None:
        video = self.video(video_id)
        return None if video is None else {a.identity_id for a in video.appearances}

    def refresh(self, identity_ids: Set[str], view: View) -> None:
        """Write identities anew from the videos that show them; remove those that none shows."""
        if not identity_ids:
            return
        seen: dict[str, list[tuple[str, Appearance]]] = {i: [] for i in identity_ids}
        for video in self.videos(sorted(identity_ids)):
            for appearance in video.appearances:
                if appearance.identity_id in seen:
                    seen[appearance.identity_id].append((video.video_id, appearance))
        self._write_identities(seen, view)

    def _revise(
        self,
        video_id: str,
        gone: Mapping[str, Appearance],
        added: Mapping[str, Appearance],
        view: View,
    ) -> None:
        """Update identities by their appearances in one video, before and after a change of it."""
        known = self.get_identities(sorted(gone.keys() | added.keys()))
        covers = {
            face.face_id: face.quality.score if founds(face.quality) else 0.0
            for face in self.get_faces([one.cover_face for one in known.values()])
        }
        founded = (
            decided_identity(who, [(video_id, added[who])], view)
            for who in sorted(added.keys() - known.keys() - gone.keys())
        )
        revised = [one for one in founded if one]
        unclear = set(gone.keys() - known.keys())
        for who, one in known.items():
            quality = covers.get(one.cover_face)
            found = quality is not None and revised_identity(
                one, quality, gone=gone.get(who), added=added.get(who), hidden=who in view.hidden
            )
            if found:
                revised.append(found)
            else:
                unclear.add(who)
        self._identities.upsert([identity_point(one) for one in revised])
        self.refresh(unclear, view)

    def _write_identities(self, seen: dict[str, list[tuple[str, Appearance]]], view: View) -> None:
        found = {i: decided_identity(i, where, view) for i, where in seen.items()}
        self._identities.upsert([identity_point(one) for one in found.values() if one])
        if gone := [i for i, one in found.items() if one is None]:
            self._identities.delete(Filter(must={"identity_id": gone}))
