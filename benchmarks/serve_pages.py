"""The pages of `serve` on 500 people in 5,000 videos: how long each takes to answer.

Prints for each page the first request after the start, the median of five further ones, and the
median of three that each follow a decision (a person was named): elapsed seconds, and processor
seconds of server and client together, which other work on the machine changes less. The numbers
are in docs/BENCHMARKS.md.
"""

from __future__ import annotations

import time

import httpx
import numpy as np

from benchmarks.report_page import invented_home
from registry.core.opening import open_registry
from registry.settings import load_settings
from tests.support.page_server import serve_pages
from tests.support.sample_registry import identity_of

_REPEATED, _DECISIONS = 5, 3
_WHO = 7
"""The person whose page is asked for, and who gets a name."""


def main() -> None:
    """Build the registry, serve it, ask for each page."""
    with invented_home(__doc__) as home:
        for name, path in _pages().items():
            started = time.perf_counter()
            registry = open_registry(load_settings(home=home))
            opened = time.perf_counter() - started
            with serve_pages(registry) as pages, pages.stranger() as client:
                # What follows would be the page of people, which is to be measured.
                client.get(f"/?token={pages.site.sessions.new_token()}", follow_redirects=False)
                print(f"{name}: opened in {opened:.2f} s, {_measured(client, path)}", flush=True)


def _pages() -> dict[str, str]:
    return {
        "People": "/",
        "One person": f"/people/{identity_of(_WHO)}",
        "Review": "/review",
        "Videos": "/videos",
    }


def _measured(client: httpx.Client, path: str) -> str:
    cold = _seconds(client, path)
    size = len(client.get(path).content)
    warm = [_seconds(client, path) for _ in range(_REPEATED)]
    after = []
    for number in range(_DECISIONS):
        person = f"/people/{identity_of(_WHO)}/name"
        sent = client.post(person, data={"name": f"Name {number}"}, follow_redirects=False)
        assert sent.is_redirect, sent.text
        after.append(_seconds(client, path))
    parts = {"first": [cold], "then": warm, "after a decision": after}
    said = [f"{name} {_text(np.median(times, axis=0))}" for name, times in parts.items()]
    return f"{', '.join(said)}; {size / 1e3:.0f} kB"


def _text(times: np.ndarray) -> str:
    return f"{times[0]:.2f} s ({times[1]:.2f} s of processor)"


def _seconds(client: httpx.Client, path: str) -> tuple[float, float]:
    """Elapsed and of processor, until the page itself is there and not one that says to wait."""
    started, used = time.perf_counter(), time.process_time()
    while "data-poll" in (answer := client.get(path)).text:
        time.sleep(0.05)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started, time.process_time() - used


if __name__ == "__main__":
    main()
