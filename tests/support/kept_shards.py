"""Empty shards of Qdrant Edge are made once in a process of tests: later ones are copies.

Most tests have a registry of their own. Making its three shards, changing them once and closing
them takes 0.10 s of processor time, and 0.08 s with copies, for two reasons. Payload indexes need
not be made. And Edge reads 22 MB of zeros through memory maps when it loads the three: in /dev/shm
each page of a hole is then allocated on its own, whereas pages that were written are mapped sixteen
at a time. So a copy has the zeros that the first shard has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.store import edge, edge_shard
from registry.store.base import CollectionSpec
from tests.support.processes import data_spans_of

_CREATE = edge_shard.create


@dataclass(frozen=True)
class _File:
    """A file of a shard: its size, and what is not a hole, by offset."""

    name: str
    size: int
    parts: list[tuple[int, bytes]]


@dataclass(frozen=True)
class _Shard:
    """The folders of a shard below its own, each after the one that contains it, and the files."""

    folders: list[str]
    files: list[_File]


@contextmanager
def shards_made_once() -> Iterator[None]:
    """Within the block, keep each kind of empty shard that is made, and copy it from then on."""
    kept: dict[CollectionSpec, _Shard] = {}

    def create_or_copy(spec: CollectionSpec, folder: Path) -> None:
        shard = kept.get(spec)
        if shard is None:
            _CREATE(spec, folder)
            kept[spec] = _read(folder)
        else:
            _write(shard, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge, "create", create_or_copy)
        yield


@contextmanager
def shards_made_each_time() -> Iterator[None]:
    """Within the block, make shards as the program does; for tests of stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge, "create", _CREATE)
        yield


def _read(folder: Path) -> _Shard:
    folders: list[str] = []
    files: list[_File] = []
    for above, below, names in os.walk(folder):
        folders += [str(Path(above, name).relative_to(folder)) for name in below]
        for name in names:
            path = Path(above, name)
            relative, size = str(path.relative_to(folder)), path.stat().st_size
            files.append(_File(relative, size, list(_parts(path))))
    return _Shard(folders, files)


def _parts(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for start, end in data_spans_of(file.fileno()):
            file.seek(start)
            yield start, file.read(end - start)


def _write(shard: _Shard, folder: Path) -> None:
    # Not by paths: a shard has fifty files, and a Path takes as long as opening one.
    top = os.fspath(folder)
    for name in shard.folders:
        os.mkdir(f"{top}{os.sep}{name}")  # noqa: PTH102
    for one in shard.files:
        path = f"{top}{os.sep}{one.name}"
        with open(path, "xb", buffering=0) as file:  # noqa: PTH123
            file.truncate(one.size)
            for at, part in one.parts:
                file.seek(at)
                file.write(part)
