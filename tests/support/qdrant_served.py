"""Qdrant's REST API, as far as the project uses it, over qdrant-client's own engine in memory.

No Qdrant server is needed, and the requests are those of the real client over real HTTP. Bodies are
read with the client's own models, which refuse unknown fields. As a server in strict mode does, it
refuses filters on fields without an index. Run one by hand:
`python -m tests.support.qdrant_served PORT`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models

Body = dict[str, Any]
_PATH = re.compile(r"/collections/([^/]+)(/.*)?")


@dataclass
class Refused(Exception):
    """What a server answers with another status than 200."""

    status: int
    sentence: str


@dataclass
class Engine:
    """Collections in memory, and what the server remembers beside them."""

    client: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    indexes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Payload indexes by collection: the engine has none."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    sent: set[str] = field(default_factory=set)
    """Every field of every body so far, as a path: `points[].id`."""
    strict: bool = True

    def answer(self, method: str, path: str, body: Body | None) -> Any:
        """The result of one request. Raises `Refused`."""
        shape = _PATH.sub(r"/collections/*\2", path)
        self.sent |= set(_paths(f"{method} {shape}", body))
        if path in ("/collections", "/collections/"):
            return self.client.get_collections()
        match = _PATH.fullmatch(path)
        if match is None:
            raise Refused(404, f"no such path {path}")
        name, rest = match[1], match[2] or ""
        handler = _ROUTES.get((method, rest))
        if handler is None:
            raise Refused(404, f"{method} {path} is not among what the project uses")
        if (method, rest) not in _ANYWAY and name not in self.indexes:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        try:
            with self.lock, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return handler(self, name, body or {})
        except ValidationError as exc:
            raise Refused(400, f"Format error in JSON body: {exc.errors()[0]['msg']}") from exc

    def check(self, name: str, where: models.Filter | None) -> models.Filter | None:
        """The filter, if each of its fields has an index."""
        for key in _fields(where.model_dump() if where else None):
            if self.strict and key not in self.indexes[name]:
                raise Refused(
                    400,
                    f'Bad request: Index required but not found for "{key}" of one of the '
                    "following types: [keyword]",
                )
        return where


def _create(engine: Engine, name: str, body: Body) -> bool:
    wanted = models.CreateCollection.model_validate(body)
    if name in engine.indexes:
        raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
    engine.client.create_collection(name, vectors_config=wanted.vectors or {})
    engine.indexes[name] = {}
    return True


def _delete(engine: Engine, name: str, _: Body) -> bool:
    engine.indexes.pop(name, None)
    return engine.client.delete_collection(name)


def _info(engine: Engine, name: str, _: Body) -> Any:
    info = engine.client.get_collection(name)
    schema = {key: {"data_type": "keyword", "points": 0} for key in engine.indexes[name]}
    return json.loads(info.model_dump_json()) | {"payload_schema": schema}


def _index(engine: Engine, name: str, body: Body) -> Body:
    wanted = models.CreateFieldIndex.model_validate(body)
    engine.indexes[name][wanted.field_name] = wanted.field_schema
    return _updated()


def _upsert(engine: Engine, name: str, body: Body) -> Body:
    points = models.PointsList.model_validate(body).points
    params = engine.client.get_collection(name).config.params.vectors
    for point in points:
        vector = point.vector
        size = params.size if isinstance(params, models.VectorParams) else None
        if size is not None and (not isinstance(vector, list) or len(vector) != size):
            found = len(vector) if isinstance(vector, list) else 0
            raise Refused(
                400, f"Wrong input: Vector dimension error: expected dim: {size}, got {found}"
            )
    engine.client.upsert(name, points)
    return _updated()


def _get(engine: Engine, name: str, body: Body) -> Any:
    wanted = models.PointRequest.model_validate(body)
    return engine.client.retrieve(
        name,
        wanted.ids,
        with_payload=wanted.with_payload or False,
        with_vectors=wanted.with_vector or False,
    )


def _scroll(engine: Engine, name: str, body: Body) -> Any:
    wanted = models.ScrollRequest.model_validate(body)
    points, after = engine.client.scroll(
        name,
        engine.check(name, wanted.filter),
        limit=wanted.limit or 10,
        offset=wanted.offset,
        with_payload=wanted.with_payload or False,
        with_vectors=wanted.with_vector or False,
    )
    return {"points": points, "next_page_offset": after}


def _query(engine: Engine, name: str, body: Body) -> Any:
    searches = models.QueryRequestBatch.model_validate(body).searches
    for search in searches:
        engine.check(name, search.filter)
    return engine.client.query_batch_points(name, searches)


def _set_payload(engine: Engine, name: str, body: Body) -> Body:
    wanted = models.SetPayload.model_validate(body)
    where = engine.check(name, wanted.filter)
    engine.client.set_payload(name, wanted.payload, where)  # type: ignore[arg-type]
    return _updated()


def _delete_points(engine: Engine, name: str, body: Body) -> Body:
    wanted = models.FilterSelector.model_validate(body)
    engine.check(name, wanted.filter)
    engine.client.delete(name, wanted)
    return _updated()


def _count(engine: Engine, name: str, body: Body) -> Any:
    wanted = models.CountRequest.model_validate(body)
    return engine.client.count(name, engine.check(name, wanted.filter), exact=True)


def _exists(engine: Engine, name: str, _: Body) -> Body:
    return {"exists": name in engine.indexes}


_ROUTES: dict[tuple[str, str], Callable[[Engine, str, Body], Any]] = {
    ("GET", "/exists"): _exists,
    ("GET", ""): _info,
    ("PUT", ""): _create,
    ("DELETE", ""): _delete,
    ("PUT", "/index"): _index,
    ("PUT", "/points"): _upsert,
    ("POST", "/points"): _get,
    ("POST", "/points/scroll"): _scroll,
    ("POST", "/points/query/batch"): _query,
    ("POST", "/points/payload"): _set_payload,
    ("POST", "/points/delete"): _delete_points,
    ("POST", "/points/count"): _count,
}
_ANYWAY = {("GET", "/exists"), ("PUT", ""), ("DELETE", "")}
"""What can be asked of a collection that does not exist."""


def _updated() -> Body:
    return {"operation_id": 0, "status": "completed"}


def _fields(condition: Any) -> Iterator[str]:
    """Payload fields that a filter, as plain values, looks at."""
    if isinstance(condition, dict):
        if isinstance(condition.get("key"), str):
            yield condition["key"]
        for inner in condition.values():
            yield from _fields(inner)
    elif isinstance(condition, list):
        for inner in condition:
            yield from _fields(inner)


def _paths(prefix: str, value: Any) -> Iterator[str]:
    """The fields of a body; what is inside payloads is the user's."""
    if isinstance(value, list):
        for inner in value:
            yield from _paths(f"{prefix}[]", inner)
    elif isinstance(value, dict) and not prefix.endswith(" payload"):
        for name, inner in value.items():
            yield from _paths(f"{prefix} {name}", inner)
    else:
        yield prefix


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return TypeAdapter(Any).dump_python(value, mode="json")


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    url: str
    engine: Engine

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[-1])


@contextmanager
def serve_qdrant(*, port: int = 0, api_key: str = "") -> Iterator[Served]:
    """Run a server until the block ends; with `api_key`, it refuses others with 401."""
    engine = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                if api_key and self.headers.get("api-key") != api_key:
                    raise Refused(401, "Must provide an API key or an Authorization bearer token")
                body = json.loads(raw) if raw else None
                result = _plain(engine.answer(self.command, urlsplit(self.path).path, body))
                self._say(200, {"result": result, "status": "ok", "time": 0.0})
            except Refused as exc:
                self._say(exc.status, {"status": {"error": exc.sentence}, "time": 0.0})
            except ValueError as exc:  # as a server words what it cannot read
                self._say(400, {"status": {"error": f"Format error: {exc}"}, "time": 0.0})

        def _say(self, status: int, answer: Body) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = _serve

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that went away

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", engine)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        engine.client.close()


if __name__ == "__main__":
    with serve_qdrant(port=int(sys.argv[1]), api_key=(sys.argv[2:] or [""])[0]) as running:
        print(running.url, flush=True)
        threading.Event().wait()
