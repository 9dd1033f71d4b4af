"""Opening the registry that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry.core.backends import open_blobs, open_store
from registry.core.home import HomeLock, prepare_home
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.settings import Settings, load_settings


def open_registry(
    settings: Settings | None = None,
    *,
    wait: bool = False,
    say: Callable[[str], None] = lambda _: None,
    **given: Any,
) -> Registry:
    """Open the registry that the settings describe.

    Args:
        settings: where and what; by default read from `given` and the environment.
        wait: wait for another process that uses the registry, instead of raising.
        say: told whom it waits for, of an API key that travels unencrypted, and of a
            FACE_REGISTRY_MODEL that is not the registry's model, in sentences.
        given: fields of `Settings`, such as `home`.

    Raises:
        RegistryLocked: another process uses the home folder.
        StoreError: a store cannot be reached, refuses the credentials, or is damaged.
        UsageError: a setting is wrong.
    """
    settings = settings or load_settings(**given)
    prepare_home(settings.home)
    lock = HomeLock(settings.home) if settings.embedded else None
    if lock:
        lock.acquire(wait=wait, say=say)
    try:
        blobs = open_blobs(settings)
        lease = None if lock else Lease(blobs, wait=wait, say=say)
        store = open_store(settings, say=say)
        return Registry(settings, blobs, store, lock=lock, lease=lease, say=say)
    except BaseException:
        if lock:
            lock.release()
        raise
