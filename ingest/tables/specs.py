"""How several rows of one video make one value: `Views:sum`, `ROAS:mean@Spend`.

    NAME               one value; rows of one video that differ are reported
    NAME:sum           the sum of the rows
    NAME:mean@WEIGHT   the mean of the rows, each weighted by its value in the column WEIGHT

Names of columns may hold colons and at signs. A column that is called just like the whole text is
meant; otherwise, if the table has the columns for two readings, it is a usage error that shows
both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.errors import UsageError
from registry.urls import printable

_SUM, _MEAN = ":sum", ":mean@"


class Kind(StrEnum):
    """How rows of one video become one value."""

    SINGLE = "single"
    SUM = "sum"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric column and its kind."""

    name: str
    """As it was asked for; what the metric is called on record."""
    kind: Kind = Kind.SINGLE
    weight: str = ""
    """The column of weights of a mean, as it was asked for."""

    def __str__(self) -> str:
        """As it is typed after `--metric`."""
        if self.kind is Kind.SUM:
            return f"{self.name}{_SUM}"
        return f"{self.name}{_MEAN}{self.weight}" if self.kind is Kind.MEAN else self.name


def parse_spec(text: str, is_column: Callable[[str], bool]) -> MetricSpec | None:
    """The reading of a spec that fits the columns of a table; None if none does.

    Raises `UsageError` if several fit, or if it is a mean without a weight.
    """
    if is_column(text):
        return MetricSpec(text)
    fitting = [
        spec
        for spec in _readings(text)
        if is_column(spec.name) and (not spec.weight or is_column(spec.weight))
    ]
    if len(fitting) > 1:
        ways = " or ".join(_told(spec) for spec in fitting)
        raise UsageError(
            f'--metric "{printable(text)}" can mean {ways}; rename one of the columns.'
        )
    bare = text.removesuffix(":mean")
    if not fitting and bare != text and is_column(bare):
        raise UsageError(
            f'--metric "{printable(text)}" names no weight; write "{printable(bare)}:mean@COLUMN" '
            "with the column that weights it."
        )
    return fitting[0] if fitting else None


def likely_spec(text: str) -> MetricSpec:
    """The reading to name in a message when none fits."""
    return next(_readings(text), MetricSpec(text))


def _readings(text: str) -> Iterator[MetricSpec]:
    """Every way to read a spec, except as a column of just this name."""
    if text.endswith(_SUM) and text != _SUM:
        yield MetricSpec(text.removesuffix(_SUM), Kind.SUM)
    place = text.find(_MEAN)
    while place >= 0:
        name, weight = text[:place], text[place + len(_MEAN) :]
        if name and weight:
            yield MetricSpec(name, Kind.MEAN, weight)
        place = text.find(_MEAN, place + 1)


def _told(spec: MetricSpec) -> str:
    name, weight = printable(spec.name), printable(spec.weight)
    if spec.kind is Kind.SUM:
        return f'the sum of "{name}"'
    return f'the mean of "{name}" weighted by "{weight}"'


def check_specs(specs: Sequence[MetricSpec]) -> None:
    """Raise `UsageError` if a metric is named twice."""
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'"{printable(name)}" is named twice as a metric; name it once.')
