"""Assignment: which faces of a video are recorded, and with which identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from registry.core.blocks import Block, blocked
from registry.core.decisions import View
from registry.core.index import Index
from registry.domain import Video
from registry.faces.matching import assign, nearest_with_earlier


def without_blocked(video: Video, blocks: Sequence[Block], threshold: float) -> Video:
    """The video without the faces that have a cosine to a block of at least `threshold`."""
    if not video.faces or not blocks:
        return video
    hit = blocked(np.stack([face.embedding for face in video.faces]), blocks, threshold)
    left = tuple(f for f, is_hit in zip(video.faces, hit, strict=True) if not is_hit)
    return replace(video, faces=left)


def assigned(
    video: Video, before: Video | None, index: Index, view: View, threshold: float
) -> Video:
    """The video with identities; read again, a face that is as it was `before` keeps its own."""
    if not video.faces:
        return video
    embeddings = np.stack([face.embedding for face in video.faces])
    stored = index.nearest(video.video_id, embeddings)
    if before is not None and before.faces:
        stored = nearest_with_earlier(video.faces, before.faces, stored, view.origin_of)
    identities = assign([face.face_id for face in video.faces], embeddings, stored, threshold)
    pairs = zip(video.faces, identities, strict=True)
    return replace(video, faces=tuple(replace(f, identity_id=i) for f, i in pairs))
