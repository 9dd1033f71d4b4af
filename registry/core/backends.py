"""The object store, the index and the model that the settings choose.

An implementation is imported only when it is chosen, since importing a client library that is not
used would cost every command half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from registry.blobs.base import BlobStore
from registry.core.contract import ModelChoice, choose_model
from registry.domain import Contract, ModelInfo
from registry.models import catalogue
from registry.models.base import FaceModel
from registry.settings import Accuracy, Settings
from registry.store.base import Store

if TYPE_CHECKING:
    from registry.blobs.minio_presigned import Buckets


def open_blobs(settings: Settings, *, read_only: bool = False) -> BlobStore:
    """Open the object store: the S3 server of MINIO_ENDPOINT, or else a folder in the home.

    With `read_only`, opening a folder changes nothing in it.
    """
    if settings.minio_endpoint is None:
        from registry.blobs.folder import FolderStore
        from registry.blobs.folder_swap import recover_folder

        root = settings.home / "objects"
        if not read_only:
            recover_folder(root)
        return FolderStore(root, read_only=read_only)
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
    """The buckets of the S3 server of MINIO_ENDPOINT, to read videos from; None if not set."""
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
    """Open the index: the Qdrant server of QDRANT_URL, or else Qdrant Edge in the home.

    `say` gets a warning if the API key is sent unencrypted.
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
            f"warning: The API key is sent unencrypted to {store.exposed}, so others can read it. "
            "Give QDRANT_URL an https:// address."
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


def load_model(settings: Settings, source: str, *, accuracy: Accuracy = "exact") -> FaceModel:
    """Load the model that `source` names, on the device of the settings.

    Raises what `registry.models.catalogue.load` raises.
    """
    return catalogue.load(
        source, device=settings.device, cache=settings.model_cache, accuracy=accuracy
    )


def find_model(settings: Settings, source: str) -> ModelInfo | None:
    """What the model that `source` names is, without loading it; None if it has to be loaded.

    If a device is asked for, it has to: that tells whether the device can be used.

    Raises what `registry.models.catalogue.info` raises.
    """
    if settings.device not in _ALWAYS_THERE:
        return None
    return catalogue.info(source, cache=settings.model_cache)


_ALWAYS_THERE = ("auto", "cpu")
"""Devices that every machine has."""
