"""URLs: parsing, the canonical names of videos, and redaction for display."""

from registry.redaction import CONTROL, Url, printable, redacted
from registry.urls.naming import VideoName, canonical, name_video, names
from registry.urls.parsing import HttpUrl, bucket_and_key, parse
from registry.urls.sites import is_video_file, site_of

__all__ = [
    "CONTROL",
    "HttpUrl",
    "Url",
    "VideoName",
    "bucket_and_key",
    "canonical",
    "is_video_file",
    "name_video",
    "names",
    "parse",
    "printable",
    "redacted",
    "site_of",
]
