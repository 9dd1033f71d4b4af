"""Where labelled data lies, and which models can be measured with it."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE = user_cache_path("face-registry-benchmarks", appauthor=False)
"""Where extracted faces are kept from one run to the next, outside the project."""
_DATA = Path(__file__).parents[2] / "shared" / "data"


def data_folder() -> Path:
    """FACE_REGISTRY_TEST_DATA, or shared/data beside the project."""
    given = os.environ.get("FACE_REGISTRY_TEST_DATA")
    return Path(given) if given else _DATA


def sources(data: Path) -> list[str]:
    """What `catalogue.load` takes, for each model that is here."""
    pack = data / "models" / "buffalo_sc_int8"
    return ["sface", *([str(pack)] if pack.is_dir() else [])]
