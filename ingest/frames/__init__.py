"""Video files to frames: `VideoReader`, and `Decoder`, which has one in a process apart."""

from ingest.frames.apart import Decoder
from ingest.frames.base import Frame, Frames, MediaLimits, Read
from ingest.frames.reader import VideoReader

__all__ = ["Decoder", "Frame", "Frames", "MediaLimits", "Read", "VideoReader"]
