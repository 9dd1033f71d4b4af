"""The thresholds that a registry uses, shipped with the model or calibrated.

A calibration is one object. It holds thresholds, rates and counts, but no embedding, id or video,
so an erasure has nothing to remove from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.registry import Registry
from registry.domain import ModelInfo
from registry.errors import ObjectMissing, StoreCorrupt
from registry.faces.rates import Curve
from registry.models.curves import shipped_curve
from registry.models.entries import linkage_threshold
from registry.system import checked_json as checked

_AGAIN = (
    "Run `face-registry calibrate` again, or `face-registry calibrate --reset` to use the model's "
    "own thresholds."
)


@dataclass(frozen=True, slots=True)
class CalibratedThreshold:
    """A calibrated threshold with its interval and its false-accept rate."""

    threshold: float
    low: float
    """95 % interval of the threshold that has the target rate."""
    high: float
    target_far: float
    far: float
    """False-accept rate at the threshold, estimated."""
    far_low: float
    """Its 95 % interval."""
    far_high: float
    basis: str
    """`registry.calibration.thresholds.Basis`."""
    shipped: float
    """Threshold of the target rate on the model's shipped curve."""
    pairs: int
    """Impostor pairs: of faces for lookups, of tracks for linkage."""
    pairs_of_people: int
    people: int
    independent: float
    """Independent pairs of people that they are worth."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What `face-registry calibrate` found, for one model."""

    model: str
    model_digest: str
    lookup: CalibratedThreshold
    """Single faces: who is in a photo."""
    linkage: CalibratedThreshold
    """Means of tracks: which identities are one person."""
    curve: tuple[tuple[float, float], ...]
    """Knots (similarity, false-accept rate) for single faces: `registry.faces.rates.Curve`."""
    at: str = ""
    """When: ISO 8601, UTC."""
    by: str = ""
    """The user who calibrated."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InForce:
    """The thresholds and rates that a registry uses."""

    lookup: float
    """Least cosine of a match in a lookup."""
    linkage: float
    """Least average cosine of a join."""
    curve: Curve
    source: str
    """Where the rates come from, in words."""
    calibrated: bool
    warning: str = ""
    """A sentence on a calibration that is not used; empty: there is none."""


def in_force(registry: Registry) -> InForce:
    """The thresholds of a registry: calibrated, or the model's own. Options go before either.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: the calibration is damaged.
    """
    model = registry.contract.model
    shipped = shipped_curve(model)
    lookup, linkage = model.verification_threshold, linkage_threshold(model)
    found = read(registry.blobs)
    if found is not None and found.model_digest == model.digest:
        return InForce(
            found.lookup.threshold,
            found.linkage.threshold,
            Curve(found.curve),
            f"calibrated on this registry, {found.at[:10]}",
            calibrated=True,
        )
    warning = "" if found is None else _stale(found, model)
    return InForce(
        lookup,
        linkage,
        shipped.curve,
        f"shipped: {shipped.source}",
        calibrated=False,
        warning=warning,
    )


def _stale(found: Calibration, model: ModelInfo) -> str:
    return (
        f"The calibration was made with another model ({found.model}, {found.model_digest[:12]}) "
        f"than this registry's ({model.name}, {model.digest[:12]}) and is not used. {_AGAIN}"
    )


def read(blobs: BlobStore) -> Calibration | None:
    """The calibration, or None. Raises `StoreCorrupt` for a damaged one."""
    try:
        found = _decode(checked.decode(blobs.get(keys.CALIBRATION)))
    except ObjectMissing:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise StoreCorrupt(f"{keys.CALIBRATION} is damaged ({exc}). {_AGAIN}") from exc
    return found


def write(registry: Registry, calibration: Calibration) -> None:
    """Put it in force, in one step."""
    with registry.writing():
        registry.blobs.put(keys.CALIBRATION, checked.encode(calibration.as_dict()))


def remove(registry: Registry) -> bool:
    """Go back to the model's own thresholds. Returns whether there was a calibration."""
    with registry.writing():
        if not registry.blobs.exists(keys.CALIBRATION):
            return False
        registry.blobs.delete(keys.CALIBRATION)
        return True


def _decode(body: Mapping[str, Any]) -> Calibration:
    knots = tuple((float(s), float(r)) for s, r in body["curve"])
    Curve(knots)  # raises ValueError for knots that are none
    return Calibration(
        **{
            **body,
            "lookup": CalibratedThreshold(**body["lookup"]),
            "linkage": CalibratedThreshold(**body["linkage"]),
            "curve": knots,
        }
    )
