"""A photo that somebody asks about: read from a file, upright, or refused with a sentence."""

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
"""Beyond any camera's photo in 2026 bar stitched ones; 300 MB once decoded."""
MAX_BYTES = 200 * 1024 * 1024


def read_photo(path: Path) -> Image:
    """The photo as BGR uint8 (H, W, 3), turned upright as its EXIF orientation says.

    Raises:
        ImageError: there is no such file, it is no image, or it is too large.
    """
    try:
        found = path.stat()
        size = found.st_size
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ImageError(f"{path} is a device or a pipe, not a file; give a photo")
        if size > MAX_BYTES:
            raise ImageError(f"{path} has {size:,} bytes; a photo may have {MAX_BYTES:,} at most")
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise ImageError(f"there is no file {path}") from exc
    except OSError as exc:
        raise ImageError(f"{path} cannot be read ({exc.strerror})") from exc
    if not data:
        raise ImageError(f"{path} is empty")
    _check_header(path, size)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{path} is damaged, or an image of a kind that OpenCV does not read")
    return np.asarray(image, dtype=np.uint8)


def _check_header(path: Path, size: int) -> None:
    """Width and height from the header, before anything is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
            with Picture.open(path) as picture:
                width, height = picture.size
    except UnidentifiedImageError as exc:
        raise ImageError(
            f"{path} is not an image ({size:,} bytes); give a photo such as a JPEG or PNG"
        ) from exc
    except (OSError, ValueError, Picture.DecompressionBombError, SyntaxError) as exc:
        raise ImageError(f"{path} cannot be read as an image ({exc})") from exc
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path} has {width} x {height} px; a photo may have {MAX_PIXELS:,} px at most"
        )
