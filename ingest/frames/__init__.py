"""Video files to frames: `VideoReader`."""

from ingest.frames.base import Frame, MediaLimits
from ingest.frames.reader import VideoReader

__all__ = ["Frame", "MediaLimits", "VideoReader"]
