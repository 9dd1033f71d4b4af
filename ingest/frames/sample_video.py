"""A video that is made on the spot, to measure how fast videos are processed."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

SIZE = 640, 360
FPS = 30
_OPTIONS = {"preset": "veryfast", "crf": "28", "g": "60", "threads": "1"}
_PHOTO = "data/astronaut.png"
"""A portrait in scikit-image (512 x 512, NASA, public domain)."""
_TRAVEL = 120
"""Pixels that the portrait moves across the frame, so that no frame is like the one before."""


def write_sample_video(path: Path, seconds: float) -> None:
    """Write H.264 in MP4 in which one face moves from left to right."""
    data = np.frombuffer((files("skimage") / _PHOTO).read_bytes(), np.uint8)
    photo = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert photo is not None
    width, height = SIZE
    portrait = cv2.resize(photo, (height, height), interpolation=cv2.INTER_AREA)
    frames = round(seconds * FPS)
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=FPS, options=_OPTIONS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((height, width, 3), 90, np.uint8)
            left = 40 + _TRAVEL * number // frames
            picture[:, left : left + height] = portrait
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
