"""A limit on the size of files that this process writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform != "win32":
    import resource


@contextmanager
def file_size_limit(most: int) -> Iterator[None]:
    """Limit the size of files that this process writes: EFBIG, since Python ignores SIGXFSZ.

    Windows has no such limit, so nothing changes there.
    """
    if sys.platform == "win32":
        yield
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if soft != resource.RLIM_INFINITY:
            most = min(most, soft)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
