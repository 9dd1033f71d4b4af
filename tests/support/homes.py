"""Copies of the home of a registry, as large as what is in it.

The index lays its files out ahead: half a gigabyte of holes, of which a hundred megabytes are pages
of zeros where memory is the disk. A plain copy writes all of them, and is read as slowly.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.processes import data_spans_of

_PART = 64 * 1024
_ZEROS = bytes(_PART)


def copy_home(source: Path, target: Path) -> Path:
    """Copy a folder that holds homes, or a part of one, without its zeros; return the target."""
    return Path(shutil.copytree(source, target, copy_function=_copy_sparse, dirs_exist_ok=True))


def _copy_sparse(source: str, target: str) -> None:
    # Not by paths: a home has two hundred files, and a Path takes as long as opening one.
    with open(source, "rb", buffering=0) as old, open(target, "wb", buffering=0) as new:  # noqa: PTH123
        new.truncate(os.fstat(old.fileno()).st_size)
        for start, end in data_spans_of(old.fileno()):
            for at in range(start, end, _PART):
                old.seek(at)
                part = old.read(min(_PART, end - at))
                if part != _ZEROS[: len(part)]:
                    new.seek(at)
                    new.write(part)
    shutil.copystat(source, target)
