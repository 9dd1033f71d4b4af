"""Blocks: people who were erased and must not be enrolled again.

A block must recognise a face, so it holds a template: the mean embedding of the person, which is
biometric data. It is not encrypted: every ingest needs it, so the key would have to lie next to it.
That is why a block is made only on request, and can be lifted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Face, Vectors, Video
from registry.errors import StoreCorrupt, UnknownError
from registry.faces.face_table import embeddings_of
from registry.faces.quality import founds


@dataclass(frozen=True, slots=True)
class Block:
    """One person who is not enrolled."""

    block_id: str
    """Random, so that it does not identify the person."""
    salt: str
    """Hexadecimal, random."""
    subject: str
    """`salted_hash` of the id that the person had, so that who knows the id can find the block."""
    template: Vectors
    """float32 (D,), L2-normalised: the mean of the person's embeddings."""


class Blocks:
    """The blocks of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def all(self) -> list[Block]:
        """All blocks, in order of id. Raises `StoreCorrupt` for a damaged one."""
        return [self._load(info.key) for info in self._blobs.list(keys.BLOCKS)]

    def put(self, block: Block) -> None:
        """Write a block."""
        fields = {
            "salt": block.salt,
            "subject": block.subject,
            "template": [float(value) for value in block.template],
        }
        self._blobs.put(keys.block(block.block_id), json.dumps(fields).encode())

    def has(self, block_id: str) -> bool:
        """Whether there is a block of this id."""
        return self._blobs.exists(keys.block(block_id))

    def lift(self, block_id: str) -> None:
        """Remove a block and its template. Raises `UnknownError` if there is none of this id."""
        if block_id not in {block.block_id for block in self.all()}:
            raise UnknownError(
                f"There is no block {block_id[:80]!r}. The receipt of the erasure names the block."
            )
        self.remove(block_id)

    def remove(self, block_id: str) -> None:
        """Remove a block; does nothing if there is none of this id."""
        self._blobs.delete(keys.block(block_id))

    def _load(self, key: str) -> Block:
        try:
            fields = json.loads(self._blobs.get(key))
            template = np.asarray(fields["template"], dtype=np.float32)
            return Block(keys.name_in(key), str(fields["salt"]), str(fields["subject"]), template)
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(
                f"Block {key} is damaged ({exc}). Restore it from a backup."
            ) from exc


def without_blocked(video: Video, blocks: Sequence[Block], threshold: float) -> Video:
    """The video without the faces that match a block, at a cosine of at least `threshold`."""
    if not video.faces or not blocks:
        return video
    matches = matches_block(embeddings_of(video.faces), blocks, threshold)
    if not matches.any():
        return video
    left = (face for face, match in zip(video.faces, matches, strict=True) if not match)
    return replace(video, faces=tuple(left))


def matches_block(
    embeddings: Vectors, blocks: Sequence[Block], threshold: float
) -> NDArray[np.bool_]:
    """bool (n,): which of (n, D) embeddings have a cosine to a block of at least `threshold`."""
    if not blocks or not len(embeddings):
        return np.zeros(len(embeddings), dtype=np.bool_)
    templates = np.stack([block.template for block in blocks])
    return np.asarray((embeddings @ templates.T >= threshold).any(axis=1), dtype=np.bool_)


def template_of(faces: Sequence[Face]) -> Vectors:
    """float32 (D,), L2-normalised: the mean of the good faces, or of all if none is good."""
    good = [face for face in faces if founds(face.quality)] or list(faces)
    mean = np.mean([face.embedding for face in good], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def salted_hash(salt: str, text: str) -> str:
    """SHA-256 of salt and text, hexadecimal."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()
