"""`make test-server`: the contracts and the end-to-end tests on servers that the environment names.

Uses what `face-registry` itself would: QDRANT_URL and QDRANT_API_KEY, MINIO_ENDPOINT,
MINIO_ACCESS_KEY, MINIO_SECRET_KEY and so on. Each test has a bucket and a prefix of its own, and
what a run puts on a server it removes. Arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.places import GIVEN

INDEX = ["tests/store/test_contract.py", "tests/erasure/test_erasure.py"]
OBJECTS = ["tests/blobs/test_contract.py", "tests/blobs/test_minio.py", "tests/core/test_lease.py"]
BOTH = [
    "tests/test_main_job.py",
    "tests/test_servers.py",
    "tests/copies/test_copies.py",
    "tests/core/test_two_writers.py",
]
MISSING = """\
No server is named, so there is nothing to test. Set one of these, or both:
  QDRANT_URL=https://host:6333       with QDRANT_API_KEY, QDRANT_CA_FILE where they are needed
  MINIO_ENDPOINT=host:9000           with MINIO_ACCESS_KEY, MINIO_SECRET_KEY, and MINIO_SECURE=false
                                     where there is no TLS
The keys must be allowed to create and delete collections and buckets."""


def _shown(url: str | None) -> str:
    """A server without the credentials that its URL may carry."""
    return (url or "embedded").rpartition("@")[2]


def main(arguments: list[str]) -> int:
    """Exit code of pytest; 2 where no server is named."""
    index, objects = os.environ.get("QDRANT_URL"), os.environ.get("MINIO_ENDPOINT")
    if not index and not objects:
        print(MISSING, file=sys.stderr)
        return 2
    if objects and not (os.environ.get("MINIO_ACCESS_KEY") and os.environ.get("MINIO_SECRET_KEY")):
        print(
            "MINIO_ENDPOINT is set: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY too", file=sys.stderr
        )
        return 2
    kinds = [kind for kind, url in (("QDRANT_", index), ("MINIO_", objects)) if url]
    given = {
        f"{GIVEN}{name}": value
        for name, value in os.environ.items()
        if name.startswith(tuple(kinds)) and value
    }
    suites = [*(INDEX if index else []), *(OBJECTS if objects else []), *BOTH]
    print(f"index: {_shown(index)}; objects: {_shown(objects)}", flush=True)
    command = [sys.executable, "-m", "pytest", *suites, *arguments]
    return subprocess.run(command, env={**os.environ, **given}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
