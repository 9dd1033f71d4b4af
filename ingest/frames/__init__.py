"""Video files to sampled frames, in this process or in a confined one."""

from ingest.frames.decoder_client import DecoderClient
from ingest.frames.interface import Frame, FrameReader, MediaLimits, OpenVideo, Sampling
from ingest.frames.reader import VideoReader

__all__ = [
    "DecoderClient",
    "Frame",
    "FrameReader",
    "MediaLimits",
    "OpenVideo",
    "Sampling",
    "VideoReader",
]
