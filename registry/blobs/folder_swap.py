"""Replacing a folder of objects by a new one, so that a crash leaves the old one or the new one.

`objects` is renamed to `.objects.old`, and the new folder to `objects`. A crash between the two
renames leaves no `objects`; the old folder is then renamed back when the store is opened next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import StoreDenied
from registry.system.paths import remove_tree, replace, sync


def new_folder(root: Path) -> Path:
    """The path for the replacement of `root`: next to it, on the same file system, and unused."""
    path = root.with_name(f".{root.name}.new")
    with _errors(path):
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise PermissionError(f"{path} cannot be removed")
    return path


def replace_folder(root: Path) -> None:
    """Replace `root` by the folder at `new_folder(root)`, and remove the old one.

    No store may have either of them open.
    """
    old, new = _old(root), root.with_name(f".{root.name}.new")
    with _errors(root):
        shutil.rmtree(old, ignore_errors=True)
        replace(root, old)
        replace(new, root)
        sync(root.parent)
        remove_tree(old)


def recover_folder(root: Path) -> None:
    """Finish a replacement that a crash interrupted: the old folder is restored or removed."""
    old = _old(root)
    with _errors(root):
        if old.is_dir() and not root.exists():
            replace(old, root)
            sync(root.parent)
        elif old.is_dir():
            remove_tree(old)


def _old(root: Path) -> Path:
    return root.with_name(f".{root.name}.old")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreDenied(
            f"{path} cannot be moved ({exc.strerror or exc}). Correct its owner and mode."
        ) from exc
