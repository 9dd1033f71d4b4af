"""The page of a report on 500 people in 5,000 videos: its size, and how quick it is in a browser.

Prints the size of the file, the time to make it, and in Chromium the first contentful paint, the
time until it is loaded, and the processor time to sort and to filter its table. The numbers are in
docs/BENCHMARKS.md. It needs the dependency group `browser`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from queries.page.asking import Asked
from queries.page.gathering import gather_page
from queries.page.rendering import render_page
from registry.core.opening import open_registry
from registry.settings import load_settings
from tests.support.chromium import find_chromium, open_chromium
from tests.support.sample_registry import SamplePerson, demo_people, sample_registry

_PEOPLE_IN_A_VIDEO = 3.0
_SORT = """(column) => {
  document.querySelector(`th[data-sort="${column}"] button`).click();
  document.body.getBoundingClientRect();
}"""
_FILTER = """(text) => {
  const field = document.querySelector("input[name=q]");
  field.value = text;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  document.body.getBoundingClientRect();
}"""
_PARTS = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")


def main() -> None:
    """Build the registry, write the page, open it."""
    with invented_home(__doc__) as home, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        with open_registry(load_settings(home=home)) as registry:
            started = time.perf_counter()
            page = gather_page(registry, Asked())
            gathered = time.perf_counter()
            file.write_text(render_page(page), encoding="utf-8")
            rendered = time.perf_counter()
        print(
            f"{len(page.people)} people, {len(page.videos)} videos, {len(page.questions)} questions"
        )
        print(f"gathered in {gathered - started:.1f} s, rendered in {rendered - gathered:.1f} s")
        print(f"file: {file.stat().st_size / 1e6:.1f} MB", flush=True)
        _open(file)


@contextmanager
def invented_home(description: str | None) -> Iterator[Path]:
    """The folder of a closed registry of so many people and videos as the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--videos", type=int, default=5_000)
    parser.add_argument("--home", type=Path, help="keep the registry here, and use it again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder) / "home"
        if not home.exists():
            started = time.perf_counter()
            people = invented_people(given.people)
            sample_registry(home, people, videos=given.videos, faces_per_s=0.5).close()
            print(f"registry built in {time.perf_counter() - started:.0f} s", flush=True)
        yield home


def invented_people(number: int) -> list[SamplePerson]:
    """So many people with the pictures of the demo, moved a little so that none is another's."""
    faces = [one.pictures[0] for one in demo_people()]
    chance = np.random.default_rng(5)
    people = []
    for who in range(number):
        face = faces[who % len(faces)]
        cut = int(chance.integers(1, max(2, len(face) // 8)))
        people.append(
            SamplePerson(
                f"Person {who}" if who % 3 == 0 else "",
                (np.ascontiguousarray(face[cut:, cut:]),),
                float(np.exp(chance.normal(0, 0.15))),
                float(_PEOPLE_IN_A_VIDEO / number * chance.uniform(0.3, 1.7)),
                twice=who % 25 == 0,
            )
        )
    return people


def _open(file: Path) -> None:
    """Open the page, sort it and filter it. Prints processor time, which other work cannot change.

    Chrome's metrics count the processor time of the page's main thread: of scripts, style and
    layout, and of the whole task with painting.
    """
    program = find_chromium()
    if program is None:
        raise SystemExit("There is no Chromium on this machine.")
    with open_chromium(program) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> tuple[float, float]:
            """Milliseconds of script, style and layout so far, and of everything."""
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            found = session.send("Performance.getMetrics")["metrics"]
            metrics = {one["name"]: 1000 * one["value"] for one in found}
            return sum(metrics[part] for part in _PARTS), metrics["TaskDuration"]

        def measure(what: str, script: str, arguments: Sequence[str]) -> None:
            times = []
            for argument in arguments:
                before = spent()
                page.evaluate(script, argument)
                times.append([b - a for a, b in zip(before, spent(), strict=True)])
            layout, whole = np.median(times, axis=0)
            print(f"{what}: {layout:.0f} ms until laid out, {whole:.0f} ms with painting")

        started = time.perf_counter()
        page.goto(file.as_uri(), timeout=120_000)
        loaded = time.perf_counter() - started
        paint = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0]"
        )
        nodes = page.evaluate("document.querySelectorAll('*').length")
        print(f"first contentful paint {paint:.0f} ms, loaded {loaded:.1f} s, {nodes} elements")
        measure("sorted", _SORT, ("videos", "name", "difference") * 3)
        measure("filtered", _FILTER, ("p", "pe", "person 1", "x", "") * 2)


if __name__ == "__main__":
    main()
