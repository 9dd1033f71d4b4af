"""How the tables of a registry are read: what its ingests were told, so that the next need not be.

One object, `table.json`. It is durable: backups and migrations carry it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from registry.blobs.base import BlobStore
from registry.core import keys
from registry.errors import ObjectMissing, StoreCorrupt
from registry.system import checked_json as checked


@dataclass(frozen=True, slots=True)
class TableSettings:
    """What ingests were told; a field without content was never told."""

    url_column: str = ""
    metrics: tuple[str, ...] = ()
    """As they are typed after `--metric`: `Views:sum`, `ROAS:mean@Spend`."""
    decimal: str = ""
    """`.` or `,`."""
    bare_units: Mapping[str, str] = field(default_factory=dict)
    """By metric, what its numbers without a unit are: `%`, `plain`, `s`, a currency."""
    encoding: str = ""
    sheet: str = ""
    url_template: str = ""
    consolidate: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)
    """The metric that the numbers of a column are recorded as, for metrics that were renamed."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By metric, the unit of its values on record: `""` (plain), `%`, `‰`, `s`, a currency."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the fields that have no content."""
        body = {**asdict(self), "metrics": list(self.metrics)}
        return {name: value for name, value in body.items() if value}


def read(blobs: BlobStore) -> TableSettings:
    """What is remembered. Raises `StoreCorrupt`."""
    try:
        body = checked.decode(blobs.get(keys.TABLE))
        return TableSettings(**{**body, "metrics": tuple(body.get("metrics", ()))})
    except ObjectMissing:
        return TableSettings()
    except (ValueError, TypeError) as exc:
        raise StoreCorrupt(
            f"{keys.TABLE} is damaged ({exc}). Delete it, and give the options of the next ingest "
            "again."
        ) from exc


def write(blobs: BlobStore, settings: TableSettings) -> None:
    """Remember this from now on."""
    blobs.put(keys.TABLE, checked.encode(settings.as_dict()))


def renamed(settings: TableSettings, old: str, new: str) -> TableSettings:
    """The settings after a metric got another name.

    The columns that were read as the metric still are: the tables of an exporter do not change
    because a metric is called otherwise here.
    """
    columns = {column: new if name == old else name for column, name in settings.renames.items()}
    renames = {column: name for column, name in {**columns, old: new}.items() if column != name}
    return replace(
        settings,
        renames=renames,
        bare_units=_moved(settings.bare_units, old, new),
        units=_moved(settings.units, old, new),
    )


def _moved(values: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    kept = {name: value for name, value in values.items() if name != old}
    return {new: values[old], **kept} if old in values else kept
