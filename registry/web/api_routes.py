"""The operations of the API as routes, and their description (OpenAPI 3.1)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from registry import __version__
from registry.errors import (
    EmptyRegistry,
    ImageError,
    RegistryError,
    RegistryLocked,
    UnknownError,
    UsageError,
)
from registry.terminal import finite
from registry.web.api import OPERATIONS, Call, Operation, Refused
from registry.web.rendering import page
from registry.web.site import site_of

_PARAMETER = re.compile(r"{(\w+)}")
_STATUSES: Sequence[tuple[type[Exception], int]] = (
    (UnknownError, 404),
    (UsageError, 400),
    (ImageError, 400),
    (EmptyRegistry, 409),
    (RegistryLocked, 409),
    (Refused, 409),
)
"""The status of each error; all others are 500."""
_ERRORS = {
    "400": "What was asked for is not possible.",
    "401": "There is no session.",
    "404": "There is no such person, video or decision.",
    "409": "The registry is in another state, or something speaks against the change.",
    "413": "The body is too large.",
    "415": "The body has another type.",
    "422": "The body or a parameter is not valid.",
}


def routes() -> list[Route]:
    """A route for each path, the description, and the page about it."""
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in OPERATIONS:
        by_path[operation.path][operation.method] = operation
    made = [_route(path, operations) for path, operations in by_path.items()]
    return [Route("/api", about), Route("/api/openapi.json", _description), *made]


def about(request: Request) -> Response:
    """The page about the API."""
    return page(request, "api.html", operations=OPERATIONS)


def _description(request: Request) -> Response:
    return JSONResponse(description())


def _route(path: str, operations: dict[str, Operation]) -> Route:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = operations[method]
        call = Call(
            request,
            dict(request.path_params),
            await _body(request, operation),
            _checked(operation.query, dict(request.query_params)) if operation.query else None,
        )
        return await run_in_threadpool(_answer, operation, call)

    return Route(path, endpoint, methods=list(operations))


async def _body(request: Request, operation: Operation) -> Any:
    """The body as the operation takes it. Raises `HTTPException`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if operation.upload:
        if kind not in ("application/octet-stream", "image/jpeg", "image/png", "image/webp"):
            raise HTTPException(415, "Send the picture as image/jpeg or application/octet-stream.")
        return await request.body()
    if operation.body is None:
        return None
    if kind != "application/json":
        raise HTTPException(415, "Send the body as application/json.")
    try:
        return operation.body.model_validate_json(await request.body())
    except ValidationError as exc:
        raise HTTPException(422, _sentence(exc)) from exc


def _checked(model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    known = {name: value for name, value in values.items() if name in model.model_fields}
    try:
        return model.model_validate(known)
    except ValidationError as exc:
        raise HTTPException(422, _sentence(exc)) from exc


def _sentence(exc: ValidationError) -> str:
    return " ".join(
        f"{'.'.join(map(str, error['loc'])) or 'The body'}: {error['msg']}."
        for error in exc.errors(include_url=False, include_input=False, include_context=False)
    )


def _answer(operation: Operation, call: Call) -> Response:
    workspace = site_of(call.request).workspace
    if operation.upload:  # it takes its own turn, as the detector serves one at a time
        with workspace.reading() as registry:
            pass
        return _json(operation.work(registry, call))
    with workspace.changing() if operation.changes else workspace.reading() as registry:
        return _json(operation.work(registry, call))


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(finite(document), status)


def error_document(exc: Exception) -> Response:
    """An error as JSON."""
    if isinstance(exc, HTTPException):
        return JSONResponse({"error": exc.detail}, exc.status_code, headers=exc.headers)
    status = next((code for kind, code in _STATUSES if isinstance(exc, kind)), 500)
    known = isinstance(exc, (RegistryError, Refused))
    return _json({"error": str(exc) if known else "An unexpected error happened."}, status)


def description() -> dict[str, Any]:
    """The OpenAPI description of all operations."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    schemas: dict[str, Any] = {
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string"}},
        }
    }
    for operation in OPERATIONS:
        paths[operation.path][operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "face-registry",
            "version": __version__,
            "description": "The session is the cookie that the one-time address sets.",
        },
        "paths": dict(paths),
        "components": {"schemas": schemas},
    }


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "An id, a unique beginning of one, or a name.",
            }
            for name in _PARAMETER.findall(operation.path)
        ],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            **{code: {"description": text, "content": error} for code, text in _ERRORS.items()},
        },
    }
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        described["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": field}
            for name, field in schema["properties"].items()
        ]
    if operation.body is not None:
        schemas[operation.body.__name__] = operation.body.model_json_schema()
        reference = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference}},
        }
    if operation.upload:
        picture = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": picture, "image/jpeg": picture},
        }
    return described
