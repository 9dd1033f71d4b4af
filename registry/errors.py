"""Every failure that face-registry raises on purpose.

    RegistryError                 exit code 1
    ├── UsageError                exit code 2: an option, a setting or a combination of them
    ├── SourceError               the CSV (or DataFrame) as a whole cannot be read
    ├── RowError                  one row of it cannot be used; `row` says which
    ├── VideoError                one video cannot be used; the run goes on
    │   ├── FetchError            its bytes cannot be had
    │   └── MediaError            its bytes cannot be decoded
    ├── ImageError                a photo cannot be read
    ├── UnknownError              no such identity or video
    ├── EmptyRegistry             nothing has been ingested yet
    ├── ContractError             the registry was built another way (model, threshold, sampling)
    ├── RegistryLocked            another process holds the registry
    ├── ModelError                a model cannot be found, checked or run
    │   └── DeviceError           the device asked for is not there
    └── StoreError                the outside world: objects or index
        ├── StoreUnreachable      no answer
        ├── StoreDenied           the credentials were refused
        ├── StoreFull             no space left
        ├── StoreCorrupt          what came back is not what was written
        ├── ObjectMissing         no object under this key
        └── SnapshotOutdated      what was read has changed since

A message is made of full sentences, with a capital letter and a full stop: first what was found,
naming the thing (row, URL, file, setting), then what to do. The modules that import a foreign
library turn its exceptions into these (``raise ... from exc``), so that no other error reaches a
command.
"""

from __future__ import annotations


class RegistryError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1


class UsageError(RegistryError):
    """An option or a setting is wrong, whatever the registry holds."""

    exit_code = 2


class SourceError(RegistryError):
    """The table of videos cannot be read as a whole."""


class RowError(RegistryError):
    """One row of the table cannot be used."""

    def __init__(self, row: int, url: str, message: str) -> None:
        """`row` as a spreadsheet counts it: the header is row 1."""
        super().__init__(message)
        self.row = row
        self.url = url


class VideoError(RegistryError):
    """One video cannot be used; the others can."""


class FetchError(VideoError):
    """The bytes of a video cannot be had."""


class MediaError(VideoError):
    """The bytes of a video cannot be decoded."""


class NotReadYet(VideoError):
    """A server, the network or this machine failed, which says nothing about the video.

    The next run tries again.
    """


class ImageError(RegistryError):
    """A photo cannot be read."""


class UnknownError(RegistryError):
    """No identity or video goes by this name."""


class EmptyRegistry(RegistryError):
    """There is nothing to ask: nothing has been ingested yet."""


class ContractError(RegistryError):
    """The registry was built with another model, threshold or sampling."""


class RegistryLocked(RegistryError):
    """Another process holds the registry."""


class ModelError(RegistryError):
    """A model cannot be found, checked or run."""


class DeviceError(ModelError):
    """The device that was asked for is not there."""


class StoreError(RegistryError):
    """The object store or the index failed."""


class StoreUnreachable(StoreError):
    """The store gave no answer."""


class StoreDenied(StoreError):
    """The store refused the credentials."""


class StoreFull(StoreError):
    """The store has no space left."""


class StoreCorrupt(StoreError):
    """The store returned something other than what was written to it."""


class ObjectMissing(StoreError):
    """There is no object under this key."""


class SnapshotOutdated(StoreError):
    """The registry changed while it was read, and what is missing is no longer there."""
