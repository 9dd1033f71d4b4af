"""Names that follow from what they name: the same input gives the same ids, in any registry.

All are UUIDv5 (RFC 9562, section 5.5) in one namespace of the project's own.
"""

from __future__ import annotations

import re
from uuid import UUID, uuid5

from registry.redaction import Url

NAMESPACE = UUID("5b1f3a0e-7c0d-5e7a-9d43-8a2f6c1e4b90")
"""Drawn once for this project; changing it would rename everything in every registry."""


_LIKE_ID = re.compile(
    r"[0-9a-f]{4,8}|[0-9a-f]{8}-([0-9a-f]{0,4}-){0,2}([0-9a-f]{0,4}|[0-9a-f]{4}-[0-9a-f]{0,12})"
)


def may_begin_id(text: str) -> bool:
    """Whether an id can begin with this text of four or more characters, in any case."""
    return _LIKE_ID.fullmatch(text.lower()) is not None


def looks_like_id(text: str) -> bool:
    """Whether people would take this text for an id: it may begin one, and is no word.

    Words such as `Abba` are made of hexadecimal digits, too: without a digit, seven characters are
    not enough.
    """
    return may_begin_id(text) and (len(text) > 7 or any(c.isdigit() for c in text))


def video_id(url: Url | str) -> str:
    """Id of a video, from its canonical URL."""
    text = url.exposed() if isinstance(url, Url) else url
    return str(uuid5(NAMESPACE, f"video\n{text}"))


def face_id(video: str, model_digest: str, frame: int, position: int) -> str:
    """Id of a face: which video, seen by which model, in which frame, as which from the left."""
    return str(uuid5(NAMESPACE, f"face\n{video}\n{model_digest}\n{frame}\n{position}"))


def identity_id(founding_face: str) -> str:
    """Id of an identity, from the face that founded it."""
    return str(uuid5(NAMESPACE, f"identity\n{founding_face}"))
