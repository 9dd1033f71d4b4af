"""The contract: what a registry was built with, written once and checked at each use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.core.records import SCHEMA
from registry.domain import Contract, EarlierModel, ModelInfo
from registry.errors import ContractError, ObjectMissing, StoreCorrupt
from registry.settings import DEFAULT_MODEL
from registry.system import checked_json as checked


def load(blobs: BlobStore, *, under: str = "") -> Contract | None:
    """The contract, or None if nothing has been ingested yet. Its key begins with `under`.

    Raises `StoreCorrupt` if it is damaged.
    """
    fields = load_fields(blobs, under=under)
    return None if fields is None else from_dict(fields)


def load_fields(blobs: BlobStore, *, under: str = "") -> dict[str, Any] | None:
    """The fields of the contract, of any schema. Otherwise as `load`."""
    key = under + keys.CONTRACT
    try:
        return checked.decode(blobs.get(key))
    except ObjectMissing:
        return None
    except ValueError as exc:
        raise damaged(key, exc) from exc


def save(blobs: BlobStore, contract: Contract, *, under: str = "") -> None:
    """Write the contract of a new registry, or of one that switches to another model."""
    blobs.put(under + keys.CONTRACT, checked.encode(contract.as_dict()))


def new(
    model: ModelInfo,
    model_source: str,
    *,
    threshold: float,
    every: int,
    primary_metric: str,
    max_gap_s: float | None = None,
    cuts: bool = False,
) -> Contract:
    """Make the contract of a new registry."""
    return Contract(
        registry_id=str(uuid4()),
        model=model,
        model_source=model_source,
        threshold=threshold,
        every=every,
        primary_metric=primary_metric,
        schema=SCHEMA,
        max_gap_s=max_gap_s,
        cuts=cuts,
    )


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model to load for a registry."""

    source: str
    """Name in the catalogue, or folder of a pack."""
    warning: str = ""
    """Sentences for the user if FACE_REGISTRY_MODEL names another model; empty if it does not."""


def choose_model(
    asked: str | None,
    contract: Contract | None,
    configured: str | None,
    is_present: Callable[[str], bool],
) -> ModelChoice:
    """Choose the model to load. Pure but for `is_present`.

    The first of these that is given: `asked`, the model in the contract, `configured`, the default
    model. The contract's model is passed over if its files are not on this machine and
    `configured` names where they may be, such as the new place of a folder that was moved.
    `check_model` refuses every model but the one that the registry was built with.

    Args:
        asked: `--model`, or the argument of a call.
        contract: None for a registry that has none yet.
        configured: FACE_REGISTRY_MODEL. It and `asked` are names, or absolute paths of folders
            (`registry.models.catalogue.full_source`).
        is_present: whether the files of a model are on this machine.
    """
    if asked or contract is None:
        return ModelChoice(asked or configured or DEFAULT_MODEL)
    built = contract.model_source
    if not configured or configured in (built, contract.model.name):
        return ModelChoice(built)
    if not is_present(built):
        return ModelChoice(configured)
    return ModelChoice(
        built,
        f"FACE_REGISTRY_MODEL is {configured}, but this registry was built with {built}, and that "
        "model is used. The variable is for new registries: unset it, or change the model of this "
        "registry with `face-registry migrate --model`.",
    )


def check_model(contract: Contract, model: ModelInfo) -> None:
    """Raise `ContractError` unless the registry was built with this model."""
    built = contract.model
    if (built.digest, built.dimension) == (model.digest, model.dimension):
        return
    raise ContractError(
        f"This registry was built with model {built.name} ({_short(built)}), not with "
        f"{model.name} ({_short(model)}), and their embeddings cannot be compared. "
        f"Use --model {contract.model_source}, or another --home for {model.name}, or change the "
        "model of this registry with `face-registry migrate --model`."
    )


def check_rule(contract: Contract, *, threshold: float | None, every: int | None) -> None:
    """Raise `ContractError` if a threshold or sampling is given that the registry does not have."""
    for option, given, built in (
        ("--threshold", threshold, contract.threshold),
        ("--every", every, contract.every),
    ):
        if given is not None and given != built:
            raise ContractError(
                f"This registry was built with {option} {built:g}, and {option} {given:g} was "
                f"given. A registry uses one value for all videos. Leave {option} out, or use "
                "another --home."
            )


def with_sampling(
    contract: Contract, *, max_gap_s: float | None, cuts: bool | None
) -> tuple[Contract, str]:
    """The contract with another limit of gaps, or with or without cuts; and a note that says so.

    Args:
        contract: as it is.
        max_gap_s: seconds; 0: no limit; None: as it is.
        cuts: None: as it is.

    Returns:
        The note is "" if nothing changes.
    """
    changed = replace(
        contract,
        max_gap_s=contract.max_gap_s if max_gap_s is None else max_gap_s or None,
        cuts=contract.cuts if cuts is None else cuts,
    )
    if changed == contract:
        return contract, ""
    note = (
        f"sampling changed from {_sampling(contract)} to {_sampling(changed)}; it holds for videos "
        "read from now on. Videos on record keep what was found in them"
    )
    return changed, note


def _sampling(contract: Contract) -> str:
    gap = "none" if contract.max_gap_s is None else f"{contract.max_gap_s:g} s"
    return f"(longest gap: {gap}, cuts: {'on' if contract.cuts else 'off'})"


def _short(model: ModelInfo) -> str:
    return f"{model.digest[:12]}, {model.dimension}-d"


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError("max_gap_s is not a number of seconds above 0")
    return float(value)


def from_dict(fields: dict[str, Any]) -> Contract:
    """The contract with these fields. Raises `StoreCorrupt` if they are not those of a contract."""
    try:
        model = ModelInfo(**fields["model"])
        earlier = tuple(EarlierModel(**one) for one in fields.get("earlier_models", ()))
        typed = {"schema": int(fields["schema"]), "model": model, "earlier_models": earlier}
        if "max_gap_s" in fields:
            typed["max_gap_s"] = _seconds(fields["max_gap_s"])
        if not isinstance(fields.get("cuts", False), bool):
            raise ValueError("cuts is not true or false")
        return Contract(**{**fields, **typed})
    except (KeyError, TypeError, ValueError) as exc:
        raise damaged(keys.CONTRACT, exc) from exc


def damaged(key: str, exc: Exception) -> StoreCorrupt:
    """The error for a contract under this key that cannot be read."""
    return StoreCorrupt(f"{key} is damaged ({exc}). Restore it from a backup.")
