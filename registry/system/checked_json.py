"""JSON objects that carry a digest over what they say, so that a flipped bit is found. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_DIGEST = "digest"


def encode(body: Mapping[str, Any]) -> bytes:
    """The object as JSON for people, with its digest."""
    return json.dumps({**body, _DIGEST: _digest(body)}, sort_keys=True, indent=1).encode()


def decode(data: bytes) -> dict[str, Any]:
    """The object in these bytes. Raises `ValueError` if they are none or any of them changed.

    One without a digest, as the first versions wrote them, is taken as it is.
    """
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("it is no JSON object")
    if _DIGEST in body and body.pop(_DIGEST) != _digest(body):
        raise ValueError("its digest does not match its content")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
