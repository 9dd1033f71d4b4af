"""The index on a Qdrant server, one's own or in Qdrant Cloud."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from registry.errors import StoreCorrupt, StoreError, UsageError
from registry.store.base import CollectionSpec
from registry.store.server_calls import Address, call
from registry.store.server_collection import ServerCollection
from registry.store.shaping import check_name
from registry.system.certificates import is_loopback, tls_context

P = ParamSpec("P")
T = TypeVar("T")

_OVERSAMPLING = 2.0
"""Quantised neighbours fetched for each one wanted, before their true vectors are compared."""
_QUANTILE = 0.99
"""Vector values beyond it are cut off before they become 8-bit; Qdrant's guide recommends it."""


class ServerStore:
    """Collections named `prefix` + name on a server; threads and processes may share it.

    `shard_number`, `replication_factor`, `on_disk` (vectors and payloads are read from the disk
    and not kept in memory) and `quantization` ("scalar": 8-bit copies answer inexact queries, in a
    quarter of the memory) hold for collections that this creates. `ca_file` holds the certificates
    (PEM) of the authorities to trust instead of the usual ones. Times in seconds. `client`
    replaces `url` and `api_key` and stays the caller's to close. Raises `UsageError` for a URL that
    is none, `StoreUnreachable`, `StoreDenied` and `StoreFull` from any request.
    """

    keeps_deleted = False
    """Qdrant's optimizer rewrites segments; see SECURITY.md for when."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        prefix: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        shard_number: int | None = None,
        replication_factor: int | None = None,
        on_disk: bool = False,
        quantization: Literal["none", "scalar"] = "none",
        client: QdrantClient | None = None,
    ) -> None:
        self._prefix = check_name(prefix) if prefix else ""
        self._timeout_s = timeout_s
        self._shard_number = shard_number
        self._replication_factor = replication_factor
        self._on_disk = on_disk
        self._scalar = quantization == "scalar"
        self._closed = False
        self._own: QdrantClient | None = None
        self._in_memory = False
        self.exposed = ""
        """Where credentials go unencrypted to another machine; empty: nowhere."""
        if client is not None:
            # qdrant-client's own engine has no graph and no indexes, and warns when asked for them.
            self._in_memory = client.init_options.get("location") == ":memory:"
            self._where = "Qdrant in memory" if self._in_memory else "Qdrant"
            self._client = client
            return
        address = Address.parse(url)
        self._where = f"Qdrant at {address.url}"
        remote_http = address.url.startswith("http:") and not is_loopback(address.host)
        self.exposed = address.url if remote_http and (api_key or address.login) else ""
        self._client = self._own = QdrantClient(
            url=address.url,
            # As api_key= it would warn of plain http, which describe() says instead.
            headers={"api-key": api_key} if api_key else None,
            auth=httpx.BasicAuth(*address.login) if address.login else None,
            verify=_verified(address, ca_file),
            timeout=timeout_s,  # type: ignore[arg-type]  # rounded up to a whole number
            check_compatibility=False,  # it prints; the requests here are the same since 1.16
        )

    def describe(self) -> str:
        """One line for people, without credentials."""
        collections = f", collections {self._prefix}*" if self._prefix else ""
        exposed = ", to which the API key travels unencrypted" if self.exposed else ""
        return self._where + collections + exposed

    def has(self, name: str) -> bool:
        """Whether a collection of this name exists."""
        remote = self._remote(name)
        return self._call(self._client.collection_exists, remote)

    def open(self, spec: CollectionSpec) -> ServerCollection:
        """The collection, created if it does not exist.

        Raises `StoreCorrupt` if it exists with other vectors.
        """
        remote = self._remote(spec.name)
        if not self.has(spec.name):
            self._call(self._create, spec, remote)
        info = self._call(self._client.get_collection, remote)
        self._check(info, spec, remote)
        if not self._in_memory:
            for field in sorted(set(spec.keywords) - set(info.payload_schema)):
                self._call(
                    self._client.create_payload_index,
                    remote,
                    field,
                    models.PayloadSchemaType.KEYWORD,
                    wait=True,
                )
        exact, approximate = (None, None) if self._in_memory else self._search_params()
        # What a majority of replicas wrote, a majority of them has to be asked for: else a
        # face could miss those of the video before it. Counts know no such thing.
        replicated = _majority(info.config.params.replication_factor) is not None
        return ServerCollection(
            spec,
            remote,
            self._client,
            self._call,
            exact=exact,
            approximate=approximate,
            consistency=models.ReadConsistencyType.MAJORITY if replicated else None,
        )

    def drop(self, name: str) -> None:
        """Remove a collection and everything in it."""
        remote = self._remote(name)
        self._call(self._client.delete_collection, remote)

    def close(self) -> None:
        """Let go of the connections."""
        self._closed = True
        if self._own is not None:
            self._own.close()
            self._own = None

    def _remote(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise StoreError(f"{self._where} is closed")
        return call(lambda: method(*args, **kwargs), where=self._where, timeout_s=self._timeout_s)

    def _create(self, spec: CollectionSpec, remote: str) -> None:
        vectors: models.VectorParams | dict[str, models.VectorParams] = {}
        if spec.dimension is not None:
            vectors = models.VectorParams(
                size=spec.dimension, distance=models.Distance.COSINE, on_disk=self._on_disk
            )
        scalar = models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=_QUANTILE, always_ram=True
        )
        quantised = self._scalar and spec.dimension is not None
        try:
            self._client.create_collection(
                remote,
                vectors_config=vectors,
                shard_number=self._shard_number,
                replication_factor=self._replication_factor,
                write_consistency_factor=_majority(self._replication_factor),
                on_disk_payload=True if self._on_disk else None,
                quantization_config=(
                    models.ScalarQuantization(scalar=scalar) if quantised else None
                ),
            )
        except UnexpectedResponse as exc:
            # Another process was quicker, or an earlier try of ours whose answer was lost.
            if exc.status_code != 409:
                raise

    def _check(self, info: models.CollectionInfo, spec: CollectionSpec, remote: str) -> None:
        vectors = info.config.params.vectors
        if spec.dimension is None:
            found, fits = "vectors", not vectors
        elif isinstance(vectors, models.VectorParams):
            found = f"{vectors.distance} vectors of {vectors.size} values"
            fits = (vectors.size, vectors.distance) == (spec.dimension, models.Distance.COSINE)
        else:
            found, fits = "no unnamed vectors", False
        if not fits:
            wanted = "none" if spec.dimension is None else f"Cosine vectors of {spec.dimension}"
            raise StoreCorrupt(
                f"collection {remote} of {self._where} holds {found}, not {wanted}; run "
                "`face-registry reindex`, or set another QDRANT_PREFIX if it is not this registry's"
            )

    def _search_params(self) -> tuple[models.SearchParams, models.SearchParams]:
        """For comparing with every true vector, and for asking the graph."""
        exact = models.SearchParams(
            exact=True, quantization=models.QuantizationSearchParams(ignore=True)
        )
        if not self._scalar:
            return exact, models.SearchParams(exact=False)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING)
        return exact, models.SearchParams(exact=False, quantization=rescored)


def _majority(replicas: int | None) -> int | None:
    """How many replicas are more than half of them; None where there is but one."""
    return replicas // 2 + 1 if replicas is not None and replicas > 1 else None


def _verified(address: Address, ca_file: Path | None) -> ssl.SSLContext | bool:
    if address.url.startswith("https:"):
        return tls_context(ca_file)
    if ca_file is not None:
        raise UsageError(f"{ca_file} is for TLS, and {address.url} is to be reached without")
    return False
