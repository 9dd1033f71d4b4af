"""Where the pictures of an identity are in the zip of face images. Pure.

Names are typed by people and zips are unpacked anywhere, so a name is changed where a system would
not accept it as a folder, or would leave the folder of the zip.
"""

from __future__ import annotations

import re
from unicodedata import normalize

from registry.domain import Identity

_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]')
"""What Windows does not allow in file names (Microsoft, "Naming Files, Paths, and Namespaces"), and
control characters, direction marks and characters without width."""
_RESERVED = re.compile(r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\xb9\xb2\xb3])")
"""Names of devices of Windows, also before a dot."""
_LONGEST = 200
"""Bytes of a name in UTF-8: a folder may have 255 on most systems."""


def cover_path(identity: Identity) -> str:
    """The path of an identity's cover in the exported zip."""
    return f"{folder_name(identity)}/cover.jpg"


def folder_name(identity: Identity) -> str:
    """The folder of an identity in the exported zip: `Katie Hill (5f3c5638)`, or its id.

    It is a name that Windows, macOS and Linux accept, and leads to no other folder: what may not be
    in one is replaced, and long names are cut. The id keeps namesakes apart.
    """
    if not identity.name:
        return identity.identity_id
    text = _NOT_IN_NAMES.sub("_", normalize("NFC", identity.name)).strip(" .")
    if _RESERVED.fullmatch(text.partition(".")[0].strip()):
        text = f"_{text}"
    while len(text.encode()) > _LONGEST:
        text = text[:-1]
    return f"{text.strip(' .') or '_'} ({identity.identity_id[:8]})"
