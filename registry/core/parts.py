"""Settings to parts: which object store, which index, and the lock on the home folder.

An implementation is imported when it is chosen: a client library that is not used costs half a
second of every command otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from registry.blobs.base import BlobStore
from registry.core.contract import ModelChoice, choose_model
from registry.domain import Contract
from registry.errors import RegistryLocked, StoreDenied
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.settings import Settings
from registry.store.base import Store

if TYPE_CHECKING:
    from registry.blobs.minio_presigned import Buckets


def open_blobs(settings: Settings) -> BlobStore:
    """The object store: a folder in the home, or the S3 server of MINIO_ENDPOINT."""
    if settings.minio_endpoint is None:
        from registry.blobs.folder import FolderStore
        from registry.blobs.folder_swap import recover_folder

        recover_folder(settings.home / "objects")
        return FolderStore(settings.home / "objects")
    from registry.blobs.minio_store import MinioStore

    access, secret = settings.minio_access_key, settings.minio_secret_key
    return MinioStore(
        settings.minio_endpoint,
        access.get_secret_value() if access else "",
        secret.get_secret_value() if secret else "",
        settings.minio_bucket,
        secure=settings.minio_secure,
        region=settings.minio_region,
        ca_file=settings.minio_ca_file,
        timeout_s=settings.timeout_s,
    )


def open_buckets(settings: Settings) -> Buckets | None:
    """Any bucket of the S3 server of MINIO_ENDPOINT, to read videos from; None without one."""
    if settings.minio_endpoint is None:
        return None
    from registry.blobs.minio_presigned import Buckets

    access, secret = settings.minio_access_key, settings.minio_secret_key
    return Buckets(
        settings.minio_endpoint,
        access.get_secret_value() if access else "",
        secret.get_secret_value() if secret else "",
        secure=settings.minio_secure,
        region=settings.minio_region,
        ca_file=settings.minio_ca_file,
        timeout_s=settings.timeout_s,
    )


def open_store(settings: Settings, *, say: Callable[[str], None] = lambda _: None) -> Store:
    """The index: Qdrant Edge in the home, or the Qdrant server of QDRANT_URL.

    `say` is told if the API key travels where others can read it.
    """
    if settings.qdrant_url is None:
        from registry.store.edge import EdgeStore

        return EdgeStore(settings.home / "index")
    from registry.store.server import ServerStore

    key = settings.qdrant_api_key
    store = ServerStore(
        settings.qdrant_url,
        key.get_secret_value() if key else None,
        ca_file=settings.qdrant_ca_file,
        timeout_s=settings.timeout_s,
        prefix=settings.qdrant_prefix,
        shard_number=settings.qdrant_shards,
        replication_factor=settings.qdrant_replicas,
        on_disk=settings.qdrant_on_disk,
        quantization=settings.qdrant_quantization,
    )
    if store.exposed:
        say(
            f"warning: the API key travels unencrypted to {store.exposed}, for everyone on "
            "the way to read; give QDRANT_URL an https:// address"
        )
    return store


def model_choice(settings: Settings, asked: str | None, contract: Contract | None) -> ModelChoice:
    """The model to load for a registry: `choose_model`, with what the settings say."""

    def full(source: str | None) -> str | None:
        return catalogue.full_source(source) if source else None

    return choose_model(
        full(asked),
        contract,
        full(settings.model),
        lambda source: catalogue.is_present(source, settings.model_cache),
    )


def load_model(settings: Settings, source: str) -> FaceModel:
    """Load the model that `source` names, on the device of the settings.

    Raises what `registry.models.catalogue.load` raises.
    """
    return catalogue.load(source, device=settings.device, cache=settings.model_cache)


def prepare_home(home: Path) -> None:
    """Create the home folder, readable by its owner alone: what lies in it is biometric data."""
    with _usable(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)


@contextmanager
def _usable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        at = f" at {exc.filename}" if exc.filename and Path(exc.filename) != home else ""
        raise StoreDenied(
            f"the home folder {home} cannot be used ({exc.strerror}{at}); "
            "choose another with --home or FACE_REGISTRY_HOME"
        ) from exc


class HomeLock:
    """One process at a time in a home folder; the system lets go when the process ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = FileLock(home / "lock", mode=0o600, thread_local=False)
        self._holder = home / "lock.json"

    def acquire(self, *, wait: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
        """Take the lock. Raises `RegistryLocked`, naming the holder.

        With `wait`, waits until it is free instead, and says once for whom.
        """
        with _usable(self._home):
            try:
                self._lock.acquire(timeout=0)
            except Timeout as exc:
                in_use = f"the registry at {self._home} is in use{self._who()}"
                if not wait:
                    raise RegistryLocked(
                        f"{in_use}; wait until that is done, or use another --home"
                    ) from exc
                say(f"waiting: {in_use}")
                self._lock.acquire(timeout=-1)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # a full disk: the lock holds all the same
            self._holder.write_text(json.dumps({"pid": os.getpid(), "since": since}))

    def check(self) -> None:
        """Return if this process holds the lock. Raises `RegistryLocked` if it does not."""
        if not self._lock.is_locked:
            raise RegistryLocked(
                f"This process no longer holds the lock on {self._home}, since the registry was "
                "closed. Open it again."
            )

    def release(self) -> None:
        """Let go; releasing twice is fine."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _who(self) -> str:
        try:
            holder = json.loads(self._holder.read_text())
            return f" by process {holder['pid']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return " by another process"
