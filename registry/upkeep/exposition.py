"""Measurements as Prometheus' text exposition format (version 0.0.4). Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One number and the labels that tell it from others of its family."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one gauge."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def gauge(name: str, help_: str, value: float, **labels: str) -> Family:
    """A family of one sample."""
    return Family(name, help_, (Sample(value, labels),))


def exposition(families: Iterable[Family]) -> str:
    """The families as text, each with its help and type; one without samples is left out."""
    return "".join(
        f"# HELP {family.name} {_escaped(family.help)}\n# TYPE {family.name} gauge\n"
        + "".join(f"{family.name}{_labels(s.labels)} {_number(s.value)}\n" for s in family.samples)
        for family in families
        if family.samples
    )


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str, *, quote: bool = False) -> str:
    """Backslash and line feed; the quotation mark as well in the value of a label."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    """As Go's ParseFloat reads it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
