"""How alike are strangers to each model? The shipped curves, measured on labelled photographs.

    python -m benchmarks.rates [--cache FOLDER] [--data FOLDER]

Prints the knots that stand in `registry/models/curves.py`, and the curve against what was counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks._options import CACHE, data_folder, sources
from benchmarks._photos import embedded
from registry.faces.rates import fit
from registry.models import catalogue


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=CACHE, help="where extracted faces are kept")
    options = parser.parse_args()
    for source in sources(options.data):
        print(f"\n{Path(source).name}")
        _measure(source, options.data, options.cache)


def _measure(source: str, data: Path, cache: Path) -> None:
    faces = embedded(
        data,
        cache,
        Path(source).name,
        lambda: catalogue.load(source, device="cpu", cache=cache / "models"),
    )
    pairs = faces.strangers(np.unique(faces.people))
    curve = fit(pairs.similarities)
    two = len(np.unique(pairs.people, axis=0))
    print(f"{len(pairs.similarities)} pairs of photos, of {two} pairs of people")
    print(", ".join(f"({s:.4f}, {far:g})" for s, far in curve.knots))
    for at in (0.30, 0.35, 0.38, 0.40, 0.45):
        counted = float((pairs.similarities >= at).mean())
        print(f"{at:.2f}  curve {curve.far(at):.1e}  counted {counted:.1e}")


if __name__ == "__main__":
    main()
