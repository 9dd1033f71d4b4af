"""The settings with which a registry reads its tables, remembered from one ingest to the next.

They are one object, `table.json`, which backups and migrations copy.
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
    """The settings of earlier ingests; an empty field was never set."""

    url_column: str = ""
    metrics: tuple[str, ...] = ()
    """As given after `--metric`: `Views:sum`, `ROAS:mean@Spend`."""
    decimal: str = ""
    """`.` or `,`."""
    bare_units: Mapping[str, str] = field(default_factory=dict)
    """The unit of numbers written without one, by metric: `%`, `plain`, `s`, a currency."""
    encoding: str = ""
    sheet: str = ""
    url_template: str = ""
    consolidate: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)
    """The metric as which a column is recorded, by column; of metrics that were renamed."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The unit of the values on record, by metric: `""` (plain), `%`, `‰`, `s`, a currency."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values, without empty ones."""
        body = {**asdict(self), "metrics": list(self.metrics)}
        return {name: value for name, value in body.items() if value}


def load_table_settings(blobs: BlobStore) -> TableSettings:
    """Load the settings; empty ones before the first ingest. Raises `StoreCorrupt`."""
    try:
        body = checked.decode(blobs.get(keys.TABLE))
        return TableSettings(**{**body, "metrics": tuple(body.get("metrics", ()))})
    except ObjectMissing:
        return TableSettings()
    except (ValueError, TypeError) as exc:
        raise StoreCorrupt(
            f"{keys.TABLE} is damaged ({exc}). Delete it, and give the options again at the next "
            "ingest."
        ) from exc


def save_table_settings(blobs: BlobStore, settings: TableSettings) -> None:
    """Save the settings for later ingests."""
    blobs.put(keys.TABLE, checked.encode(settings.as_dict()))


def with_renamed_metric(settings: TableSettings, old: str, new: str) -> TableSettings:
    """The settings after a metric was renamed.

    Columns that were read as the metric still are, because later exports keep their headings.
    """
    columns = {column: new if name == old else name for column, name in settings.renames.items()}
    renames = {column: name for column, name in {**columns, old: new}.items() if column != name}
    return replace(
        settings,
        renames=renames,
        bare_units=_rename_key(settings.bare_units, old, new),
        units=_rename_key(settings.units, old, new),
    )


def _rename_key(values: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    kept = {name: value for name, value in values.items() if name != old}
    return {new: values[old], **kept} if old in values else kept
