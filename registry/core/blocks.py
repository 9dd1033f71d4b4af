"""Blocks: people who were forgotten and must not be enrolled again.

A block has to recognise a face, so it keeps a template: the mean embedding of the person, which is
biometric data. It lies in the clear. Whatever key would open it would lie beside it, for every
ingest needs it; encryption would promise what it cannot keep. That is why a block is made only when
it is asked for, and can be lifted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.domain import Face, Vectors
from registry.errors import StoreCorrupt, UnknownError
from registry.faces.quality import founds


@dataclass(frozen=True, slots=True)
class Block:
    """One person who is not enrolled."""

    block_id: str
    """Random; says nothing of the person."""
    salt: str
    """Hexadecimal, random."""
    subject: str
    """`salted` of the id that the person had: whoever knows the id can find the block."""
    template: Vectors
    """float32 (D,), L2-normalised: the mean of the person's embeddings."""


class Blocks:
    """The blocks of one registry, in its blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def read(self) -> list[Block]:
        """All of them, in order of id. Raises `StoreCorrupt` for a damaged one."""
        return [self._load(info.key) for info in self._blobs.list(keys.BLOCKS)]

    def put(self, block: Block) -> None:
        """Write one."""
        body = {
            "salt": block.salt,
            "subject": block.subject,
            "template": [float(value) for value in block.template],
        }
        self._blobs.put(keys.block(block.block_id), json.dumps(body).encode())

    def has(self, block_id: str) -> bool:
        """Whether it is there."""
        return self._blobs.exists(keys.block(block_id))

    def lift(self, block_id: str) -> None:
        """Remove one, template and all. Raises `UnknownError` if there is none."""
        if block_id not in {block.block_id for block in self.read()}:
            raise UnknownError(f"there is no block {block_id[:80]!r}; the receipt names it")
        self.remove(block_id)

    def remove(self, block_id: str) -> None:
        """Remove one that may be gone already."""
        self._blobs.delete(keys.block(block_id))

    def _load(self, key: str) -> Block:
        try:
            body = json.loads(self._blobs.get(key))
            template = np.asarray(body["template"], dtype=np.float32)
            name = keys.name_in(key)
            return Block(name, str(body["salt"]), str(body["subject"]), template)
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreCorrupt(f"block {key} is damaged ({exc}); restore it from a backup") from exc


def blocked(embeddings: Vectors, blocks: Sequence[Block], threshold: float) -> NDArray[np.bool_]:
    """bool (n,): which of (n, D) embeddings have a cosine to a block of at least `threshold`."""
    if not blocks or not len(embeddings):
        return np.zeros(len(embeddings), dtype=np.bool_)
    templates = np.stack([block.template for block in blocks])
    return np.asarray((embeddings @ templates.T >= threshold).any(axis=1), dtype=np.bool_)


def template_of(faces: Sequence[Face]) -> Vectors:
    """float32 (D,), L2-normalised: the mean of the good faces, of all where none is good."""
    good = [face for face in faces if founds(face.quality)] or list(faces)
    mean = np.mean([face.embedding for face in good], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def salted(salt: str, text: str) -> str:
    """Hexadecimal SHA-256 of salt and text."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()
