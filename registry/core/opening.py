"""Opening the registry that the settings describe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from registry.core.backends import open_blobs, open_store
from registry.core.guarded import ReadOnly
from registry.core.home import HomeLock, check_home, holder_of, prepare_home
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.core.snapshot import empty_snapshot, index_in_memory, snapshot_of, take_snapshot
from registry.errors import RegistryLocked
from registry.settings import Settings, load_settings
from registry.store.base import Store


def open_registry(
    settings: Settings | None = None,
    *,
    wait: bool = False,
    read_only: bool = False,
    say: Callable[[str], None] = lambda _: None,
    **given: Any,
) -> Registry:
    """Open the registry that the settings describe.

    If this process has it open already, with the same settings, that registry is returned; it is
    closed when it was closed as often as it was opened.

    Args:
        settings: where and what; by default read from `given` and the environment.
        wait: wait for another process that uses the registry, instead of raising.
        read_only: open a snapshot of what is committed now, without a lock, so that it works while
            another process has the registry open, and locks nobody out. Nothing can be changed, and
            later changes are not seen. Where everything is on servers, it makes no difference,
            since reading needs no lock there.
        say: told whom it waits for, of an API key that travels unencrypted, and of a
            FACE_REGISTRY_MODEL that is not the registry's model, in sentences.
        given: fields of `Settings`, such as `home`.

    Raises:
        RegistryLocked: another process uses the home folder.
        StoreError: a store cannot be reached, refuses the credentials, or is damaged.
        UsageError: a setting is wrong.
    """
    settings = settings or load_settings(**given)
    if not settings.embedded:
        prepare_home(settings.home)
        blobs = open_blobs(settings)
        lease = Lease(blobs, wait=wait, say=say)
        return Registry(settings, blobs, open_store(settings, say=say), lease=lease, say=say)
    if read_only:
        return open_snapshot(settings, say=say)
    home = settings.home.absolute()
    with _opening:
        registry, lock = _open.get(home), _locks.get(home)
        if registry and lock and lock.is_held and registry.settings == settings:
            lock.share()
            return registry
    return _open_embedded(settings, wait=wait, say=say)


_opening = Lock()
_open: WeakValueDictionary[Path, Registry] = WeakValueDictionary()
"""Registries that this process has open, by home folder; one that nobody refers to is gone."""
_locks: WeakValueDictionary[Path, HomeLock] = WeakValueDictionary()


def _open_embedded(settings: Settings, *, wait: bool, say: Callable[[str], None]) -> Registry:
    home = settings.home.absolute()
    prepare_home(settings.home)
    lock = HomeLock(settings.home)
    lock.acquire(wait=wait, say=say)
    try:
        blobs, store = open_blobs(settings), open_store(settings, say=say)
        registry = Registry(settings, blobs, store, lock=lock, say=say)
    except BaseException:
        lock.release()
        raise
    with _opening:
        _open[home], _locks[home] = registry, lock
    return registry


def open_to_read(
    settings: Settings,
    *,
    while_locked: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Registry:
    """Open a registry for a command that only reads.

    As `open_registry`, if the home folder can be written and no other process uses it. Otherwise
    this opens a snapshot (`open_snapshot`), and says so. If there is nothing in the home folder, no
    folder is created, and the registry is empty.

    Args:
        settings: where and what.
        while_locked: whether to read while another process uses the registry.
        say: as for `open_registry`.

    Raises what `open_registry` raises; `RegistryLocked` only as `open_snapshot` does, unless
    `while_locked` is false.
    """
    if not settings.embedded:
        return open_registry(settings, say=say)
    home = settings.home
    if not _is_there(settings):
        check_home(home)
        return open_snapshot(settings, say=say)
    unwritable = [
        place
        for place in (home, home / "objects", home / "index")
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK)
    ]
    if unwritable:
        reason = f"this process may not write in {unwritable[0]}"
    else:
        try:
            return open_registry(settings, say=say)
        except RegistryLocked:
            if not while_locked:
                raise
            reason = f"the registry at {home} is in use by {holder_of(home)}"
    registry = open_snapshot(settings, reason=reason, say=say)
    taken = snapshot_of(registry)
    if taken is not None:
        say(
            f"snapshot: what was committed by {taken.taken_at:%Y-%m-%d %H:%M:%S} UTC is shown, "
            f"because {reason}."
        )
    return registry


def open_snapshot(
    settings: Settings,
    *,
    reason: str = "it was opened with read_only",
    say: Callable[[str], None] = lambda _: None,
) -> Registry:
    """Open a snapshot of a registry that is, at least in part, in the home folder.

    It is read from the objects and changes nothing. See `registry.core.snapshot`.

    Args:
        settings: where and what.
        reason: why it cannot be changed, for the error of whoever tries to.
        say: as for `open_registry`.

    Raises:
        RegistryLocked: another process is in the middle of an erasure or of a change of the model.
        StoreError: the objects cannot be read.
    """
    store: Store
    if _is_there(settings):
        taken = take_snapshot(lambda: open_blobs(settings, read_only=True))
        store = index_in_memory(taken)
    else:
        taken = empty_snapshot(f"folder {settings.home / 'objects'}")
        store = open_store(settings, say=say)  # which only tells where the index will be
    lock = ReadOnly(
        f"The registry at {settings.home} can only be read here, because {reason}. Open it again "
        "to change it."
    )
    return Registry(settings, taken, store, lock=lock, say=say)


def _is_there(settings: Settings) -> bool:
    """Whether there are objects: on a server, or in a folder, which a restore may be replacing."""
    if settings.minio_endpoint is not None:
        return True
    return any((settings.home / name).exists() for name in ("objects", ".objects.old"))
