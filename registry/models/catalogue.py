"""The face models by name: listing and loading them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from registry.domain import ModelInfo
from registry.errors import ModelError
from registry.models.base import FaceModel
from registry.models.download import pull
from registry.models.entries import (
    CATALOGUE,
    UNKNOWN_THRESHOLD,
    ModelEntry,
    find,
    holds,
    linkage_threshold,
    places,
    whereabouts,
)
from registry.models.weights import carried

if TYPE_CHECKING:
    from registry.settings import Accuracy

__all__ = ["Listed", "ModelEntry", "find", "linkage_threshold", "listing", "load", "pull"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of `models list`."""

    name: str
    dimension: int
    source: str
    licence: str
    verification_threshold: float
    linkage_threshold: float
    threshold_source: str
    present: bool
    """Whether its files are on this machine; digests are not checked."""
    where: str
    """Their folder; empty if they are not present."""


def listing(cache: Path) -> list[Listed]:
    """Every model of the catalogue."""
    listed = []
    for entry in CATALOGUE.values():
        where = whereabouts(entry, cache)
        listed.append(
            Listed(
                name=entry.name,
                dimension=entry.dimension,
                source=entry.source,
                licence=entry.licence,
                verification_threshold=entry.verification_threshold,
                linkage_threshold=entry.linkage_threshold,
                threshold_source=entry.threshold_source,
                present=where is not None,
                where="" if where is None else str(where),
            )
        )
    return listed


def load(
    source: str,
    *,
    device: str = "auto",
    cache: Path,
    threads: int | None = None,
    accuracy: Accuracy = "exact",
) -> FaceModel:
    """The model that `source` names.

    Args:
        source: a name of the catalogue, or a folder with the .onnx files of an InsightFace pack.
            A name takes precedence over a folder of the same name, which can be given as ./NAME.
        device: one of `registry.models.device.DEVICES`.
        cache: the folder of pulled packs and of optimised graphs.
        threads: threads of one inference, and of OpenCV in this process; None keeps their
            defaults, one per core.
        accuracy: `fast` detects in less time, with slightly different results, where `is_faster`.

    Raises:
        ModelError: the model does not exist, is not on this machine, has other weights, or does not
            load.
        DeviceError: the requested device is not available.
    """
    fast = accuracy == "fast" and is_faster(device)
    folder = _folder(source)
    if folder is not None:
        return _insight(folder, folder.resolve().name, UNKNOWN_THRESHOLD, device, threads, fast)
    entry = find(source)
    if not entry.pulled:
        from registry.models import sface

        detector, recogniser = (
            partial(carried, entry.carrier, name, sha256) for name, sha256 in entry.files.items()
        )
        return sface.load(
            detector(),
            recogniser,
            entry.info,
            cache=cache,
            device=device,
            threads=threads,
            fast=fast,
        )
    pack = _pack(entry, cache)
    if entry.carrier:
        from registry.models import auraface

        [yunet], [name] = _carried(entry), entry.pulled
        return auraface.load(
            yunet,
            pack / name,
            entry.info,
            cache=cache,
            device=device,
            threads=threads,
            fast=fast,
        )
    return _insight(pack, entry.name, entry.verification_threshold, device, threads, fast)


def info(source: str, *, cache: Path) -> ModelInfo | None:
    """What `load` would tell of a model of the catalogue, whose files are checked but not loaded.

    None for a folder.

    Raises:
        ModelError: the model does not exist, is not on this machine, or has other weights.
    """
    if _folder(source) is not None:
        return None
    entry = find(source)
    _carried(entry)
    if entry.pulled:
        _pack(entry, cache)
    return entry.info


def _carried(entry: ModelEntry) -> list[bytes]:
    """The files that an installed package has. Raises `ModelError` if one is not as it should."""
    return [carried(entry.carrier, name, entry.files[name]) for name in entry.carried]


def _pack(entry: ModelEntry, cache: Path) -> Path:
    """The folder with the files that were pulled. Raises `ModelError` if they are not there."""
    pack = whereabouts(entry, cache)
    if pack is None:
        raise ModelError(
            f"{entry.name} is not in {' or '.join(str(p) for p in places(entry.name, cache))}: "
            f"run `face-registry models pull {entry.name}`. Licence: {entry.licence}."
        )
    if not holds(pack, entry):
        raise ModelError(
            f"The weights in {pack} are not those of {entry.name} (sha256): remove the folder and "
            f"run `face-registry models pull {entry.name}`, or give the folder's path as the model."
        )
    return pack


def is_faster(device: str) -> bool:
    """Whether the accuracy `fast` takes less time than `exact` on this device: on the CPU alone.

    An accelerator runs the same networks with both (docs/MODELS.md, Speed). Raises what
    `registry.models.device.resolve` raises.
    """
    from registry.models import device as devices

    return devices.resolve(device) == devices.resolve("cpu")


def full_source(source: str) -> str:
    """The source in a form that means the same from any working directory.

    A folder becomes its absolute path; everything else is returned as it is.
    """
    folder = _folder(source)
    return source if folder is None else str(folder.absolute())


def is_present(source: str, cache: Path) -> bool:
    """Whether the files of the model that `source` names are on this machine (digests unchecked).

    Takes what `load` takes.
    """
    entry = CATALOGUE.get(source)
    return _folder(source) is not None if entry is None else whereabouts(entry, cache) is not None


def _folder(source: str) -> Path | None:
    """The folder that `source` names; None for a name of the catalogue and where there is none."""
    folder = Path(source).expanduser()
    return folder if source not in CATALOGUE and folder.is_dir() else None


def _insight(
    folder: Path, name: str, threshold: float, device: str, threads: int | None, fast: bool
) -> FaceModel:
    from registry.models import insight

    return insight.load(
        folder,
        name=name,
        verification_threshold=threshold,
        device=device,
        threads=threads,
        fast=fast,
    )
