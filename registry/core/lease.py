"""The lease: one writer at a time where objects and index are on servers.

The lease is an object that says which process may write, until when, and a number that only grows
(the fencing token). It is taken, renewed and released with conditional writes, so that of two
processes that try at the same time only one succeeds. A writer checks it as `registry.core.guarded`
describes, and changes nothing more once another process has taken it over. Readers need no lease.

The expiry is compared with the clock of another machine. A machine whose clock is ahead by more
than `TTL_S` can take over a lease that is in use. Its holder notices that at its next check and
stops; nothing that was committed is lost.
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

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing, RegistryLocked, StoreCorrupt, StoreError
from registry.system.process import is_alive, machine_id, process_at_host

TTL_S = 60.0
"""Seconds that a lease is valid for without being renewed, and thus how long a writer that died
blocks the next one. A chosen value: longer would tolerate longer outages of the store
(`registry.blobs.minio_client` says how long a request may take), and block longer after a crash."""
_RENEWALS = 4
"""Renewals within one time to live, so that three may fail."""
_POLL_S = 2.0
_READ_ATTEMPTS = 2
"""A lease that cannot be decoded may have been damaged in transit, so it is read again once."""
_UNCONDITIONAL_S = 3.0
"""Seconds to wait after writing a lease without conditional writes, to see whether another process
overwrote it."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The content of the object."""

    token: int = 0
    """Grows by one whenever another process takes the lease."""
    nonce: str = ""
    """Random, made by the holder; empty if the lease was released."""
    owner: str = ""
    """The holder, for people."""
    since: str = ""
    """ISO 8601, UTC."""
    expires: float = 0.0
    """Seconds since 1970."""
    machine: str = ""
    """Where `pid` is valid (`machine_id`); empty if not known."""
    pid: int = 0


_UNREADABLE = LeaseState()
"""The state of a lease that is there and cannot be read."""


class Lease:
    """The right to write to a registry. Threads may share it."""

    def __init__(
        self,
        blobs: BlobStore,
        *,
        wait: bool = False,
        say: Callable[[str], None] = lambda _: None,
        ttl_s: float = TTL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Does not take the lease.

        Args:
            blobs: where the lease lies; without a guard.
            wait: whether `acquire` waits for the holder by default.
            say: told for whom `acquire` waits, and if the store ignores conditions.
            ttl_s: seconds that the lease is valid for without being renewed.
            clock: seconds since 1970.
        """
        self._blobs, self._ttl_s, self._clock = blobs, ttl_s, clock
        self._wait, self._say = wait, say
        self._lock = threading.RLock()
        self._held: LeaseState | None = None
        self._tag: str | None = None
        self._good_until = 0.0
        """By `time.monotonic`, which does not change with the clock of the machine."""
        self._lost = ""
        self._ended = threading.Event()
        self.conditional = True
        """Whether the store honours conditional writes, as far as is known."""

    @property
    def held(self) -> bool:
        """Whether this process has taken the lease and not released it."""
        return self._held is not None

    @property
    def token(self) -> int:
        """The token under which this process holds the lease; 0 if it does not hold it."""
        return self._held.token if self._held else 0

    def current_token(self) -> int | None:
        """The token of the process that holds the lease now; None if no process does."""
        state, _ = self._load()
        return state.token if state.nonce and state.expires > self._clock() else None

    def acquire(self, *, wait: bool | None = None) -> LeaseState:
        """Take the lease and renew it from now on. Raises `RegistryLocked`, naming the holder."""
        wait = self._wait if wait is None else wait
        with self._lock:
            if self._held:
                return self._held
            # Before anything is written: readers that may not write look whether they need to.
            if not wait and (holder := self._holder(self._load()[0])) is not None:
                raise RegistryLocked(_again(holder))
            self.conditional = self._probe()
            if not self.conditional:
                self._say(
                    f"warning: {self._blobs.describe()} ignores conditional writes, so two "
                    "processes that start within seconds of each other may both write. Start one "
                    "at a time."
                )
            told = False
            while (holder := self._try()) is not None:
                if not wait:
                    raise RegistryLocked(_again(holder))
                if not told:
                    self._say(f"waiting: {_in_use(holder)}")
                    told = True
                time.sleep(min(_POLL_S, self._ttl_s / _RENEWALS))
            assert self._held is not None
            self._ended.clear()
            threading.Thread(target=self._renewing, name="lease", daemon=True).start()
            return self._held

    def check(self) -> None:
        """Return if this process holds the lease.

        Raises `RegistryLocked` if it does not, and `StoreCorrupt` if the lease cannot be read.
        """
        with self._lock:
            if self._held is None:
                raise RegistryLocked(
                    "This process does not hold the lease of the registry. Begin the change with "
                    "`with registry.writing():`."
                )
            if not self._lost:
                state, _ = self._load()
                if state is _UNREADABLE:
                    raise StoreCorrupt(
                        f"{keys.LEASE} of {self._blobs.describe()} cannot be read: it was damaged "
                        "in the store or in transit. What was committed is kept. Run the same "
                        "command again to continue."
                    )
                if state.nonce != self._held.nonce:
                    self._lost = f"was taken over by {state.owner or 'another process'}"
                elif time.monotonic() >= self._good_until:
                    self._lost = "ran out before it could be renewed"
            if self._lost:
                raise RegistryLocked(
                    f"The lease of this process on the registry {self._lost}. This process writes "
                    "nothing more; what it has committed is kept. Run the same command again to "
                    "continue."
                )

    def release(self) -> None:
        """Release the lease. Releasing it twice, or after losing it, is fine."""
        self._ended.set()
        with self._lock:
            held, self._held = self._held, None
            if held is None or self._lost:
                return
            self._save(replace(held, nonce="", expires=0.0), self._tag)

    def _holder(self, state: LeaseState) -> LeaseState | None:
        """The state if a process that may be alive holds the lease by it, else None."""
        free = not state.nonce or state.expires <= self._clock() or _has_ended(state)
        return None if free else state

    def _try(self) -> LeaseState | None:
        """Take the lease if it is free. Otherwise returns its state."""
        state, tag = self._load()
        if (holder := self._holder(state)) is not None:
            return holder
        now = self._clock()
        mine = LeaseState(
            token=state.token + 1,
            nonce=secrets.token_hex(8),
            owner=process_at_host(),
            since=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
            expires=now + self._ttl_s,
            machine=machine_id(),
            pid=os.getpid(),
        )
        started = time.monotonic()
        written = self._save(mine, tag)
        if written is not None and not self.conditional:
            time.sleep(min(_UNCONDITIONAL_S, self._ttl_s / _RENEWALS))
            state, written = self._load()
            written = written if state.nonce == mine.nonce else None
        if written is None:
            return self._load()[0]
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
                    tag = self._save(renewed, self._tag)
                    state = self._load()[0] if tag is None else renewed
                except StoreError:
                    continue  # it is renewed again before it expires
                if tag is None:
                    self._lost = f"was taken over by {state.owner or 'another process'}"
                    return
                self._held, self._tag = renewed, tag
                self._good_until = started + self._ttl_s

    def _load(self) -> tuple[LeaseState, str | None]:
        tag: str | None = None
        for _ in range(_READ_ATTEMPTS):
            try:
                data, tag = self._blobs.get_tagged(keys.LEASE)
            except ObjectMissing:
                return LeaseState(), None
            with suppress(ValueError, TypeError):
                return LeaseState(**json.loads(data)), tag
        return _UNREADABLE, tag  # free: the next process that takes the lease overwrites it

    def _save(self, state: LeaseState, expected: str | None) -> str | None:
        """The new tag, or None if another process was quicker."""
        data = json.dumps(asdict(state), sort_keys=True).encode()
        tag = self._blobs.put_if(keys.LEASE, data, expected)
        if tag is None:
            # A write whose answer was lost is repeated, and then finds its own state there.
            there, tag = self._load()
            return tag if there == state else None
        return tag

    def _probe(self) -> bool:
        """Whether the store honours both conditions of `put_if`."""
        key = f"{keys.LEASE_PROBES}{secrets.token_hex(8)}"
        try:
            tag = self._blobs.put_if(key, b"1", None)
            refused = self._blobs.put_if(key, b"2", None) is None
            kept = tag is not None and self._blobs.put_if(key, b"3", tag) is not None
            stale = tag is None or self._blobs.put_if(key, b"4", tag) is None
            return refused and kept and stale
        finally:
            self._blobs.delete(key)


def _has_ended(state: LeaseState) -> bool:
    """Whether the holder was a process of this machine that has ended, so the lease is free."""
    here = state.machine and state.machine == machine_id()
    return bool(here) and not is_alive(state.pid)


def _again(holder: LeaseState) -> str:
    return f"{_in_use(holder)} Run it again with --wait, or later."


def _in_use(state: LeaseState) -> str:
    until = datetime.fromtimestamp(state.expires, UTC).isoformat(timespec="seconds")
    return (
        f"The registry is in use by {state.owner or 'another process'} since {state.since} (its "
        f"lease is renewed while it works, and is now valid until {until})."
    )
