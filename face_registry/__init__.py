"""face-registry from Python: who is on screen, and how the videos with that person perform.

    import face_registry as fr

    if __name__ == "__main__":
        with fr.open_registry(home="faces") as registry:
            fr.ingest(registry, "videos.csv")      # or a DataFrame
            table = fr.averages(registry)          # a DataFrame, one row per identity
            answer = fr.lookup(registry, "photo.jpg")

The names in `__all__` are the public interface; `docs/PYTHON.md` describes it. Everything else in
`registry`, `ingest` and `queries` is internal and may change with any version.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from registry import __version__
from registry.errors import (
    ContractError,
    DeviceError,
    EmptyRegistry,
    FetchError,
    ImageError,
    MediaError,
    ModelError,
    NotReadYet,
    ObjectMissing,
    RegistryError,
    RegistryLocked,
    RowError,
    SnapshotOutdated,
    SourceError,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UnknownError,
    UsageError,
    VideoError,
)

if TYPE_CHECKING:
    from face_registry import plot, statistics
    from ingest import ingest
    from ingest.api import retry
    from ingest.fetch.addresses import AddressPolicy
    from ingest.fetch.downloads import FetchLimits
    from ingest.fetch.network import Network
    from ingest.frames import MediaLimits
    from ingest.summary import Failure, NothingRead, Summary
    from queries.annotations import write_coco, write_fiftyone
    from queries.answers import CloseSecond, LookupAnswer, Match, MatchedFace, Probe
    from queries.averages import averages
    from queries.export import write_csv, write_zip
    from queries.face_images import ShownTable, crop, show
    from queries.folder_lookup import lookup_folder
    from queries.frames import (
        appearances_frame,
        changes_frame,
        faces_frame,
        identities_frame,
        pairs_frame,
        persons_by_video,
        timeline_frame,
        videos_frame,
    )
    from queries.identity_effects import Effect, effects
    from queries.lookup import lookup
    from queries.page.writing import write_page
    from queries.report import report
    from queries.screen_time import timeline
    from queries.timelines import Interval, PersonOnScreen
    from registry import Registry, open_registry
    from registry.core.decisions import Decision
    from registry.core.points import IndexedVideo
    from registry.domain import Identity
    from registry.footage.duplicates import DuplicateVideos, duplicate_videos
    from registry.footage.joining import join_videos, separate_videos
    from registry.people.corrections import FaceSelection, hide, merge, separate, split, undo
    from registry.people.joining import Suggestion, consolidate, suggest

__all__ = [
    "AddressPolicy",
    "CloseSecond",
    "ContractError",
    "Decision",
    "DeviceError",
    "DuplicateVideos",
    "Effect",
    "EmptyRegistry",
    "FaceSelection",
    "Failure",
    "FetchError",
    "FetchLimits",
    "Identity",
    "ImageError",
    "IndexedVideo",
    "Interval",
    "LookupAnswer",
    "Match",
    "MatchedFace",
    "MediaError",
    "MediaLimits",
    "ModelError",
    "Network",
    "NotReadYet",
    "NothingRead",
    "ObjectMissing",
    "PersonOnScreen",
    "Probe",
    "Registry",
    "RegistryError",
    "RegistryLocked",
    "RowError",
    "ShownTable",
    "SnapshotOutdated",
    "SourceError",
    "StoreCorrupt",
    "StoreDenied",
    "StoreError",
    "StoreFull",
    "StoreUnreachable",
    "Suggestion",
    "Summary",
    "UnknownError",
    "UsageError",
    "VideoError",
    "__version__",
    "appearances_frame",
    "averages",
    "changes_frame",
    "consolidate",
    "crop",
    "duplicate_videos",
    "effects",
    "faces_frame",
    "hide",
    "identities_frame",
    "ingest",
    "join_videos",
    "lookup",
    "lookup_folder",
    "merge",
    "open_registry",
    "pairs_frame",
    "persons_by_video",
    "plot",
    "report",
    "retry",
    "separate",
    "separate_videos",
    "show",
    "split",
    "statistics",
    "suggest",
    "timeline",
    "timeline_frame",
    "undo",
    "videos_frame",
    "write_coco",
    "write_csv",
    "write_fiftyone",
    "write_page",
    "write_zip",
]

_MODULES = {
    "ingest": "ingest",
    "ingest.fetch.addresses": "AddressPolicy",
    "ingest.api": "retry",
    "ingest.fetch.downloads": "FetchLimits",
    "ingest.fetch.network": "Network",
    "ingest.frames": "MediaLimits",
    "ingest.summary": "Failure NothingRead Summary",
    "queries.annotations": "write_coco write_fiftyone",
    "queries.answers": "CloseSecond LookupAnswer Match MatchedFace Probe",
    "queries.averages": "averages",
    "queries.export": "write_csv write_zip",
    "queries.face_images": "ShownTable crop show",
    "queries.folder_lookup": "lookup_folder",
    "queries.frames": "appearances_frame changes_frame faces_frame identities_frame pairs_frame "
    "persons_by_video timeline_frame videos_frame",
    "queries.identity_effects": "Effect effects",
    "queries.lookup": "lookup",
    "queries.page.writing": "write_page",
    "queries.report": "report",
    "queries.screen_time": "timeline",
    "queries.timelines": "Interval PersonOnScreen",
    "registry": "Registry open_registry",
    "registry.core.decisions": "Decision",
    "registry.core.points": "IndexedVideo",
    "registry.domain": "Identity",
    "registry.footage.duplicates": "DuplicateVideos duplicate_videos",
    "registry.footage.joining": "join_videos separate_videos",
    "registry.people.corrections": "FaceSelection hide merge separate split undo",
    "registry.people.joining": "Suggestion consolidate suggest",
}
"""The names that each module provides, imported on first use: they bring NumPy, pandas and Qdrant,
which take seconds."""
_SOURCES = {name: module for module, names in _MODULES.items() for name in names.split()}


if not TYPE_CHECKING:  # a type checker reads the imports above and reports names that do not exist

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name in ("plot", "statistics"):
            return import_module(f"face_registry.{name}")
        if name not in _SOURCES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_SOURCES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names, for completion in notebooks."""
    return sorted(__all__)
