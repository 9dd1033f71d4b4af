"""The picture of a face that is kept: cut out of its frame with a margin, as JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from registry.domain import Box, Image
from registry.errors import MediaError
from registry.faces.boxes import crop_area

JPEG_QUALITY = 95
"""On libjpeg's scale. JPEG alone lowers the cosine of the faces in `docs/BENCHMARKS.md`, "Faces in
their crops", by 0.006 (median; largest 0.009)."""


def crop(image: Image, box: Box) -> bytes:
    """The face in `box` of a BGR uint8 (H, W, 3) image, as JPEG bytes."""
    shown = crop_area(box, image.shape[1], image.shape[0])
    cut = image[shown.top : shown.bottom, shown.left : shown.right]
    if (cut.shape[1], cut.shape[0]) != shown.size:
        cut = np.asarray(cv2.resize(cut, shown.size, interpolation=cv2.INTER_AREA), np.uint8)
    done, buffer = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise MediaError(f"a face of {cut.shape[1]}x{cut.shape[0]} px could not be kept as JPEG")
    return buffer.tobytes()
