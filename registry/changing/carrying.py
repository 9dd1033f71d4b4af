"""Who is who after a change of the model, face by face. Pure.

What people said is kept by keeping what they said it of. An identity that a decision names, a name,
a merge, a split, a separation or a consolidation that stands, keeps every one of its faces and its
id; so the log goes on meaning what it meant, entry by entry, and each entry can still be undone.
All other faces are given identities anew by the rule (`registry.faces.matching`), with the new
embeddings and the registry's own threshold: they join the nearest face, one of those that are kept
or one that went before, or found an identity.

Two identities that were separated stay so because neither loses a face to the other, and the rule
gives a face to one of them only. Translating the log instead, name by name and merge by merge to
the identities that the rule makes anew, was the other way. It has to cut what people joined
wherever the new model parts it, and an entry that says one thing of one identity would have to say
it of several. At 0.85 the rule splits people and mixes none under any model measured (README), so
nothing is gained by cutting.

A consolidation is carried too, though a model made it: people let it stand. `identities undo N` and
`identities consolidate` redo it with the new model.

Videos go in the order of their runs, then of their ids: the order within a run is not on record.
An id stays with most of the faces that it had, so what the change leaves as it was keeps its id
whatever the order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count

import numpy as np

from registry import ids
from registry.core.decisions import Decision, Kind, fold, in_effect
from registry.domain import Face, Vectors, Video
from registry.faces.matching import Neighbour, assign

_BLOCK = 2**24
"""Similarities held at once: 64 MiB."""


def spoken_of(decisions: Sequence[Decision]) -> set[str]:
    """Every identity that a standing decision names."""
    named: set[str] = set()
    for decision in in_effect(decisions):
        named |= {decision.identity_id, *decision.others}
        named |= {identity for group in decision.groups for identity in group}
        if decision.kind is Kind.SPLIT:
            named.add(decision.new_identity)
    return named - {""}


def carried(
    videos: Sequence[Video], decisions: Sequence[Decision], threshold: float
) -> dict[str, str]:
    """The identity that the record of each face is to name, by face id.

    Args:
        videos: all of them, each face with its new embedding and the identity that its record names
            now.
        decisions: the whole log, which stays as it is.
        threshold: cosine, inclusive: the registry's.
    """
    view = fold(decisions)
    kept = {view.root(identity) for identity in spoken_of(decisions)}
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
            # Provisional ids, that none of the registry's can be taken for.
            founders = [f"provisional {face.face_id}" for face in faces]
            passes_on += assign(founders, own, stored, threshold)
    taken = kept | spoken_of(decisions) | set(passes_on[: len(pinned)])
    names = _founded(known[len(pinned) :], passes_on[len(pinned) :], taken)
    stay = {face.face_id: face.identity_id for face in pinned}
    rest = zip(known[len(pinned) :], passes_on[len(pinned) :], strict=True)
    return stay | {face.face_id: names.get(identity, identity) for face, identity in rest}


def _nearest(
    own: Vectors, gallery: Vectors, known: Sequence[Face], passes_on: Sequence[str]
) -> list[Neighbour | None]:
    """The nearest row of the gallery for each row of `own`; the first of equals."""
    if not len(gallery):
        return [None] * len(own)
    found: list[Neighbour | None] = []
    step = max(1, _BLOCK // len(gallery))
    for start in range(0, len(own), step):
        similarities = own[start : start + step] @ gallery.T
        for row, best in enumerate(similarities.argmax(axis=1)):
            similarity = float(similarities[row, best])
            found.append(Neighbour(known[best].face_id, passes_on[best], similarity))
    return found


def _founded(
    faces: Sequence[Face], identities: Sequence[str], taken: Collection[str]
) -> Mapping[str, str]:
    """The id of each identity that was founded anew, by its provisional one.

    An id goes where most of its faces are; an identity that gets none takes one from its own faces.
    """
    members: dict[str, list[Face]] = defaultdict(list)
    for face, identity in zip(faces, identities, strict=True):
        if identity not in taken:
            members[identity].append(face)
    shares = Counter(
        (face.identity_id, identity) for identity, group in members.items() for face in group
    )
    names: dict[str, str] = {}
    used = set(taken)
    for before, identity in (pair for pair, _ in shares.most_common()):  # equals: first come
        if before not in used and identity not in names:
            names[identity] = before
            used.add(before)
    used |= {face.identity_id for face in faces}
    for identity, group in members.items():
        if identity not in names:
            names[identity] = next(i for i in _own_ids(group) if i not in used)
            used.add(names[identity])
    return names


def _own_ids(group: Sequence[Face]) -> Iterator[str]:
    """Ids that an identity of these faces may go by: without end, and different from others'."""
    yield from (ids.identity_id(face.face_id) for face in group)
    for number in count():
        yield ids.identity_id(f"{group[0].face_id} again {number}")
