"""Whether a file is something other than a video, by its first bytes and its content type. Pure."""

from __future__ import annotations

import codecs
import re

from registry.errors import FetchError

HEAD_BYTES = 512
"""Bytes that are examined. WHATWG MIME Sniffing reads 1,445; the formats told apart here need no
more than these."""

_VIDEO = re.compile(
    rb".{4}(ftyp|moov|mdat|free|skip|wide|pnot|styp)"  # MP4, MOV (ISO/IEC 14496-12)
    rb"|\x1a\x45\xdf\xa3"  # Matroska, WebM (RFC 8794)
    rb"|RIFF.{4}AVI |FLV\x01|OggS|GIF8[79]a|YUV4MPEG2 "
    rb"|\x00\x00\x01[\xba\xb3]"  # MPEG program stream (ISO/IEC 13818-1)
    rb"|\x47.{187}\x47"  # MPEG transport stream: a sync byte every 188
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    re.DOTALL,
)
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|script|!--)", re.IGNORECASE)
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<[a-z!?/]", re.IGNORECASE)
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_TYPES = (
    (re.compile(r"text/html|application/xhtml"), "a web page"),
    (re.compile(r"mpegurl"), "a playlist (HLS)"),
    (re.compile(r"dash\+xml"), "a playlist (DASH)"),
    (re.compile(r"[/+]json"), "JSON"),
    (re.compile(r"[/+]xml"), "XML"),
    (re.compile(r"text/"), "text"),
)


def not_a_video(head: bytes, content_type: str = "") -> str:
    """What a file is, such as "a web page", or "" if it may be a video.

    `head` is its first `HEAD_BYTES` bytes (all of them if there are fewer). The bytes count before
    the content type: some servers declare videos as text, and pages as videos.
    """
    if _VIDEO.match(head):
        return ""
    if head.lstrip().startswith(b"#EXTM3U"):
        return "a playlist (HLS)"
    if _PAGE.match(head):
        return "a web page"
    if _MARKUP.match(head):
        return "XML"
    kind = content_type.partition(";")[0].strip().lower()
    declared = next((what for pattern, what in _TYPES if pattern.search(kind)), "")
    if declared:
        return declared
    if _is_text(head):
        return "JSON" if head.lstrip()[:1] in (b"{", b"[") else "text"
    return ""


def check_is_video(label: str, head: bytes, content_type: str = "") -> None:
    """Raise `FetchError` if a file is not a video; `label` names it in the message."""
    if what := not_a_video(head, content_type):
        raise FetchError(f"{label} is {what}, not a video; give the URL of the video file itself.")


def _is_text(head: bytes) -> bool:
    if not head or _CONTROLS.search(head):
        return False
    try:
        # The head may end within a character, which an incremental decoder accepts.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
