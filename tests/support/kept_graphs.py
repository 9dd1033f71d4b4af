"""Optimised graphs are made once in a run of tests: later homes get copies of them.

Making one takes 0.2 s of processor time, and most tests that ingest have a home of their own. A
process also opens each once: checking and opening one takes 0.1 s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from registry.models import optimised_graphs
from registry.system.privacy import make_private_folder

_OPEN_KEPT, _MAKE_ENTRY = optimised_graphs._open_kept, optimised_graphs._make_entry


@contextmanager
def graphs_made_once(folder: Path) -> Iterator[None]:
    """Within the block, keep a copy of each entry that is made, and put it where one is missing.

    Sessions of entries that nobody has changed since they were copied are shared.
    """
    sessions: dict[tuple[Any, ...], Any] = {}

    def open_or_copy(entry: Path, *given: Any) -> Any:
        known = folder / entry.name
        if known.is_dir() and not entry.exists():
            with suppress(OSError):
                for above in (entry.parent.parent, entry.parent):
                    make_private_folder(above)
                shutil.copytree(known, entry)
        threads, label, sample = given
        key = (entry.name, threads, label, tuple(sample))
        unchanged = _files(entry) == _files(known)
        if unchanged and key in sessions:
            return sessions[key]
        session = _OPEN_KEPT(entry, *given)
        if unchanged and session is not None:
            sessions[key] = session
        return session

    def make_and_keep(entry: Path, *given: Any) -> Any:
        session = _MAKE_ENTRY(entry, *given)
        aside = folder / f".{entry.name}.{os.getpid()}"
        with suppress(OSError):  # there is one already, or this one could not be kept
            shutil.copytree(entry, aside)
            aside.rename(folder / entry.name)
        shutil.rmtree(aside, ignore_errors=True)
        return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimised_graphs, "_open_kept", open_or_copy)
        patch.setattr(optimised_graphs, "_make_entry", make_and_keep)
        yield


def _files(entry: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change, which a copy has too, of each file."""
    with suppress(OSError):
        return sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in entry.iterdir())
    return []


@contextmanager
def graphs_made_each_time() -> Iterator[None]:
    """Within the block, make entries as the program does; for tests of how they are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimised_graphs, "_open_kept", _OPEN_KEPT)
        patch.setattr(optimised_graphs, "_make_entry", _MAKE_ENTRY)
        yield
