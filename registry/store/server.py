"""The index on a Qdrant server, one's own or in Qdrant Cloud."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from registry.errors import StoreCorrupt, StoreError, UsageError
from registry.store.base import CollectionSpec, Filter, Payload, Point
from registry.store.collection import (
    SEARCHED,
    EngineCollection,
    check_name,
    plain_vector,
    texts,
)
from registry.store.server_calls import Address, call
from registry.system.certificates import is_loopback, tls_context

P = ParamSpec("P")
T = TypeVar("T")

_OVERSAMPLING = 2.0
"""Quantised neighbours to fetch for each requested one, before full vectors are compared."""
_QUANTILE = 0.99
"""Vector values beyond this quantile are clipped when they become 8-bit; 0.99 is the value that
Qdrant's quantization guide recommends."""


class ServerStore:
    """Collections named `prefix` + name on a server; threads and processes may share it.

    `shard_number`, `replication_factor`, `on_disk` (vectors and payloads are read from the disk
    instead of memory) and `quantization` ("scalar": 8-bit copies for inexact queries, in a quarter
    of the memory) apply to collections that this creates. `ca_file` has the certificates (PEM) of
    the authorities to trust instead of the usual ones. `client` replaces `url` and `api_key`; the
    caller closes it. Raises `UsageError` for an invalid URL, and `StoreUnreachable`, `StoreDenied`
    or `StoreFull` from any request.
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
        """The address to which credentials are sent unencrypted; empty if there is none."""
        if client is not None:
            # qdrant-client's own engine has neither graph nor indexes, and warns about requests
            # for them.
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
            # With api_key= the client warns about plain http, which describe() reports instead.
            headers={"api-key": api_key} if api_key else None,
            auth=httpx.BasicAuth(*address.login) if address.login else None,
            verify=_verified(address, ca_file),
            timeout=timeout_s,  # type: ignore[arg-type]  # rounded up to a whole number
            check_compatibility=False,  # prints; the requests here are the same since 1.16
        )

    def describe(self) -> str:
        """One line for messages, without credentials."""
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
        # Writes are confirmed by a majority of replicas, so reads must ask a majority too: else a
        # face could miss those of the video before it. Counts have no such option.
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
        """Close the connections."""
        self._closed = True
        if self._own is not None:
            self._own.close()
            self._own = None

    def _remote(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise StoreError(f"{self._where} is closed. Open it again.")
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
            # Another process created it, or an earlier attempt whose answer was lost.
            if exc.status_code != 409:
                raise

    def _check(self, info: models.CollectionInfo, spec: CollectionSpec, remote: str) -> None:
        vectors = info.config.params.vectors
        if spec.dimension is None:
            content, fits = "vectors", not vectors
        elif isinstance(vectors, models.VectorParams):
            content = f"{vectors.distance} vectors of {vectors.size} values"
            fits = (vectors.size, vectors.distance) == (spec.dimension, models.Distance.COSINE)
        else:
            content, fits = "no unnamed vectors", False
        if not fits:
            expected = "none" if spec.dimension is None else f"Cosine vectors of {spec.dimension}"
            raise StoreCorrupt(
                f"Collection {remote} of {self._where} holds {content}, not {expected}. Run "
                "`face-registry reindex`, or set another QDRANT_PREFIX if it is another registry's."
            )

    def _search_params(self) -> tuple[models.SearchParams, models.SearchParams]:
        """Parameters of exact queries, and of queries that use the graph."""
        exact = models.SearchParams(
            exact=True, quantization=models.QuantizationSearchParams(ignore=True)
        )
        if not self._scalar:
            return exact, models.SearchParams(exact=False, hnsw_ef=SEARCHED)
        rescored = models.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING)
        return exact, models.SearchParams(exact=False, hnsw_ef=SEARCHED, quantization=rescored)


class Calls(Protocol):
    """Calls a method of the client, with retries; failures are raised as `StoreError`."""

    def __call__(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the method returns."""


class ServerCollection(EngineCollection):
    """One collection; `remote` is its name on the server. Created by `ServerStore.open`.

    Every write returns when the server has applied it.
    """

    BATCH_POINTS = 256
    BATCH_BYTES = 8 * 2**20
    """A quarter of a server's limit for a request (32 MiB by default)."""
    VALUE_BYTES = 22
    """One float32 in JSON, at most: -1.2345678901234567e-08 and a comma less two."""
    BATCH_QUERIES = 64
    """64 exact queries against 1,000,000 faces of 512-d are 33 billion products: seconds, which the
    time-out allows."""
    SPARE_HITS = 1
    """More hits would be transferred with their payloads, or need a second request for these."""

    def __init__(
        self,
        spec: CollectionSpec,
        remote: str,
        client: QdrantClient,
        calls: Calls,
        *,
        exact: models.SearchParams | None,
        approximate: models.SearchParams | None,
        consistency: models.ReadConsistencyType | None = None,
    ) -> None:
        super().__init__(spec)
        self._remote = remote
        self._client = client
        self._call = calls
        self._exact = exact
        self._approximate = approximate
        self._consistency = consistency

    def flush(self) -> None:
        """Does nothing: each write returned when the server had applied and logged it.

        Qdrant has no request that syncs its log to the disk; it does so every few seconds.
        """

    def optimize(self) -> None:
        """Does nothing: a server builds its graph index by itself."""

    def _write(self, points: Sequence[Point], size: int) -> None:
        entries = [
            models.PointStruct(id=p.id, vector=plain_vector(p.vector), payload=dict(p.payload))
            for p in points
        ]
        self._call(self._client.upsert, self._remote, entries, wait=True)

    def _nearest(
        self,
        vectors: Sequence[list[float]],
        limit: int,
        where: Filter | None,
        *,
        exact: bool,
        with_payload: bool | list[str],
    ) -> list[list[models.ScoredPoint]]:
        condition, params = _server_filter(where), self._exact if exact else self._approximate
        requests = [
            models.QueryRequest(
                query=vector,
                filter=condition,
                params=params,
                limit=limit,
                with_payload=with_payload,
            )
            for vector in vectors
        ]
        answers = self._call(
            self._client.query_batch_points,
            self._remote,
            requests,
            consistency=self._consistency,
        )
        return [answer.points for answer in answers]

    def _retrieve(self, ids: Sequence[str], *, with_vectors: bool) -> list[models.Record]:
        return self._call(
            self._client.retrieve,
            self._remote,
            ids,
            with_payload=True,
            with_vectors=with_vectors,
            consistency=self._consistency,
        )

    def _page(
        self, where: Filter | None, offset: Any, limit: int, *, with_vectors: bool
    ) -> tuple[list[models.Record], Any]:
        return self._call(
            self._client.scroll,
            self._remote,
            _server_filter(where),
            limit=limit,
            offset=offset,
            with_payload=True,
            with_vectors=with_vectors,
            consistency=self._consistency,
        )

    def _set(self, payload: Payload, size: int, where: Filter) -> None:
        fields, condition = dict(payload), _server_filter(where)
        self._call(self._client.set_payload, self._remote, fields, condition, wait=True)

    def _delete(self, where: Filter) -> None:
        chosen = models.FilterSelector(filter=_server_filter(where))
        self._call(self._client.delete, self._remote, chosen, wait=True)

    def _count(self, where: Filter | None) -> int:
        condition = _server_filter(where)
        return self._call(self._client.count, self._remote, condition, exact=True).count


def _server_filter(where: Filter | None) -> models.Filter:
    """The filter in the server's form."""
    where = where or Filter()
    must: list[models.Condition] = [_condition(f, values) for f, values in where.must.items()]
    must_not: list[models.Condition] = [
        _condition(field, values) for field, values in where.must_not.items() if values
    ]
    return models.Filter(must=must or None, must_not=must_not or None)


def _condition(field: str, values: Sequence[str]) -> models.FieldCondition:
    """The condition that a field has one of the values."""
    return models.FieldCondition(key=field, match=models.MatchAny(any=texts(values)))


def _majority(replicas: int | None) -> int | None:
    """The smallest majority of the replicas; None for a single one."""
    return replicas // 2 + 1 if replicas is not None and replicas > 1 else None


def _verified(address: Address, ca_file: Path | None) -> ssl.SSLContext | bool:
    if address.url.startswith("https:"):
        return tls_context(ca_file)
    if ca_file is not None:
        raise UsageError(
            f"{ca_file} (QDRANT_CA_FILE) is for TLS, and {address.url} does not use it. Write "
            "https:// in QDRANT_URL, or remove QDRANT_CA_FILE."
        )
    return False
