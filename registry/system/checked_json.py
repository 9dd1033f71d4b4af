"""JSON objects with a digest of their content, by which damage is detected. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_DIGEST = "digest"


def encode(body: Mapping[str, Any]) -> bytes:
    """Return the object as indented JSON, with its digest."""
    return json.dumps({**body, _DIGEST: _digest(body)}, sort_keys=True, indent=1).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Return the object without its digest.

    An object without a digest, as the first versions wrote them, is accepted. Raises `ValueError`
    if the bytes are not a JSON object or do not match the digest.
    """
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("it is not a JSON object")
    if _DIGEST in body and body.pop(_DIGEST) != _digest(body):
        raise ValueError("its digest does not match its content")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
