"""The workload on servers, with faults on the way to them.

Objects on a real S3 server, the index on qdrant-client's engine behind HTTP, both through a proxy
and with the clients that users have. Each strike begins with what the servers held when nothing
went wrong.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from qdrant_client import models

from registry.blobs.minio_store import MinioStore
from registry.core import keys
from registry.core.lease import Lease
from registry.core.registry import Registry
from registry.errors import RegistryError, StoreError
from registry.settings import load_settings
from registry.store.server import ServerStore
from tests.faults.harness import Outcome, Strike, difference
from tests.faults.network import ONLY_LASTING, ONLY_ONCE, STATUS, Net, Proxy, proxied
from tests.faults.workload import STEPS, dump
from tests.support.qdrant_served import Served, serve_qdrant
from tests.support.weed import S3Server, start_weed

BUCKET = "faults"
LASTING = ", from then on"
_LEASE_S = 61
_PATIENCE_S = 1.0
"""Time-out of the clients that are struck, so that a server that hangs is given up soon."""


@dataclass(frozen=True)
class Standing:
    """Everything that both servers hold for a registry."""

    objects: dict[str, bytes]
    collections: dict[str, tuple[Any, dict[str, Any], list[models.PointStruct]]]
    """Vectors, payload indexes and points, by name."""


@dataclass
class Rig:
    """Two servers, and the ways to them."""

    s3: S3Server
    qdrant: Served
    ways: dict[str, Proxy]
    home: Path
    before: list[Standing] = field(default_factory=list)
    """What the servers held before each step."""
    dumps: list[Any] = field(default_factory=list)
    """What the registry said after each step."""
    requests: list[dict[str, list[str]]] = field(default_factory=list)
    """Of each step, by server."""
    openings: int = 0

    def blobs(self, place: str, *, timeout_s: float = 30.0, direct: bool = False) -> MinioStore:
        """The objects of the registry of that place, through the proxy unless `direct`."""
        endpoint = self.s3.endpoint if direct else f"127.0.0.1:{self.ways['objects'].port}"
        keys = self.s3.access_key, self.s3.secret_key
        return MinioStore(endpoint, *keys, BUCKET, secure=False, prefix=place, timeout_s=timeout_s)

    def open(self, place: str, *, timeout_s: float = 30.0) -> Registry:
        """The registry of that place, as commands open one on servers.

        A minute has passed since the last opening: a lease that was not given back has run out.
        """
        self.openings += 1
        ahead = self.openings * _LEASE_S
        blobs = self.blobs(place, timeout_s=timeout_s)
        try:
            url = f"http://127.0.0.1:{self.ways['index'].port}"
            store = ServerStore(url, None, prefix=f"{place}-", timeout_s=timeout_s)
            lease = Lease(blobs, clock=lambda: time.time() + ahead)
            return Registry(load_settings(home=self.home), blobs, store, lease=lease)
        except BaseException:
            blobs.close()
            raise

    def run(self, place: str, step: int, *, timeout_s: float = 30.0) -> None:
        """One step of the workload."""
        with self.open(place, timeout_s=timeout_s) as registry:
            STEPS[step][1](registry)

    def dumped(self, place: str) -> Any:
        """All that the registry says, but for what is no part of it."""
        with self.open(place) as registry:
            said = dump(registry) if not registry.is_empty else {}
        objects = said.get("objects", [])
        return {
            **said,
            "objects": [
                k for k in objects if k != keys.LEASE and not k.startswith(keys.LEASE_PROBES)
            ],
        }

    def standing(self, place: str) -> Standing:
        """What the servers hold, read past the proxies."""
        blobs, client = self.blobs(place, direct=True), self.qdrant.engine.client
        objects = {info.key: blobs.get(info.key) for info in blobs.list()}
        blobs.close()
        found = {}
        for name, indexes in self.qdrant.engine.indexes.items():
            if name.startswith(f"{place}-"):
                records, _ = client.scroll(name, limit=10_000, with_vectors=True)
                points = [
                    models.PointStruct(id=r.id, payload=r.payload or {}, vector=r.vector or {})
                    for r in records
                ]
                vectors = client.get_collection(name).config.params.vectors
                found[name.removeprefix(f"{place}-")] = (vectors, dict(indexes), points)
        return Standing(objects, found)

    def put_back(self, place: str, standing: Standing) -> None:
        """Make the servers hold this, past the proxies."""
        blobs, engine = self.blobs(place, direct=True), self.qdrant.engine
        for key, data in standing.objects.items():
            blobs.put(key, data)
        blobs.close()
        for name, (vectors, indexes, points) in standing.collections.items():
            engine.client.create_collection(f"{place}-{name}", vectors_config=vectors or {})
            engine.indexes[f"{place}-{name}"] = dict(indexes)
            if points:
                engine.client.upsert(f"{place}-{name}", points)

    def described(self, one: Strike) -> str:
        """Kind, step, and the request that was struck."""
        server = one.kind.partition(":")[0]
        request = self.requests[one.step][server][one.at]
        return f"{STEPS[one.step][0]}: {one.kind} at {one.at} ({request[:120]})"

    def clear(self, place: str) -> None:
        """Let go of what the index server holds of a place."""
        for name in [name for name in self.qdrant.engine.indexes if name.startswith(f"{place}-")]:
            self.qdrant.engine.client.delete_collection(name)
            del self.qdrant.engine.indexes[name]


@contextmanager
def rig() -> Iterator[Rig]:
    """The servers, running. Skips, or raises, where there is no S3 server to run."""
    with tempfile.TemporaryDirectory(prefix="faults-s3-") as folder:
        s3 = start_weed(Path(folder) / "weed")
        try:
            with (
                serve_qdrant() as qdrant,
                proxied(int(s3.endpoint.rsplit(":", 1)[-1])) as objects,
                proxied(qdrant.port) as index,
            ):
                ways = {"objects": objects, "index": index}
                yield Rig(s3, qdrant, ways, Path(folder) / "home")
        finally:
            s3.stop()


def rehearse_on_servers(servers: Rig, steps: int) -> None:
    """So many steps of the workload without a fault."""
    place = "golden"
    for step in range(min(steps, len(STEPS))):
        servers.before.append(servers.standing(place))
        for way in servers.ways.values():
            way.arm()
        servers.run(place, step)
        servers.requests.append({name: list(way.seen) for name, way in servers.ways.items()})
        servers.dumps.append(servers.dumped(place))


def every_net_strike(servers: Rig) -> list[Strike]:
    """Every kind of fault at every request of every step, to either server."""
    strikes = []
    for step, by_server in enumerate(servers.requests):
        for server, requests in by_server.items():
            for kind in Net:
                once = [] if kind in ONLY_LASTING else [""]
                lasting = [] if kind in ONLY_ONCE else [LASTING]
                strikes += [
                    Strike(f"{server}: {kind}{suffix}", step, at)
                    for suffix in once + lasting
                    for at in range(len(requests))
                ]
    return strikes


def sample(strikes: list[Strike], count: int, chance: random.Random) -> list[Strike]:
    """As many of each kind, as far as they go."""
    by_kind: dict[str, list[Strike]] = {}
    for one in chance.sample(strikes, len(strikes)):
        by_kind.setdefault(one.kind, []).append(one)
    chosen: list[Strike] = []
    while len(chosen) < count and any(by_kind.values()):
        for some in by_kind.values():
            chosen += [some.pop()] if some and len(chosen) < count else []
    return chosen


def net_strike(servers: Rig, one: Strike) -> Outcome:
    """Let one fault happen on the way to a server, run the command again, and compare."""
    place = f"s{uuid4().hex[:8]}"
    servers.put_back(place, servers.before[one.step])
    server, _, rest = one.kind.partition(": ")
    kind, way = Net(rest.removesuffix(LASTING)), servers.ways[server]
    for each in servers.ways.values():
        each.arm()
    way.arm(kind, one.at, lasting=kind is Net.REFUSED or rest.endswith(LASTING))
    failed: BaseException | None = None
    try:
        servers.run(place, one.step, timeout_s=_PATIENCE_S)
    except Exception as exc:
        failed = exc
    struck = way.struck > 0
    way.heal()
    try:
        if failed is not None:
            wrong = _unclear(failed, kind, way)
            if wrong:
                return Outcome(one, True, wrong)
            servers.run(place, one.step)
        found = servers.dumped(place)
    except RegistryError as exc:
        return Outcome(one, True, f"cannot be run again: {type(exc).__name__}: {exc}")
    finally:
        servers.clear(place)
    return Outcome(one, struck, difference(servers.dumps[one.step], found))


def _unclear(exc: BaseException, kind: Net, way: Proxy) -> str:
    """What is wrong with the error that a user would read; empty if nothing is."""
    said = str(exc)
    if not isinstance(exc, StoreError):
        return f"ended with {type(exc).__name__}: {exc}"
    if "\n" in said or f"127.0.0.1:{way.port}" not in said:
        return f"does not name the server in a line: {said!r}"
    if kind in STATUS and str(STATUS[kind]) not in said:
        return f"does not say {STATUS[kind]}: {said!r}"
    return ""
