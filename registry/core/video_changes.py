"""Changes of a video on record that leave its faces as they are, and of the names of metrics.

Each is safe against a crash: an intent names the video from before its record is written until the
index has the change.
"""

from __future__ import annotations

from registry.core import keys
from registry.core.metric_history import history_of, renamed
from registry.core.recovery import Replacement, remove_replaced
from registry.core.registry import Registry
from registry.core.table_settings import (
    load_table_settings,
    save_table_settings,
    with_renamed_metric,
)
from registry.domain import Video
from registry.errors import UnknownError, UsageError
from registry.urls import printable


def revise(registry: Registry, video: Video) -> None:
    """Put a record in the place of the one of the same video, whose faces are the same."""
    with registry.writing():
        if not registry.records.has(video.video_id):
            raise UnknownError(f"There is no video {video.video_id} on record.")
        index = registry.index
        with registry.intent(video.video_id, keep=True):
            registry.records.put(video)
            index.put_details(video, registry.view)


def absorb(registry: Registry, gone: str, into: Video) -> None:
    """Revise a video, and remove another one that turned out to have the same content.

    Args:
        registry: the registry.
        gone: id of the video to remove. Its names, attributes and metrics are the caller's to keep.
        into: the record to write.
    """
    with registry.writing():
        before, index, view = registry.records.get(gone), registry.index, registry.view
        faces = before.faces if before else ()
        replaced = Replacement(
            tuple(sorted({view.identity_of(face) for face in faces})),
            tuple(sorted(face.crop for face in faces)),
        )
        with registry.intent(gone, replaced.encode()):
            revise(registry, into)
            registry.records.delete(gone)
            index.remove(gone, view)
            remove_replaced(replaced, index, registry.blobs, view)
        registry.rereads.unmark(gone)


def discard_crops(registry: Registry, video_id: str) -> None:
    """Remove the crops of a video that has no record: it turned out to be another one."""
    with registry.writing():
        if not registry.records.has(video_id):
            for info in list(registry.blobs.list(keys.crops_of(video_id))):
                registry.blobs.delete(info.key)


def metric_names(registry: Registry) -> set[str]:
    """The metrics of which a video has a value."""
    return {name for video in registry.index.videos() for name in video.metrics}


def rename_metric(registry: Registry, old: str, new: str) -> int:
    """Give a metric another name, in all records. Returns how many records changed.

    A video that has values under both names keeps all of them; the latest counts. After a crash,
    the same call continues.

    Raises:
        UnknownError: there is no such metric.
        UsageError: the name is not usable, or one run brought values under both names.
    """
    new = new.strip()
    if not new or printable(new) != new:
        raise UsageError(f"'{printable(new)}' cannot be the name of a metric.")
    if old == new:
        raise UsageError(f'"{printable(old)}" is its name already.')
    with registry.writing():
        contract, settings = registry.contract, load_table_settings(registry.blobs)
        units = {settings.units[name] for name in (old, new) if name in settings.units}
        if len(units) > 1:
            raise UsageError(
                f'"{printable(old)}" and "{printable(new)}" have different units and cannot be one '
                "metric. Choose another name."
            )
        named = [v.video_id for v in registry.records.all() if old in v.metrics or old in v.history]
        if not named and old != contract.primary_metric and old not in settings.units:
            raise UnknownError(
                f'There is no metric "{printable(old)}". `face-registry metrics list` shows all.'
            )
        for video_id in named:
            video = registry.records.get(video_id)
            if video is not None:
                _check_runs(video, old, new)
        for video_id in named:
            video = registry.records.get(video_id)
            if video is not None:
                revise(registry, renamed(video, old, new))
        save_table_settings(registry.blobs, with_renamed_metric(settings, old, new))
        if contract.primary_metric == old:
            registry.set_primary_metric(new)
        return len(named)


def make_first(registry: Registry, name: str) -> None:
    """Make a metric the one that reports average by name. Raises `UnknownError`."""
    if name != registry.contract.primary_metric and name not in metric_names(registry):
        raise UnknownError(
            f'no video has a value of "{printable(name)}"; `face-registry metrics list` shows the '
            "metrics there are"
        )
    with registry.writing():
        registry.set_primary_metric(name)


def _check_runs(video: Video, old: str, new: str) -> None:
    runs = [{value.run for value in history_of(video, name)} for name in (old, new)]
    if runs[0] & runs[1]:
        raise UsageError(
            f'One ingest brought values of both "{printable(old)}" and "{printable(new)}" for '
            f"{video.url}: they are two metrics. Choose another name."
        )
