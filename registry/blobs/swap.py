"""One folder of objects for another: the old one is whole until the new one has its name.

`objects` becomes `.objects.old` and the new folder becomes `objects`: two renames. A crash between
them leaves no `objects`, and the old one goes back to its place when it is opened next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import StoreDenied
from registry.system.files import sync


def fresh(root: Path) -> Path:
    """Where to build what is to replace `root`: beside it, on the same file system, and empty."""
    place = root.with_name(f".{root.name}.new")
    with _errors(place):
        shutil.rmtree(place, ignore_errors=True)
        if place.exists():
            raise PermissionError(f"{place} cannot be removed")
    return place


def swap(root: Path) -> None:
    """Put what was built at `fresh(root)` in the place of `root`, and remove the old one.

    No store may have either open.
    """
    old, new = _old(root), root.with_name(f".{root.name}.new")
    with _errors(root):
        shutil.rmtree(old, ignore_errors=True)
        root.rename(old)
        new.rename(root)
        sync(root.parent)
        shutil.rmtree(old)


def recover(root: Path) -> None:
    """Settle what a crash left of a swap: the old folder goes back, or goes."""
    old = _old(root)
    with _errors(root):
        if old.is_dir() and not root.exists():
            old.rename(root)
            sync(root.parent)
        elif old.is_dir():
            shutil.rmtree(old)


def _old(root: Path) -> Path:
    return root.with_name(f".{root.name}.old")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreDenied(f"{path} cannot be moved ({exc.strerror or exc})") from exc
