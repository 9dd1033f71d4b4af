"""Reading the photo of a lookup from a file."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from registry.domain import Image
from registry.errors import ImageError

MAX_PIXELS = 100_000_000
"""More than any camera of 2026 takes, except for stitched photos; 300 MB once decoded."""
MAX_BYTES = 200 * 1024 * 1024


def read_photo(path: Path) -> Image:
    """The photo as BGR uint8 (H, W, 3), turned upright by its EXIF orientation.

    Raises:
        ImageError: the file does not exist, is not an image, is damaged, or is too large.
    """
    try:
        status = path.stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path} is a device or a pipe, not a file. Give a photo.")
        if size > MAX_BYTES:
            raise ImageError(f"{path} has {size:,} bytes. Give a photo of {MAX_BYTES:,} at most.")
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise ImageError(f"There is no file {path}. Give the path of a photo.") from exc
    except OSError as exc:
        raise ImageError(f"{path} cannot be read ({exc.strerror}). Give another photo.") from exc
    if not data:
        raise ImageError(f"{path} is empty. Give another photo.")
    _check_header(path, size)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(
            f"{path} is damaged or has a format that OpenCV does not read. Give a JPEG or PNG."
        )
    return np.asarray(image, dtype=np.uint8)


def _check_header(path: Path, size: int) -> None:
    """Check width and height in the header, before anything is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
            with Picture.open(path) as picture:
                width, height = picture.size
    except UnidentifiedImageError as exc:
        raise ImageError(
            f"{path} is not an image ({size:,} bytes). Give a photo such as a JPEG or PNG."
        ) from exc
    except (OSError, ValueError, Picture.DecompressionBombError, SyntaxError) as exc:
        raise ImageError(f"{path} cannot be read as an image ({exc}). Give another.") from exc
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path} has {width} x {height} px. Give a photo of {MAX_PIXELS:,} px at most."
        )
