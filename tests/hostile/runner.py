"""Runs commands one after the other in a process of their own: `python -m tests.hostile.runner`.

A line of JSON a job, a line of JSON an answer. The console script's own entry runs in one warm
process, so that a hundred commands do not cost a hundred starts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
import traceback
from typing import Any

QUICK: dict[str, Any] = {
    "max_bytes": 1_000_000, "total_s": 3.0, "connect_s": 2.0, "read_s": 2.0, "attempts": 2,
    "first_pause_s": 0.05, "longest_pause_s": 0.1, "page_s": 5.0, "reserve_bytes": 0,
}  # fmt: skip
"""Limits of downloads that a test can wait for."""


def _command(arguments: list[str]) -> int:
    from registry.cli import main

    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return -1


def _ingest(given: dict[str, Any]) -> int:
    """What `ingest` does, with limits that its command line has no options for."""
    from ingest import ingest
    from ingest.fetch.addresses import AddressPolicy
    from ingest.fetch.retries import FetchLimits
    from registry import open_registry

    policy = AddressPolicy(allowed_hosts=frozenset({"127.0.0.1"}))
    with open_registry(home=given["home"]) as registry:
        summary = ingest(
            registry, given["csv"], workers=given["workers"], policy=policy,
            fetch_limits=FetchLimits(**QUICK),
        )  # fmt: skip
    print(json.dumps(summary.as_dict()))
    return summary.exit_code


def main() -> None:
    """Until no job is left."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        job = json.loads(line)
        out, err = io.StringIO(), io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = _command(job["argv"]) if "argv" in job else _ingest(job["ingest"])
            except BaseException:
                traceback.print_exc()
                code = -1
        seconds = time.monotonic() - started
        answer = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
