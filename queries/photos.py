"""The photos of lookups: from a file, bytes, a PIL image or an array to pixels."""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as Picture
from PIL import ImageOps, UnidentifiedImageError

from registry.domain import Image
from registry.errors import ImageError, UsageError

MAX_PIXELS = 100_000_000
"""More than any camera of 2026 takes, except for stitched photos; 300 MB once decoded."""
MAX_BYTES = 200 * 1024 * 1024

Channels: TypeAlias = Literal["RGB", "BGR"]
"""The order of the channels of an array."""
PhotoSource: TypeAlias = Path | str | bytes | Picture.Image | Image
"""A path, the bytes of a file, a PIL image, or an array uint8 (H, W, 3)."""

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg"),
    *(".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""How the names of photos in a folder end, in lower or upper case."""
_BY_PILLOW = ("HEIF", "AVIF")
"""Formats that Pillow decodes. All others are decoded by OpenCV, as those of crops are."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that was read."""

    image: Image
    """BGR uint8 (H, W, 3), upright."""
    name: str = ""
    """Its path; empty if it was not read from a file."""
    digest: str = ""
    """sha256 of the bytes of the file; empty for a PIL image and an array."""


def load_photo(source: PhotoSource, channels: Channels | None = None) -> Photo:
    """The pixels of a photo. A file is turned upright by its EXIF orientation.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array uint8 (H, W, 3).
        channels: the order of the channels; for an array, and only for it.

    Raises:
        ImageError: the file does not exist, is not an image, is damaged, or is too large; or the
            array is not uint8 (H, W, 3).
        UsageError: `channels` is missing for an array, or given for something else.
    """
    if isinstance(source, np.ndarray):
        return Photo(_from_array(source, channels))
    if channels is not None:
        raise UsageError(
            f"channels={channels!r} is given, and the photo is not an array. Leave it out: files "
            "and PIL images tell the order of their channels."
        )
    if isinstance(source, Picture.Image):
        return Photo(_from_picture(source))
    if isinstance(source, bytes):
        return _from_bytes(source, "The photo", "")
    path = Path(source)
    return _from_bytes(_content(path), str(path), str(path))


def photos_in(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders whose names end as those of photos do, sorted.

    Hidden files and folders are left out.
    """
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name.lower().endswith(SUFFIXES) and path.is_file():
            yield path


def _from_array(array: Image, channels: Channels | None) -> Image:
    if channels not in ("RGB", "BGR"):
        raise UsageError(
            f"An array does not tell the order of its channels, and channels is {channels!r}. "
            'Give channels="RGB" (PIL, imageio, Matplotlib) or channels="BGR" (OpenCV).'
        )
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ImageError(
            f"The array is {array.dtype} {array.shape}, and not uint8 (H, W, 3). Convert it first."
        )
    return np.ascontiguousarray(array[..., ::-1] if channels == "RGB" else array)


def _from_picture(picture: Picture.Image) -> Image:
    try:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError) as exc:
        raise ImageError(f"The photo cannot be decoded ({exc}). Give another.") from exc
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


def _content(path: Path) -> bytes:
    """The bytes of a file, which is a regular one and not too large."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path} is a folder. Give a photo.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is a device or a pipe, not a file. Give a photo.")
        if status.st_size > MAX_BYTES:
            raise _too_many_bytes(str(path), status.st_size)
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ImageError(f"There is no file {path}. Give the path of a photo.") from exc
    except OSError as exc:
        raise ImageError(f"{path} cannot be read ({exc.strerror}). Give another photo.") from exc


def _too_many_bytes(label: str, size: int) -> ImageError:
    return ImageError(f"{label} has {size:,} bytes. Give a photo of {MAX_BYTES:,} at most.")


def _from_bytes(data: bytes, label: str, name: str) -> Photo:
    """The photo in these bytes; messages call it `label`."""
    if not data:
        raise ImageError(f"{label} is empty. Give another photo.")
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(label, len(data))
    image = _decoded(data, label)
    return Photo(image, name, hashlib.sha256(data).hexdigest())


def _decoded(data: bytes, label: str) -> Image:
    """BGR uint8 (H, W, 3). The header is checked before anything is decoded."""
    import cv2  # here, as pillow-heif: commands that read no photo should not wait for them
    from pillow_heif import register_heif_opener

    register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data)) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise ImageError(
                        f"{label} has {width} x {height} px. Give a photo of {MAX_PIXELS:,} px at "
                        "most."
                    )
                if picture.format in _BY_PILLOW:
                    return _from_picture(picture)
    except UnidentifiedImageError as exc:
        raise ImageError(
            f"{label} is not an image ({len(data):,} bytes). Give a photo such as a JPEG or PNG."
        ) from exc
    except (OSError, ValueError, Picture.DecompressionBombError, SyntaxError) as exc:
        raise ImageError(f"{label} cannot be read as an image ({exc}). Give another.") from exc
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(
            f"{label} is damaged or has a format that OpenCV does not read. Give a JPEG or PNG."
        )
    return np.asarray(image, dtype=np.uint8)
