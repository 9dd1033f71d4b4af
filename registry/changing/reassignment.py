"""The identity of each face after a change of the model. Pure.

Decisions stay valid because the identities that they name stay as they are. An identity in a
decision that counts (a name, merge, split, separation or consolidation) keeps its id and all of its
faces, so the log needs no change and each entry can still be undone. All other faces are assigned
anew by the rule (`registry.faces.matching`), with the new embeddings and the registry's threshold:
a face joins the nearest face that was kept or assigned before it, or founds an identity.

Separated identities stay separate: neither loses a face to the other, and the rule assigns a face
to one of them only.

The alternative is to translate the log to the identities that the rule makes anew. It would have to
divide what people merged wherever the new model splits it, and one entry would become several. At
0.85 the rule splits people but does not mix them, with every model measured (README), so there is
nothing to gain from dividing.

A consolidation is kept, too, although a model made it, because people let it stand.
`identities undo N` and `identities consolidate` repeat it with the new model.

Videos are assigned in the order of their runs, then of their ids, since the order within a run is
not on record. An id stays with most of the faces that had it, so an identity that keeps its faces
keeps its id, whatever the order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count

import numpy as np

from registry import ids
from registry.core.decisions import Decision, fold, in_effect
from registry.domain import Face, Vectors, Video
from registry.faces.matching import Neighbour, assign

_BLOCK = 2**24
"""Similarities held at once: 64 MiB."""


def named_identities(decisions: Sequence[Decision]) -> set[str]:
    """All identities in decisions that count."""
    return {identity for decision in in_effect(decisions) for identity in decision.identities}


def reassign(
    videos: Sequence[Video], decisions: Sequence[Decision], threshold: float
) -> dict[str, str]:
    """The identity of each face, by face id, for the records of the new model.

    Args:
        videos: all videos; each face has its new embedding and the identity of its current record.
        decisions: the whole log, which stays as it is.
        threshold: the registry's, a cosine, inclusive.
    """
    view, named = fold(decisions), named_identities(decisions)
    kept = {view.root(identity) for identity in named}
    ordered = sorted(videos, key=lambda video: (video.run, video.video_id))
    pinned = [f for video in ordered for f in video.faces if view.identity_of(f) in kept]
    free = [[f for f in video.faces if view.identity_of(f) not in kept] for video in ordered]
    known = [*pinned, *(face for faces in free for face in faces)]
    if not known:
        return {}
    gallery = np.stack([face.embedding for face in known])
    passes_on = [view.origin_of(face) for face in pinned]
    for faces in free:
        if faces:
            start = len(passes_on)
            own = gallery[start : start + len(faces)]
            stored = _nearest(own, gallery[:start], known, passes_on)
            # Placeholders for new identities, which cannot equal an id of the registry.
            founders = [f"provisional {face.face_id}" for face in faces]
            passes_on += assign(founders, own, stored, threshold, faces)
    taken = kept | named | set(passes_on[: len(pinned)])
    new_ids = _ids_of_new_identities(known[len(pinned) :], passes_on[len(pinned) :], taken)
    unchanged = {face.face_id: face.identity_id for face in pinned}
    rest = zip(known[len(pinned) :], passes_on[len(pinned) :], strict=True)
    return unchanged | {face.face_id: new_ids.get(identity, identity) for face, identity in rest}


def _nearest(
    own: Vectors, gallery: Vectors, known: Sequence[Face], passes_on: Sequence[str]
) -> list[Neighbour | None]:
    """The nearest row of the gallery for each row of `own`; of equal ones the first."""
    if not len(gallery):
        return [None] * len(own)
    nearest: list[Neighbour | None] = []
    step = max(1, _BLOCK // len(gallery))
    for start in range(0, len(own), step):
        similarities = own[start : start + step] @ gallery.T
        for row, best in enumerate(similarities.argmax(axis=1)):
            similarity = float(similarities[row, best])
            face = known[best]
            nearest.append(Neighbour(face.face_id, passes_on[best], similarity, face.quality))
    return nearest


def _ids_of_new_identities(
    faces: Sequence[Face], identities: Sequence[str], taken: Collection[str]
) -> Mapping[str, str]:
    """The id of each new identity, by its placeholder.

    An earlier id goes to the new identity with most of its faces. A new identity that gets none
    takes an id from its own faces.
    """
    members: dict[str, list[Face]] = defaultdict(list)
    for face, identity in zip(faces, identities, strict=True):
        if identity not in taken:
            members[identity].append(face)
    shares = Counter(
        (face.identity_id, identity) for identity, group in members.items() for face in group
    )
    new_ids: dict[str, str] = {}
    used = set(taken)
    for before, identity in (pair for pair, _ in shares.most_common()):  # of equal shares the first
        if before not in used and identity not in new_ids:
            new_ids[identity] = before
            used.add(before)
    used |= {face.identity_id for face in faces}
    for identity, group in members.items():
        if identity not in new_ids:
            new_ids[identity] = next(i for i in _own_ids(group) if i not in used)
            used.add(new_ids[identity])
    return new_ids


def _own_ids(group: Sequence[Face]) -> Iterator[str]:
    """Ids for an identity of these faces, without end; no other identity has them."""
    yield from (ids.identity_id(face.face_id) for face in group)
    for number in count():
        yield ids.identity_id(f"{group[0].face_id} again {number}")
