"""How several rows of one video become one value: `Views:sum`, `ROAS:mean@Spend`.

    NAME               one value; rows of one video that differ are reported
    NAME:sum           the sum of the rows
    NAME:mean@WEIGHT   the mean of the rows, each weighted by its value in the column WEIGHT

Names of columns may contain colons and at signs. A column whose name equals the whole text takes
precedence. Otherwise, if the table has the columns for two readings, a usage error shows both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.errors import UsageError
from registry.urls import printable

_SUM, _MEAN = ":sum", ":mean@"


class Aggregation(StrEnum):
    """How the values of several rows of one video become one value."""

    SINGLE = "single"
    SUM = "sum"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric column and its aggregation."""

    name: str
    """As given after `--metric`; the name of the metric on record."""
    aggregation: Aggregation = Aggregation.SINGLE
    weight: str = ""
    """The column of weights of a mean, as given."""

    def __str__(self) -> str:
        """As given after `--metric`."""
        if self.aggregation is Aggregation.SUM:
            return f"{self.name}{_SUM}"
        return (
            f"{self.name}{_MEAN}{self.weight}"
            if self.aggregation is Aggregation.MEAN
            else self.name
        )


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
        ways = " or ".join(_describe(spec) for spec in fitting)
        raise UsageError(
            f'--metric "{printable(text)}" can mean {ways}. Rename one of the columns.'
        )
    bare = text.removesuffix(":mean")
    if not fitting and bare != text and is_column(bare):
        raise UsageError(
            f'--metric "{printable(text)}" has no weight. Write "{printable(bare)}:mean@COLUMN" '
            "with the column of weights."
        )
    return fitting[0] if fitting else None


def likely_spec(text: str) -> MetricSpec:
    """The most likely reading, for a message when none fits."""
    return next(_readings(text), MetricSpec(text))


def _readings(text: str) -> Iterator[MetricSpec]:
    """Every reading of a spec, except as the name of a column."""
    if text.endswith(_SUM) and text != _SUM:
        yield MetricSpec(text.removesuffix(_SUM), Aggregation.SUM)
    place = text.find(_MEAN)
    while place >= 0:
        name, weight = text[:place], text[place + len(_MEAN) :]
        if name and weight:
            yield MetricSpec(name, Aggregation.MEAN, weight)
        place = text.find(_MEAN, place + 1)


def _describe(spec: MetricSpec) -> str:
    name, weight = printable(spec.name), printable(spec.weight)
    if spec.aggregation is Aggregation.SUM:
        return f'the sum of "{name}"'
    return f'the mean of "{name}" weighted by "{weight}"'


def check_specs(specs: Sequence[MetricSpec]) -> None:
    """Raise `UsageError` if a metric is named twice."""
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'"{printable(name)}" is named twice as a metric. Name it once.')
