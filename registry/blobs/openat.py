"""Paths walked name by name from an open folder (`openat`), so that no symbolic link is followed.

A check of the path as a whole could be outrun by whoever may write in one of its folders.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
"""Open a folder."""
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Open a file to read. Non-blocking, so that a FIFO laid there by hand cannot hang a reader."""
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
"""Make a file to write."""


@contextlib.contextmanager
def folder_below(root: int, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The folder that `names` lead to from the open folder `root`, open; closed on leaving.

    With `make`, absent ones are made (0700, synced into their parents). Raises `OSError`: `ENOENT`
    and `ENOTDIR` as ever, `ELOOP` where a name is a symbolic link.
    """
    # Not dup(root): that would share its place in the listing with other threads.
    fd = os.open(".", FOLDER, dir_fd=root)
    try:
        for name in names:
            try:
                child = os.open(name, FOLDER, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
                os.fsync(fd)
                child = os.open(name, FOLDER, dir_fd=fd)
            except NotADirectoryError:
                # What Linux says of a symbolic link as well; macOS says ELOOP.
                if stat.S_ISLNK(mode_of(name, fd)):
                    raise symbolic_link() from None
                raise
            os.close(fd)
            fd = child
        yield fd
    finally:
        os.close(fd)


def mode_of(name: str, folder: int) -> int:
    """Type and permission bits of `name` itself in the open `folder`. Raises `OSError`."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode


def symbolic_link() -> OSError:
    """The error of a symbolic link where there should be none."""
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))
