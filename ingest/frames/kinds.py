"""What a file that is no video is instead, by its first bytes. Pure."""

from __future__ import annotations

import re

from ingest.fetch.sniffing import HEAD_BYTES, not_a_video

__all__ = ["HEAD_BYTES", "instead", "is_animated_webp", "still_image"]

_HEIF = re.compile(rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1|avif|avis)", re.DOTALL)
"""Brands of images in MP4's clothes (ISO/IEC 23008-12 10.2, AVIF 1.1): libav calls them video."""

_STILL = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
)
_OTHERS = (
    # A PNG is tried first: with an acTL chunk somewhere before its pixels it is an animation.
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


def still_image(head: bytes) -> str:
    """The name of the image format that a file begins with ("JPEG"), or "".

    Formats that hold pictures in motion as well are told apart: an animated WebP is no still image.
    PNG is not told here: whether it is animated takes more than its head.
    """
    brand = _HEIF.match(head)
    if brand:
        return "AVIF" if brand[1].startswith(b"avi") else "HEIF"
    if is_animated_webp(head):
        return ""
    return next((name for pattern, name in _STILL if pattern.match(head)), "")


def is_animated_webp(head: bytes) -> bool:
    """Whether a file begins as a WebP with the animation flag set (RFC 9649 2.7)."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2)


def instead(head: bytes) -> str:
    """One clause on a file that could not be opened as a video: "it is a web page, not a video"."""
    if not head:
        return "it is empty"
    what = not_a_video(head) or next((w for pattern, w in _OTHERS if pattern.match(head)), "")
    if what:
        return f"it is {what}, not a video"
    if _MP4.match(head):
        return "its index (moov) is missing or damaged; most often such a file is incomplete"
    return "it is damaged, or in no video format that is read here"
