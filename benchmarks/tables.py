"""How long it takes to read a large table, beside what pandas takes to parse it.

    python -m benchmarks.tables [--rows 100000] [--repeats 3]

The table has nine columns, four of them metrics (whole numbers, decimals, per cent, money), quoted
titles and dates. pandas knows nothing of units, URLs, totals or what a dot means; it shows what
the machine can do. Seconds are the best of the repeats: of this process, and by the clock.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from ingest.tables.reading import read_table
from ingest.tables.table import TableOptions

_METRICS = ("Views", "ROAS", "CTR", "Spend")
_SIGNED = "?X-Amz-Date=20261001T000000Z&X-Amz-Expires=604800&X-Amz-Signature="


def frame(rows: int, query: Callable[[random.Random], str]) -> pd.DataFrame:
    """A table as a platform exports it, as text."""
    rng = random.Random(1)
    return pd.DataFrame(
        {
            "Video URL": [f"https://cdn.example.com/v/{n}.mp4{query(rng)}" for n in range(rows)],
            "Campaign": [f"Campaign {n % 50}" for n in range(rows)],
            "Platform": ["TikTok"] * rows,
            "Published": [f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(rows)],
            "Title": [f"Title, number {n}" for n in range(rows)],
            "Spend": [f"${rng.random() * 1000:,.2f}" for _ in range(rows)],
            "Views": [str(rng.randrange(10**6)) for _ in range(rows)],
            "ROAS": [f"{rng.random() * 10:.3f}" for _ in range(rows)],
            "CTR": [f"{rng.random() * 5:.2f}%" for _ in range(rows)],
        }
    )


def timed(read: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The least seconds of this process, and by the clock."""
    cpu, wall = [], []
    for _ in range(repeats):
        began = time.process_time(), time.perf_counter()
        read()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return min(cpu), min(wall)


def main() -> None:
    """Make the tables, read them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = frame(options.rows, lambda _: "")
        signed = frame(options.rows, lambda rng: _SIGNED + f"{rng.getrandbits(256):064x}")
        table = Path(folder) / "table"
        print(f"{options.rows:,} rows | pandas, CPU s | ours, CPU s | ours, clock s")
        forms: tuple[tuple[str, Callable[[], object], Callable[[Path], object]], ...] = (
            ("CSV", lambda: plain.to_csv(table, index=False), pd.read_csv),
            ("CSV, signed links", lambda: signed.to_csv(table, index=False), pd.read_csv),
            (
                "TSV, UTF-16",
                lambda: plain.to_csv(table, index=False, sep="\t", encoding="utf-16"),
                lambda path: pd.read_csv(path, sep="\t", encoding="utf-16"),
            ),
            ("Parquet", lambda: plain.to_parquet(table), pd.read_parquet),
            (
                "Excel",
                lambda: plain.to_excel(table, index=False, engine="openpyxl"),
                lambda path: pd.read_excel(path, engine="openpyxl"),
            ),
        )
        for name, write, parse in forms:
            write()
            theirs, _ = timed(partial(parse, table), options.repeats)
            ours, clock = timed(
                lambda: read_table(table, TableOptions(metrics=_METRICS)), options.repeats
            )
            print(f"{name} | {theirs:.2f} | {ours:.2f} | {clock:.2f}", flush=True)


if __name__ == "__main__":
    main()
