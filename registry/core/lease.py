"""One writer at a time where everything is on servers: a lease, which is an object beside the rest.

The object says who writes, until when, and a number that only grows (the fencing token). It is
taken, renewed and given back with conditional writes, so of two that try at once one succeeds. A
writer looks at it before each change; one whose lease was taken over changes nothing more. Readers
need none.

Clocks are compared across machines: one that is ahead by more than `TTL_S` can take over a lease
that is in use. That stops the run of its holder, who finds out before the next write; nothing is
lost by it.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing, RegistryLocked, StoreCorrupt, StoreError
from registry.system.process import process_at_host

TTL_S = 60.0
"""A holder that died is waited for so long. Longer than a store that has trouble keeps a request
(`registry.blobs.minio_client`) would be safer still, and a crash would then block longer."""
_RENEWALS = 4
"""Renewals within one time to live: three may fail."""
_POLL_S = 2.0
_READINGS = 2
"""A lease that cannot be understood may have changed on the way; twice, it is what lies there."""
_UNCONDITIONAL_S = 3.0
"""Without conditional writes, how long one waits to see whether another wrote after oneself."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the object says."""

    token: int = 0
    """Grows by one whenever another takes the lease."""
    nonce: str = ""
    """Of the one who holds it; empty: it was given back."""
    owner: str = ""
    since: str = ""
    """ISO 8601, UTC."""
    expires: float = 0.0
    """Seconds since 1970."""
    machine: str = ""
    """Where the process is known by its number: this boot of a machine, and PID namespace; empty
    where that cannot be told."""
    pid: int = 0


_UNREADABLE = Holding()
"""Stands for a lease that is there and cannot be read."""


class Lease:
    """The right to change a registry. Threads may share it."""

    def __init__(
        self,
        blobs: BlobStore,
        *,
        wait: bool = False,
        say: Callable[[str], None] = lambda _: None,
        ttl_s: float = TTL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """With `wait`, `acquire` waits until whoever holds it is done.

        `say` is told whom it waits for, and if the store takes no notice of conditions. `clock`
        gives seconds since 1970.
        """
        self._blobs, self._ttl_s, self._clock = blobs, ttl_s, clock
        self._wait, self._say = wait, say
        self._lock = threading.RLock()
        self._held: Holding | None = None
        self._tag: str | None = None
        self._good_until = 0.0
        """By `time.monotonic`, which no one sets back."""
        self._lost = ""
        self._ended = threading.Event()
        self.conditional = True
        """Whether the store honours conditions, as far as is known."""

    @property
    def held(self) -> bool:
        """Whether this process took it and has not given it back."""
        return self._held is not None

    @property
    def token(self) -> int:
        """The token under which this process holds it; 0 if it does not."""
        return self._held.token if self._held else 0

    def working(self) -> int | None:
        """The token of whoever holds it now, in any process; None if nobody does."""
        found, _ = self._read()
        return found.token if found.nonce and found.expires > self._clock() else None

    def acquire(self, *, wait: bool | None = None) -> Holding:
        """Take the lease, and renew it from now on. Raises `RegistryLocked`, naming the holder."""
        wait = self._wait if wait is None else wait
        with self._lock:
            if self._held:
                return self._held
            self.conditional = self._probe()
            if not self.conditional:
                self._say(
                    f"warning: {self._blobs.describe()} takes no notice of conditional writes, so "
                    "two runs that start within seconds may both go on; start one at a time"
                )
            told = False
            while (holder := self._try()) is not None:
                if not wait:
                    raise RegistryLocked(f"{_in_use(holder)}; run again with --wait, or later")
                if not told:
                    self._say(f"waiting: {_in_use(holder)}")
                    told = True
                time.sleep(min(_POLL_S, self._ttl_s / _RENEWALS))
            assert self._held is not None
            self._ended.clear()
            threading.Thread(target=self._renewing, name="lease", daemon=True).start()
            return self._held

    def check(self) -> None:
        """Return if this process may write.

        Raises `RegistryLocked` once it may not any more, `StoreCorrupt` if that cannot be told.
        """
        with self._lock:
            if self._held is None:
                raise RegistryLocked("this process does not hold the registry's lease")
            if not self._lost:
                found, _ = self._read()
                if found is _UNREADABLE:
                    raise StoreCorrupt(
                        f"{keys.LEASE} of {self._blobs.describe()} cannot be read: it is damaged, "
                        "there or on its way; what was committed stays, and running it again "
                        "goes on"
                    )
                if found.nonce != self._held.nonce:
                    self._lost = f"was taken over by {found.owner or 'another'}"
                elif time.monotonic() >= self._good_until:
                    self._lost = "ran out before it could be renewed"
            if self._lost:
                raise RegistryLocked(
                    f"the lease of this process on the registry {self._lost}: it writes nothing "
                    "more; what it committed stays, and running it again goes on from there"
                )

    def release(self) -> None:
        """Give it back; releasing twice is fine, and so is one that was lost."""
        self._ended.set()
        with self._lock:
            held, self._held = self._held, None
            if held is None or self._lost:
                return
            given_back = replace(held, nonce="", expires=0.0)
            self._write(given_back, self._tag)

    def _try(self) -> Holding | None:
        """Take it if it is free. Returns whoever holds it otherwise."""
        found, tag = self._read()
        if found.nonce and found.expires > self._clock() and not _ended(found):
            return found
        now = self._clock()
        mine = Holding(
            token=found.token + 1,
            nonce=secrets.token_hex(8),
            owner=process_at_host(),
            since=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
            expires=now + self._ttl_s,
            machine=_machine(),
            pid=os.getpid(),
        )
        started = time.monotonic()
        written = self._write(mine, tag)
        if written is not None and not self.conditional:
            time.sleep(min(_UNCONDITIONAL_S, self._ttl_s / _RENEWALS))
            found, written = self._read()
            written = written if found.nonce == mine.nonce else None
        if written is None:
            return self._read()[0]
        self._held, self._tag, self._lost = mine, written, ""
        self._good_until = started + self._ttl_s
        return None

    def _renewing(self) -> None:
        while not self._ended.wait(self._ttl_s / _RENEWALS):
            with self._lock:
                if self._held is None or self._lost:
                    return
                started = time.monotonic()
                renewed = replace(self._held, expires=self._clock() + self._ttl_s)
                try:
                    tag = self._write(renewed, self._tag)
                    found = self._read()[0] if tag is None else renewed
                except StoreError:
                    continue  # there are more renewals before it runs out
                if tag is None:
                    self._lost = f"was taken over by {found.owner or 'another'}"
                    return
                self._held, self._tag = renewed, tag
                self._good_until = started + self._ttl_s

    def _read(self) -> tuple[Holding, str | None]:
        tag: str | None = None
        for _ in range(_READINGS):
            try:
                data, tag = self._blobs.get_tagged(keys.LEASE)
            except ObjectMissing:
                return Holding(), None
            with suppress(ValueError, TypeError):
                return Holding(**json.loads(data)), tag
        return _UNREADABLE, tag  # nobody's; the next one writes it anew

    def _write(self, holding: Holding, expected: str | None) -> str | None:
        """The new tag, or None if another was quicker."""
        data = json.dumps(asdict(holding), sort_keys=True).encode()
        tag = self._blobs.put_if(keys.LEASE, data, expected)
        if tag is None:
            # A write whose answer was lost is repeated, and then meets itself.
            found, tag = self._read()
            return tag if found == holding else None
        return tag

    def _probe(self) -> bool:
        """Whether the store honours both conditions."""
        key = f"{keys.LEASE_PROBES}{secrets.token_hex(8)}"
        try:
            tag = self._blobs.put_if(key, b"1", None)
            refused = self._blobs.put_if(key, b"2", None) is None
            kept = tag is not None and self._blobs.put_if(key, b"3", tag) is not None
            stale = tag is None or self._blobs.put_if(key, b"4", tag) is None
            return refused and kept and stale
        finally:
            self._blobs.delete(key)


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""  # no Linux: then a lease runs out by its time alone


def _ended(holder: Holding) -> bool:
    """Whether its holder was a process of this machine that is no more, so nobody need wait."""
    if not holder.machine or holder.machine != _machine():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's
    return False


def _in_use(holder: Holding) -> str:
    until = datetime.fromtimestamp(holder.expires, UTC).isoformat(timespec="seconds")
    return (
        f"the registry is in use by {holder.owner or 'another'} since {holder.since} (its lease is "
        f"renewed as it works, and now good until {until})"
    )
