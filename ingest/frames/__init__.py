"""Video files to sampled frames, in this process or in a confined one."""

from typing import TYPE_CHECKING, Any

from ingest.frames.decoder_client import DecoderClient
from ingest.frames.interface import Frame, FrameReader, MediaLimits, OpenVideo, Sampling

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import `VideoReader`, and PyAV with it, where it is used: workers decode elsewhere."""
    if name == "VideoReader":
        from ingest.frames.reader import VideoReader

        return VideoReader
    raise AttributeError(f"module {__name__} has no attribute {name}")
