"""Is everything there that a registry needs? One finding for each part, whatever state it is in."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal
from uuid import uuid4

from registry.beside import Beside
from registry.errors import RegistryError
from registry.opening import open_registry
from registry.registry import Registry
from registry.settings import Settings

Verdict = Literal["ok", "warning", "failed"]

_LOW_SPACE = 2 * 1024**3
"""Bytes; the largest download allowed would not fit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one part."""

    part: str
    verdict: Verdict
    detail: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at the machine first, then at the registry that the settings describe."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield _one_of("opencv", ("opencv-python-headless", "opencv-python"))
    yield _one_of("onnxruntime", ("onnxruntime", "onnxruntime-gpu"))
    yield _attempt("home", lambda: _home(settings))
    try:
        registry = open_registry(settings)
    except RegistryError as exc:
        yield Finding("registry", "failed", str(exc))
        return
    with registry:
        yield _attempt("model", lambda: _model(registry))
        yield _attempt("objects", lambda: _objects(registry))
        yield _attempt("index", lambda: _index(registry))
        if begun := Beside(registry.blobs).describe():
            yield _begun(begun)


def _begun(begun: dict[str, Any]) -> Finding:
    return Finding(
        "change",
        "warning",
        f"a change to {begun['model']} was begun, {begun['videos']} videos of it are there: "
        "`face-registry migrate --switch` makes it, `face-registry migrate --discard` drops it",
    )


def _attempt(part: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except RegistryError as exc:
        return Finding(part, "failed", str(exc))


def _one_of(part: str, names: tuple[str, str]) -> Finding:
    """Two distributions that own the same files: exactly one may be installed."""
    found = {
        d.metadata["Name"]: d.version
        for d in metadata.distributions()
        if d.metadata["Name"] in names
    }
    text = " and ".join(f"{name} {version}" for name, version in sorted(found.items()))
    if len(found) == 1:
        return Finding(part, "ok", text)
    if not found:
        return Finding(part, "failed", f"neither {names[0]} nor {names[1]} is installed")
    keep, drop = names if part == "opencv" else (names[1], names[0])
    return Finding(
        part,
        "warning",
        f"{text} are both installed and overwrite each other; run "
        f"`pip uninstall -y {drop} && pip install --force-reinstall --no-deps {keep}`",
    )


def _home(settings: Settings) -> Finding:
    home = settings.home
    if not home.exists():
        return Finding("home", "ok", f"{home} (made at the first ingest)")
    free = shutil.disk_usage(home).free
    text = f"{home}, {free / 1e9:.1f} GB free"
    if home.stat().st_mode & 0o077:
        return Finding("home", "warning", f"{text}; others can read it: run `chmod 700 {home}`")
    return Finding("home", "warning" if free < _LOW_SPACE else "ok", text)


def _model(registry: Registry) -> Finding:
    model = registry.model()
    info = model.info
    return Finding(
        "model",
        "ok",
        f"{info.name} on {model.device}, {info.dimension}-d, digest {info.digest[:12]} checked",
    )


def _objects(registry: Registry) -> Finding:
    key, data = f"doctor/{uuid4()}", b"round trip"
    registry.blobs.put(key, data)
    back = registry.blobs.get(key)
    registry.blobs.delete(key)
    where = registry.blobs.describe()
    if back != data:
        return Finding("objects", "failed", f"{where} returned other bytes than were written")
    return Finding("objects", "ok", f"{where}: written, read back and deleted")


def _index(registry: Registry) -> Finding:
    where = registry.store.describe()
    if registry.is_empty:
        registry.store.has("faces")
        return Finding("index", "ok", f"{where}: nothing ingested yet")
    videos, records = registry.index.count_videos(), sum(1 for _ in registry.records.ids())
    if videos != records:
        return Finding(
            "index",
            "failed",
            f"{where} holds {videos} videos and there are {records} records: "
            "run `face-registry reindex`",
        )
    return Finding("index", "ok", f"{where}: {videos} videos, as many as records")
