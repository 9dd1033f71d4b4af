"""From a table of videos to faces on record."""

from ingest.api import ingest

__all__ = ["ingest"]
