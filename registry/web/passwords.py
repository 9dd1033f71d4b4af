"""The password of a server that other machines can reach, and how often one may guess it."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from registry.errors import UsageError
from registry.system.privacy import command_to_close, others_have_access

SHORTEST = 12
"""Characters. With five guesses a minute, 12 lower-case letters last longer than the server."""
_COST, _BLOCK, _LANES = 2**15, 8, 1
"""Parameters of scrypt: 32 MiB and about 0.1 s a guess (OWASP, Password Storage Cheat Sheet, one of
its recommended settings has N = 2^15, r = 8, p = 3; guesses here are limited besides)."""
GUESSES = 5
"""Wrong passwords from one address within `WINDOW_S`; more are not looked at."""
EVERYBODYS_GUESSES = 50
"""Wrong passwords from all addresses within `WINDOW_S`."""
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Password:
    """A password as salt and scrypt hash; the text itself is not kept."""

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, text: str) -> Password:
        """The hash of a password. Raises `UsageError` if it is too short."""
        if len(text) < SHORTEST:
            raise UsageError(
                f"The password has {len(text)} characters, and other machines may try to guess "
                f"it. Use {SHORTEST} or more."
            )
        salt = secrets.token_bytes(16)
        return cls(salt, _hash(text, salt))

    def matches(self, text: str) -> bool:
        """Whether this is the password; takes as long for a wrong one."""
        return secrets.compare_digest(self.digest, _hash(text, self.salt))


def read_password(path: Path) -> str:
    """The first line of a file. Raises `UsageError` if others can read it, or it has no text."""
    try:
        text, shared = path.read_text(encoding="utf-8"), others_have_access(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"The password file {path} cannot be read: {exc}.") from exc
    if shared:
        raise UsageError(
            f"The password file {path} can be read by other users. Run `{command_to_close(path)}`."
        )
    return text.partition("\n")[0].rstrip("\r")


class Guesses:
    """Counts wrong passwords, by address and in all."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may guess again; 0: now."""
        with self._lock:
            return self._wait(address)

    def begin(self, address: str) -> float:
        """Count a guess as wrong before it is looked at, so that many at once are no way around.

        Returns the seconds to wait, 0 if it may be looked at.
        """
        with self._lock:
            if wait := self._wait(address):
                return wait
            self._wrong.append((self._now(), address))
            return 0.0

    def succeed(self, address: str) -> None:
        """The password was right: forget the guesses of this address."""
        with self._lock:
            self._wrong = [guess for guess in self._wrong if guess[1] != address]

    def _wait(self, address: str) -> float:
        now = self._now()
        self._wrong = [guess for guess in self._wrong if guess[0] > now - WINDOW_S]
        own = [at for at, whose in self._wrong if whose == address]
        waits = [
            times[-most] + WINDOW_S - now
            for times, most in ((own, GUESSES), ([at for at, _ in self._wrong], EVERYBODYS_GUESSES))
            if len(times) >= most
        ]
        return max(waits, default=0.0)


_hashing = threading.Lock()
"""One hash at a time: each takes 32 MiB."""


def _hash(text: str, salt: bytes) -> bytes:
    with _hashing:
        return hashlib.scrypt(
            text.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=64 * 2**20, dklen=32
        )
