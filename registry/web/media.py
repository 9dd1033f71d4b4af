"""Pictures of faces and files of videos.

A picture is asked for by its key among the objects, and a video by its id. Neither is a path: what
is not a key of a crop, or not a video on record whose file lies on this machine, does not exist.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from registry.core import keys
from registry.core.points import IndexedVideo
from registry.errors import ObjectMissing, UnknownError
from registry.web.site import site_of

_VIDEO_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CROP = re.compile(r"[0-9]{1,10}_[0-9]{1,6}(_[0-9a-f]{16})?\.jpg")
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
}


def crop(request: Request) -> Response:
    """The picture of a face, by its key: `/crops/<video>/<frame>_<position>.jpg`."""
    video, name = request.path_params["video"], request.path_params["name"]
    if not _VIDEO_ID.fullmatch(video) or not _CROP.fullmatch(name):
        raise UnknownError("There is no such picture.")
    try:
        picture = site_of(request).workspace.blobs.get(f"{keys.crops_of(video)}{name}")
    except ObjectMissing as exc:
        raise UnknownError("There is no such picture.") from exc
    return Response(picture, media_type="image/jpeg")


def video_file(request: Request) -> Response:
    """The file of a video, if it lies on this machine; parts of it, if the browser asks so."""
    video_id = request.path_params["video"]
    with site_of(request).workspace.reading() as registry:
        video = registry.index.video(video_id) if _VIDEO_ID.fullmatch(video_id) else None
    path = None if video is None else local_file(video)
    if path is None:
        raise UnknownError("The file of this video is not at hand.")
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=kind)


def local_file(video: IndexedVideo) -> Path | None:
    """The file that a video was read from, if it is on this machine and has its size still."""
    parts = urlsplit(video.url.exposed())
    if parts.scheme != "file":
        return None
    path = Path(unquote(parts.path))
    try:
        there = path.is_file() and path.stat().st_size == video.size
    except OSError:
        return None
    return path if there else None
