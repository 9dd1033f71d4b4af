"""What a file is, and whether it is complete, by bytes of it that need no decoder. Pure."""

from __future__ import annotations

import re
from io import SEEK_END
from typing import BinaryIO

from ingest.fetch.sniffing import HEAD_BYTES, not_a_video

__all__ = [
    "HEAD_BYTES",
    "describe_non_video",
    "is_animated_webp",
    "is_cut_off",
    "still_image_format",
]

_HEIF = re.compile(rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1|avif)", re.DOTALL)
"""Brands of images in an MP4 container (ISO/IEC 23008-12 10.2, AVIF 1.1), which libav opens as
videos."""
_STILL_IMAGES = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
)
_OTHER_FORMATS = (
    # Only for files that libav could not open: it opens a PNG that is animated.
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "an image (PNG)"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio only (MP3)"),
    (re.compile(rb"\xff[\xf1\xf9]"), "audio only (AAC)"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio only (WAV)"),
    (re.compile(rb"fLaC"), "audio only (FLAC)"),
    (re.compile(rb"FORM.{4}AIF", re.DOTALL), "audio only (AIFF)"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf|BZh|\xfd7zXZ"), "an archive"),
)
_MP4 = re.compile(rb".{4}(ftyp|moov|mdat|free|skip|wide)", re.DOTALL)

_MP4_BOXES = frozenset(
    b"ftyp styp moov mdat free skip wide moof mfra sidx ssix meta uuid pdin udta emsg prft".split()
)
"""Boxes at the top level of MP4 and QuickTime files. Reading stops at any other."""
_MAX_BOXES = 100_000
"""Top-level boxes that are read: fragmented MP4 has two or three for each fragment, so this is half
a day of fragments of a second."""


def still_image_format(head: bytes) -> str:
    """The name of the still image format that a file begins with ("JPEG"), or "".

    An animated WebP or AVIF is not a still image. PNG is not recognised: whether one is animated
    cannot be told from its first bytes.
    """
    brand = _HEIF.match(head)
    if brand:
        return "AVIF" if brand[1].startswith(b"avi") else "HEIF"
    if is_animated_webp(head):
        return ""
    return next((name for pattern, name in _STILL_IMAGES if pattern.match(head)), "")


def is_animated_webp(head: bytes) -> bool:
    """Whether a file begins as a WebP with the animation flag set (RFC 9649 2.7)."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)


def describe_non_video(head: bytes) -> str:
    """Why a file that begins so cannot be opened as a video: "it is a web page, not a video"."""
    if not head:
        return "it is empty"
    what = not_a_video(head) or next(
        (w for pattern, w in _OTHER_FORMATS if pattern.match(head)), ""
    )
    if what:
        return f"it is {what}, not a video"
    if _MP4.match(head):
        return "its index (moov) is missing or damaged; the file is probably incomplete"
    return "it is damaged or not in a supported video format"


def is_cut_off(file: BinaryIO) -> bool:
    """Whether a file is shorter than its container states; False where it states no length.

    MP4 and AVI are series of boxes that begin with their sizes, Matroska is one element with its
    size, GIF and PNG end with a trailer. Changes the position in the file.
    """
    length = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(64)
    if head[4:8] in _MP4_BOXES:
        return _end_of_boxes(file, length) > length
    if head[:4] == b"RIFF":
        return _end_of_chunks(file, length) > length
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _end_of_segment(head) > length
    file.seek(max(0, length - 12))
    tail = file.read()
    if head[:4] == b"GIF8":
        return tail[-1:] not in (b";", b"\0")
    return head[:4] == b"\x89PNG" and tail[4:8] != b"IEND"


def _end_of_boxes(file: BinaryIO, length: int) -> int:
    """Where the last top-level box of an MP4 ends (ISO/IEC 14496-12 4.2)."""
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        header = file.read(16)
        size = int.from_bytes(header[:4], "big")
        if size == 1 and len(header) == 16:
            size = int.from_bytes(header[8:], "big")
        if size < 8 or header[4:8] not in _MP4_BOXES:
            return at  # a size of 0 means "to the end of the file"
        at += size
        if at >= length:
            return at
    return 0


def _end_of_chunks(file: BinaryIO, length: int) -> int:
    """Where the last RIFF chunk ends: AVI has one, OpenDML one for each gigabyte."""
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        header = file.read(8)
        size = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or size in (0, 0xFFFFFFFF):
            return at  # the writer never filled in the size, or other bytes were appended
        at += 8 + size
        if at >= length:
            return at
        at += size % 2
    return 0


def _end_of_segment(head: bytes) -> int:
    """Where a Matroska file ends (RFC 8794 4, RFC 9559 5.1); 0 if it does not state a size."""
    at = 4
    header_size, width = _read_vint(head, at)
    at += width + header_size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    size, width = _read_vint(head, at + 4)
    unknown = (1 << 7 * width) - 1
    return 0 if not width or size == unknown else at + 4 + width + size


def _read_vint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-size integer of EBML and how many bytes it takes; (0, 0) if it is not valid."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if width > 8:
        return 0, 0
    value = int.from_bytes(data[at : at + width], "big")
    return value & ((1 << 7 * width) - 1), width
