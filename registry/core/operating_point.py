"""The thresholds that a registry uses: those of its calibration, or those shipped with the model.

A calibration is one object. It holds thresholds, rates and counts, but no embedding and no id of a
person or a video, so that an erasure need not change it.
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
from registry.models.curves import ModelCurve, shipped_curve
from registry.models.entries import linkage_threshold
from registry.system import checked_json as checked

_AGAIN = (
    "Run `face-registry calibrate` again, or `face-registry calibrate --reset` to use the "
    "thresholds of the model."
)
_MEASURED = "measured"
"""`registry.calibration.thresholds.Basis.MEASURED`."""


@dataclass(frozen=True, slots=True)
class CalibratedThreshold:
    """One threshold of a calibration, as it is stored."""

    threshold: float
    low: float
    """Lower end of the 95 % interval of the threshold that has the target rate."""
    high: float
    target_far: float
    far: float
    """Estimated false-accept rate at the threshold."""
    far_low: float
    """Lower end of its 95 % interval."""
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
    """Number of independent pairs of people with the same information."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of `face-registry calibrate`, for one model."""

    model: str
    model_digest: str
    lookup: CalibratedThreshold
    """For single faces: who is in a photo."""
    linkage: CalibratedThreshold
    """For means of tracks: which identities are one person."""
    curve: tuple[tuple[float, float], ...]
    """Knots (similarity, false-accept rate) for single faces: `registry.faces.rates.Curve`."""
    at: str = ""
    """ISO 8601, UTC."""
    by: str = ""
    """The user who calibrated."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds and rates that a registry uses now."""

    lookup: float
    """Least cosine of a match in a lookup."""
    linkage: float
    """Least average cosine of two identities that are joined."""
    curve: Curve
    source: str
    """Where the rates come from, for people."""
    calibrated: bool
    finest: float
    """The lowest false-accept rate that was measured; lower ones on the curve are guesses."""
    warning: str = ""
    """A sentence on a calibration that is there and is not used; empty if there is none."""


def current_thresholds(registry: Registry) -> Thresholds:
    """The thresholds of a registry: those of its calibration, or those shipped with its model.

    Raises:
        EmptyRegistry: nothing has been ingested.
        StoreCorrupt: the calibration is damaged.
    """
    model = registry.contract.model
    shipped = shipped_curve(model)
    lookup, linkage = model.verification_threshold, linkage_threshold(model)
    calibration = load_calibration(registry.blobs)
    if calibration is not None and calibration.model_digest == model.digest:
        return Thresholds(
            calibration.lookup.threshold,
            calibration.linkage.threshold,
            Curve(calibration.curve),
            f"calibrated on this registry, {calibration.at[:10]}",
            calibrated=True,
            finest=_finest(calibration.lookup, shipped),
        )
    warning = "" if calibration is None else _other_model(calibration, model)
    return Thresholds(
        lookup,
        linkage,
        shipped.curve,
        f"shipped: {shipped.source}",
        calibrated=False,
        finest=shipped.finest,
        warning=warning,
    )


def _finest(lookup: CalibratedThreshold, shipped: ModelCurve) -> float:
    """The lowest rate measured: on the registry's own pairs, or where the tail is the model's."""
    return 1 / lookup.independent if lookup.basis == _MEASURED else shipped.finest


def _other_model(calibration: Calibration, model: ModelInfo) -> str:
    return (
        f"The calibration was made with another model ({calibration.model}, "
        f"{calibration.model_digest[:12]}) than this registry uses ({model.name}, "
        f"{model.digest[:12]}), so it does not apply. {_AGAIN}"
    )


def load_calibration(blobs: BlobStore) -> Calibration | None:
    """The calibration; None if there is none. Raises `StoreCorrupt` if it is damaged."""
    try:
        return _decode(checked.decode(blobs.get(keys.CALIBRATION)))
    except ObjectMissing:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise StoreCorrupt(f"{keys.CALIBRATION} is damaged ({exc}). {_AGAIN}") from exc


def save_calibration(registry: Registry, calibration: Calibration) -> None:
    """Write a calibration, which is used from then on."""
    with registry.writing():
        registry.blobs.put(keys.CALIBRATION, checked.encode(calibration.as_dict()))


def remove_calibration(registry: Registry) -> bool:
    """Return to the thresholds of the model. Returns whether there was a calibration."""
    with registry.writing():
        if not registry.blobs.exists(keys.CALIBRATION):
            return False
        registry.blobs.delete(keys.CALIBRATION)
        return True


def _decode(fields: Mapping[str, Any]) -> Calibration:
    knots = tuple((float(s), float(r)) for s, r in fields["curve"])
    Curve(knots)  # raises ValueError if they are not the knots of a curve
    return Calibration(
        **{
            **fields,
            "lookup": CalibratedThreshold(**fields["lookup"]),
            "linkage": CalibratedThreshold(**fields["linkage"]),
            "curve": knots,
        }
    )
