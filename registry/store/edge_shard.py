"""One shard of Qdrant Edge: creating and loading it, filters, and translation of its errors."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import qdrant_edge as qe

from registry.errors import RegistryLocked, StoreCorrupt, StoreError, StoreFull
from registry.store.base import CollectionSpec, Filter
from registry.store.collection import texts
from registry.system.confinement import bare_environment
from registry.system.limits import file_size_limit
from registry.system.paths import allocated_bytes, files_below, remove
from registry.system.process import was_killed

REBUILD = "Run `face-registry reindex` to rebuild it from the objects."
_NO_VECTOR = "none"
"""Edge requires a vector configuration; a sparse one that no point uses takes no space."""
_SERVICE_ERRORS = ("Service runtime error", "Service internal error")
"""Prefixes of messages for errors that are not the request's fault, such as an unreadable file."""
_PROBE = """
import sys, qdrant_edge
from registry.system.limits import file_size_limit
with file_size_limit(int(sys.argv[2])):
    qdrant_edge.EdgeShard.load(sys.argv[1]).close()
"""
PROBE_S = 60.0
"""Seconds that a test load in another process may take, and one more for each 20 MiB. Measured:
50,000 faces of 512-d load in 0.1 s."""
_PROBED_A_SECOND = 20 * 2**20
_PROBE_POLL_S = 0.1
LOAD_BYTES = 64 * 2**20
"""Free space that loading needs: two segments of the log. Measured with 26,000 points: loading with
4 MiB free ended the process, with 16 MiB it did not."""
GRAPH_FROM = 100_000
"""Vectors of a segment from which `optimize` builds a graph. Building takes 0.6 ms of CPU for each,
and comparing one vector with so many takes 3 ms, so a smaller collection is better off without.
Points that were added since wait in a segment of their own, which is compared in full."""
CONFIG = "edge_config.json"
"""The file of a shard with its settings. Loading replaces them by those that are given."""
_SEGMENTS = 2
"""What `optimize` merges segments to: the same number on every machine."""
_GROWTH = 2**30
"""Bytes by which a file may grow during loading. The largest file that Edge 0.9.0 was seen to
allocate while loading has 32 MiB."""


def create(spec: CollectionSpec, folder: Path) -> None:
    """Write an empty shard into the folder, flushed and closed."""
    shard = qe.EdgeShard.create(str(folder), _config(spec))
    add_indexes(shard, spec.keywords)
    shard.flush()
    shard.close()


def load(spec: CollectionSpec, folder: Path, *, probe_s: float = PROBE_S) -> qe.EdgeShard:
    """The shard in the folder.

    Some damage makes Edge abort or hang the process during loading, without an exception (a flipped
    byte in an id map does). So a marker file exists while a shard is loaded, and if one was left
    behind, another process loads the shard first, for at most `probe_s` seconds and one more for
    each 20 MiB. Other damage (the length of a payload index) makes Edge fill the disk: meanwhile no
    file may grow by more than `_GROWTH`.

    Raises:
        RegistryLocked: another process has the shard open.
        StoreCorrupt: it does not load, or its vectors have another dimension.
    """
    if not (folder / CONFIG).is_file() or not any(folder.glob("segments/*")):
        # Edge would create an empty shard in it.
        raise StoreCorrupt(f"{folder} does not load (parts of it are missing). {REBUILD}")
    marker = loading_marker(folder)
    if marker.exists() and _crashes_on_load(folder, probe_s):
        raise StoreCorrupt(f"{folder} ends or hangs the process that loads it. {REBUILD}")
    marker.touch(mode=0o600)
    try:
        with file_size_limit(_largest_file(folder) + _GROWTH):
            return qe.EdgeShard.load(str(folder), _config(spec))
    except BaseException as exc:
        if not _is_engine_error(exc) or _is_full(exc):
            raise
        if "WouldBlock" in str(exc):  # in full: "Can't init WAL: Kind(WouldBlock)"
            raise locked_error(folder) from exc
        raise StoreCorrupt(f"{folder} does not load ({_brief(exc)}). {REBUILD}") from exc
    finally:
        remove(marker)


def loading_marker(folder: Path) -> Path:
    """The file that exists while a shard is loaded."""
    return folder.with_name(f".{folder.name}.loading")


def missing_indexes(shard: qe.EdgeShard, fields: Sequence[str]) -> list[str]:
    """The payload fields that are not indexed yet."""
    return sorted(set(fields) - set(shard.info().payload_schema))


def add_indexes(shard: qe.EdgeShard, fields: Sequence[str]) -> None:
    """Index these payload fields as keywords.

    Once a segment has a graph, its indexes are read from their files as they are needed, instead of
    being copied to memory at each opening. Measured with three indexes of 360,000 points: loading
    takes 0.08 instead of 0.9 s of CPU, closing 0.02 instead of 0.23 s, and queries by these fields
    are as fast. An index that an earlier version made stays in memory until it is rebuilt.
    """
    from_files = qe.KeywordIndexParams(memory=qe.Memory.Cold)
    for field in fields:
        shard.update(qe.UpdateOperation.create_field_index(field, from_files))


def edge_filter(where: Filter | None) -> qe.Filter:
    """The filter in Edge's form."""
    where = where or Filter()
    return qe.Filter(
        must=[_condition(field, values) for field, values in where.must.items()],
        must_not=[_condition(field, values) for field, values in where.must_not.items() if values],
    )


def locked_error(path: Path) -> RegistryLocked:
    """The error for a folder that another process uses."""
    return RegistryLocked(f"{path} is in use by another process. Wait for it to end, or stop it.")


@contextmanager
def translated_errors(folder: Path) -> Iterator[None]:
    """Turn errors of Edge and of the file system into those of `registry.errors`."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full_error(folder) from exc
        raise StoreError(
            f"{folder} cannot be used ({exc.strerror or exc}). Correct its owner and mode."
        ) from exc
    except BaseException as exc:
        if not _is_engine_error(exc):
            raise
        if _is_full(exc):
            raise _full_error(folder) from exc
        if type(exc) is not Exception or str(exc).startswith(_SERVICE_ERRORS):
            raise StoreCorrupt(f"Edge failed on {folder} ({_brief(exc)}). {REBUILD}") from exc
        raise StoreError(f"Edge refused a request to {folder} ({_brief(exc)}).") from exc


def bytes_on_disk(folder: Path) -> int:
    """Bytes that the folder's files occupy; most of them are sparse."""
    return sum(allocated_bytes(Path(entry.path)) for entry in files_below(folder))


def _config(spec: CollectionSpec) -> qe.EdgeConfig:
    if spec.dimension is None:
        return qe.EdgeConfig(sparse_vectors={_NO_VECTOR: qe.EdgeSparseVectorParams()})
    kilobytes = GRAPH_FROM * spec.dimension * 4 // 1024
    return qe.EdgeConfig(
        vectors=qe.EdgeVectorParams(size=spec.dimension, distance=qe.Distance.Cosine),
        optimizers=qe.EdgeOptimizersConfig(
            indexing_threshold=max(1, kilobytes), default_segment_number=_SEGMENTS
        ),
    )


def _largest_file(folder: Path) -> int:
    largest = 0
    for entry in files_below(folder):
        with suppress(FileNotFoundError):  # removed meanwhile
            # Not entry.stat(): on Windows that is the size when the file was last closed.
            largest = max(largest, Path(entry.path).stat().st_size)
    return largest


def _crashes_on_load(folder: Path, probe_s: float) -> bool:
    """Whether loading the shard kills, hangs or fills the disk from a process started for this.

    Exceptions do not count. Files are watched too, for systems without a limit on their size.
    """
    most = _largest_file(folder) + _GROWTH
    end = time.monotonic() + probe_s + bytes_on_disk(folder) / _PROBED_A_SECOND
    with subprocess.Popen(
        [sys.executable, "-c", _PROBE, str(folder), str(most)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=bare_environment(folder.parent),
    ) as probe:  # fmt: skip
        try:
            while time.monotonic() < end and _largest_file(folder) <= most:
                with suppress(subprocess.TimeoutExpired):
                    return was_killed(probe.wait(_PROBE_POLL_S))
            return True
        finally:
            probe.kill()


def _condition(field: str, values: Sequence[str]) -> qe.FieldCondition:
    """The condition that a field has one of the values."""
    return qe.FieldCondition(key=field, match=qe.MatchAny(texts(values)))


def _full_error(folder: Path) -> StoreFull:
    return StoreFull(f"No space is left for {folder}. Free some on its disk, and try again.")


def _is_full(exc: BaseException) -> bool:
    return "no space left" in str(exc).lower()


def _is_engine_error(exc: BaseException) -> bool:
    """Edge raises plain `Exception`, or, on a panic, a BaseException that cannot be imported."""
    return type(exc) is Exception or type(exc).__name__ == "PanicException"


def _brief(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200]
