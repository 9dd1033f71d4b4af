"""Qdrant Edge's own words: configurations, filters, loading a shard, and what goes wrong in it."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as qe

from registry.errors import RegistryLocked, StoreCorrupt, StoreError, StoreFull
from registry.store.base import CollectionSpec, Filter, Value
from registry.store.shaping import by_kind

REBUILD = "run `face-registry reindex` to rebuild it from the objects"
_NO_VECTOR = "none"
"""Edge wants a vector of some kind; a sparse one that no point has takes no room."""
_ITS_OWN_FAULT = ("Service runtime error", "Service internal error")
"""How messages begin where no request is at fault: a file that cannot be read is one reason."""
_PROBE = """
import resource, sys, qdrant_edge
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
qdrant_edge.EdgeShard.load(sys.argv[1]).close()
"""
PROBE_S = 60.0
"""What loading may take in the process that tries first, and a second more for each 20 MiB.
50,000 faces of 512-d load in 0.1 s."""
_PROBED_A_SECOND = 20 * 2**20
LOAD_BYTES = 64 * 2**20
"""What loading may take, so that a disk short of the reserve can still be read: two segments of the
log. With 4 MiB free loading ended the process, with 16 it did not (26,000 points)."""
_GROWTH = 2**30
"""Bytes; the largest file that Edge 0.9.0 was seen to lay out while it loads has 32 MiB."""


def create(spec: CollectionSpec, folder: Path) -> None:
    """Write an empty shard into the folder, flushed and closed."""
    shard = qe.EdgeShard.create(str(folder), _config(spec))
    add_indexes(shard, spec.keywords)
    shard.flush()
    shard.close()


def load(spec: CollectionSpec, folder: Path, *, probe_s: float = PROBE_S) -> qe.EdgeShard:
    """The shard in the folder.

    Raises `RegistryLocked` if another process has it open, `StoreCorrupt` if it does not load or
    its vectors are not the spec's. Some damage makes Edge end or hang the process while it loads,
    without an exception (a flipped byte in an id map does). So a mark stands beside the folder
    meanwhile, and where one was left behind, another process tries first, for `probe_s` seconds.
    Other damage (the length of a payload index) makes it fill the disk: no file may grow by more
    than `_GROWTH` meanwhile.
    """
    if not (folder / "edge_config.json").is_file() or not any(folder.glob("segments/*")):
        # Edge would make an empty shard of it.
        raise StoreCorrupt(f"{folder} does not load (parts of it are missing); {REBUILD}")
    mark = loading_mark(folder)
    if mark.exists() and _ends_the_process(folder, probe_s):
        raise StoreCorrupt(f"{folder} ends or hangs the process that loads it; {REBUILD}")
    mark.touch(mode=0o600)
    try:
        with _files_within(_largest(folder) + _GROWTH):
            return qe.EdgeShard.load(str(folder), _config(spec))
    except BaseException as exc:
        if not _is_engine_error(exc) or _is_full(exc):
            raise
        if "WouldBlock" in str(exc):  # in full: "Can't init WAL: Kind(WouldBlock)"
            raise locked(folder) from exc
        raise StoreCorrupt(f"{folder} does not load ({_brief(exc)}); {REBUILD}") from exc
    finally:
        mark.unlink(missing_ok=True)


def loading_mark(folder: Path) -> Path:
    """The file that stands while a shard is loaded."""
    return folder.with_name(f".{folder.name}.loading")


def missing_indexes(shard: qe.EdgeShard, fields: Sequence[str]) -> list[str]:
    """Those of the payload fields that have no index."""
    return sorted(set(fields) - set(shard.info().payload_schema))


def add_indexes(shard: qe.EdgeShard, fields: Sequence[str]) -> None:
    """Index these payload fields as keywords."""
    for field in fields:
        shard.update(qe.UpdateOperation.create_field_index(field, qe.PayloadSchemaType.Keyword))


def passing(where: Filter | None) -> qe.Filter:
    """The filter as Edge's."""
    where = where or Filter()
    return qe.Filter(
        must=[qe.Filter(should=_holds(field, values)) for field, values in where.must.items()],
        must_not=[
            condition
            for field, values in where.must_not.items()
            for condition in _holds(field, values)
        ],
    )


def locked(path: Path) -> RegistryLocked:
    """The error for a folder that is taken."""
    return RegistryLocked(f"{path} is in use by another process; wait for it to end, or stop it")


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """Turn what Edge and the file system raise into ours."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(folder) from exc
        raise StoreError(f"{folder} cannot be used: {exc.strerror or exc}") from exc
    except BaseException as exc:
        if not _is_engine_error(exc):
            raise
        if _is_full(exc):
            raise _full(folder) from exc
        if type(exc) is not Exception or str(exc).startswith(_ITS_OWN_FAULT):
            raise StoreCorrupt(f"Edge gave up on {folder} ({_brief(exc)}); {REBUILD}") from exc
        raise StoreError(f"Edge refused a request to {folder}: {_brief(exc)}") from exc


def _config(spec: CollectionSpec) -> qe.EdgeConfig:
    if spec.dimension is None:
        return qe.EdgeConfig(sparse_vectors={_NO_VECTOR: qe.EdgeSparseVectorParams()})
    return qe.EdgeConfig(
        vectors=qe.EdgeVectorParams(size=spec.dimension, distance=qe.Distance.Cosine)
    )


@contextmanager
def _files_within(most: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: EFBIG, for Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _largest(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)


def bytes_on_disk(folder: Path) -> int:
    """Bytes that the folder's files take, most of which are sparse."""
    return 512 * sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def _ends_the_process(folder: Path, probe_s: float) -> bool:
    """Whether loading the shard kills or hangs a process made for that; an exception does not."""
    command = [sys.executable, "-c", _PROBE, str(folder), str(_largest(folder) + _GROWTH)]
    patience = probe_s + bytes_on_disk(folder) / _PROBED_A_SECOND
    try:
        probe = subprocess.run(command, capture_output=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        return True
    return probe.returncode < 0


def _holds(field: str, values: Sequence[Value]) -> list[qe.ConditionType]:
    """Conditions of which one holds where the field has one of the values."""
    texts, numbers = by_kind(values)
    matches: list[qe.MatchType] = [qe.MatchAny(texts)] if texts else []
    matches += [qe.MatchAny(numbers)] if numbers else []
    return [qe.FieldCondition(key=field, match=match) for match in matches]


def _full(folder: Path) -> StoreFull:
    return StoreFull(f"there is no space left for {folder}; make room on its disk and try again")


def _is_full(exc: BaseException) -> bool:
    return "no space left" in str(exc).lower()


def _is_engine_error(exc: BaseException) -> bool:
    """Edge raises bare `Exception`, or, from a panic, a BaseException that cannot be imported."""
    return type(exc) is Exception or type(exc).__name__ == "PanicException"


def _brief(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200]
