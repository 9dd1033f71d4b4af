"""What a message, a list or a log may show of a URL or of other text from outside."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import unquote

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""A control character (Unicode category Cc)."""

_SECRET_KEY = re.compile(
    r"sig|token|key|secret|pass|pwd|auth|cred|session|jwt|hmac|hdn|policy|ticket|otp|code",
    re.IGNORECASE,
)
"""Parts of the names of query parameters that grant access: those of the large object stores and
content networks (X-Amz-Signature, X-Goog-Credential, sig, Key-Pair-Id, Policy, hdnts), and common
ones (access_token)."""
_SECRET_VALUE = re.compile(r"[A-Za-z0-9+/_=.~-]{40,}")
"""A value of this length and alphabet is taken for a token or a digest, not for words."""
_AUTHORITY = re.compile(r"(?P<lead>^[A-Za-z][A-Za-z0-9+.-]*:/*|//)(?P<rest>[^?#]*)")
_USERINFO = re.compile(r"//[^/?#@\s]*:[^/?#\s]*@")
_MASK = "***"


class Url:
    """A URL, or a path or a cell found in its place, that shows itself redacted.

    `str()`, `repr()`, f-strings and logging give the redacted form (see `redacted`); `json.dumps`
    refuses it unless it is told `default=str`. Only `exposed()` gives the text itself. Two are
    equal if their texts are.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def exposed(self) -> str:
        """The whole text, for what is stored, sent or published."""
        return self._text

    def redacted(self, limit: int | None = 200) -> str:
        """What may be shown, in at most `limit` characters; None: however long it is."""
        return redacted(self._text, limit)

    def __str__(self) -> str:
        return self.redacted()

    def __repr__(self) -> str:
        return f"Url({self.redacted()!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Url, self._text))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Url cannot be changed: {name}")

    def __reduce__(self) -> tuple[type[Url], tuple[str]]:
        return Url, (self._text,)


def redacted(text: str, limit: int | None = 200) -> str:
    """The text without what grants access, in at most `limit` characters.

    Left out: user name and password. Written as `***`: values of the query or the fragment that
    look like a token, a key or a signature. Written as escapes: control and formatting characters
    (terminal escapes, reversed text). Takes any text and never raises.
    """
    plain = _USERINFO.sub("//", _AUTHORITY.sub(_without_userinfo, text, count=1))
    start = re.search("[?#]", plain)
    shown = plain if start is None else plain[: start.start()] + _masked(plain[start.start() :])
    return printable(shown, limit)


def printable(text: str, limit: int | None = 80) -> str:
    """Text from outside on one line of a terminal: characters that do not print as escapes."""
    shown = text if limit is None else text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
            for letter in shown
        )
    return shown if limit is None or len(shown) <= limit else f"{shown[: limit - 1]}…"


def _without_userinfo(match: re.Match[str]) -> str:
    lead, rest = match["lead"], match["rest"]
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        return f"{lead}{authority.rpartition('@')[2]}{slash}{path}"
    _, colon, port = authority.rpartition(":")
    if colon and not port.isdigit() and "]" not in port and "@" in path:
        # user:pass/word@host, with the slash not encoded: the password ends at the last @.
        return f"{lead}{path.rpartition('@')[2]}"
    return match[0]


def _masked(query: str) -> str:
    """A query and a fragment with their secret values masked."""
    pieces = re.split("([?#&;])", query)
    for place, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        plain = unquote(value)
        if not equals:
            pieces[place] = _SECRET_VALUE.sub(_MASK, piece)
        elif value and (
            _SECRET_KEY.search(unquote(name))
            or (_SECRET_KEY.search(plain) and "=" in plain)
            or _SECRET_VALUE.search(plain)
            or ("@" in plain and "//" in plain)
        ):
            pieces[place] = f"{name}={_MASK}"
    return "".join(pieces)
