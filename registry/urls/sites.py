"""Pages of well-known video sites: one name for all forms of a video's URL.

The forms are those from which yt-dlp 2026.10.26 reads the same id (`_VALID_URL` of the extractor
named with each rule).
"""

from __future__ import annotations

import re
from collections.abc import Callable

SITES = frozenset(
    {
        *("dailymotion.com", "facebook.com", "fb.watch", "instagram.com", "tiktok.com"),
        *("twitch.tv", "twitter.com", "vimeo.com", "x.com", "youtu.be", "youtube-nocookie.com"),
        "youtube.com",
    }
)
"""Sites whose pages are treated as pages with videos, with or without yt-dlp."""

_VIDEO_FILE = re.compile(
    r"\.(3g2|3gp|asf|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ogg|ogv|ts|webm|webp|wmv)$", re.I
)

_YOUTUBE_ID = "[A-Za-z0-9_-]{11}"
_YOUTUBE = re.compile(rf"/(?:embed|e|live|shorts|v)/(?!videoseries|live_stream)({_YOUTUBE_ID})/?")
_YOUTU_BE = re.compile(rf"/({_YOUTUBE_ID})/?")
_TIKTOK = re.compile(r"/@[\w.-]*/(video|photo)/([0-9]+)/?")
_TIKTOK_VIDEO = re.compile(r"/(?:v/([0-9]+)\.html|embed/(?:v[0-9]+/)?([0-9]+))/?")
_INSTAGRAM = re.compile(r"/(?:(?!share/)[\w.]+/)?(?:p|reels?|tv)/([A-Za-z0-9_-]+)/?")
_FACEBOOK_V = re.compile(r"/(?:watch(?:/live)?|video\.php|video/video\.php)/?")
_FACEBOOK = re.compile(r"/(?:reel|[^/]+/videos(?:/[^/]+)?)/([0-9]+)/?")
_VIMEO = re.compile(r"/(?:video/)?([0-9]+)(?:/([0-9a-f]{6,}))?/?")
_X = re.compile(r"/(?:i/web|\w+)/status/([0-9]+)(?:/(?:video|photo)/([0-9]))?/?")


def is_video_file(path: str) -> bool:
    """Whether a URL's path ends in the name of a video file, which is fetched as it is."""
    return _VIDEO_FILE.search(path) is not None


def site_of(host: str, path: str) -> str:
    """The site of `SITES` that a URL is a page of; "" for any other, and for a file."""
    if is_video_file(path):
        return ""
    site = ".".join(host.split(".")[-2:])
    return site if site in SITES else ""


def page_name(site: str, path: str, query: str) -> tuple[str, tuple[str, ...]] | None:
    """The one URL of the video on a page, and the names of the parameters that it leaves out.

    None if the URL is not known to be of one video (a channel, a list, a short link).

    Args:
        site: what `site_of` gives.
        path: normalised.
        query: normalised, without the question mark.
    """
    if site not in _RULES:
        return None
    selecting, rule = _RULES[site]
    pairs = [piece.partition("=") for piece in query.split("&")]
    values = {value for name, _, value in pairs if name == selecting}
    if len(values) > 1:  # it is not known which of them the site uses
        return None
    video = rule(path, values.pop() if values else "")
    if not video:
        return None
    return video, tuple(dict.fromkeys(name for name, *_ in pairs if name not in {selecting, ""}))


def _youtube(path: str, v: str) -> str:
    """YoutubeIE: watch?v=, embed/, e/, live/, shorts/, v/, on any subdomain (m., music.)."""
    match = _YOUTUBE.fullmatch(path)
    name = match[1] if match else v if path in {"/watch", "/watch/"} else ""
    return f"https://www.youtube.com/watch?v={name}" if re.fullmatch(_YOUTUBE_ID, name) else ""


def _youtu_be(path: str, _: str) -> str:
    """YoutubeIE: youtu.be/ID."""
    match = _YOUTU_BE.fullmatch(path)
    return f"https://www.youtube.com/watch?v={match[1]}" if match else ""


def _tiktok(path: str, _: str) -> str:
    """TikTokIE: @user/video/ID, @/video/ID, embed/ID; m.tiktok.com/v/ID.html leads there.

    The user is left out, since the id is unique and users change their names. yt-dlp writes `@_`
    for an unknown user.
    """
    if match := _TIKTOK.fullmatch(path):
        return f"https://www.tiktok.com/@_/{match[1]}/{match[2]}"
    match = _TIKTOK_VIDEO.fullmatch(path)
    return f"https://www.tiktok.com/@_/video/{match[1] or match[2]}" if match else ""


def _instagram(path: str, _: str) -> str:
    """InstagramIE: p/, reel/, reels/ and tv/, with a user in front or without; not share/."""
    match = _INSTAGRAM.fullmatch(path)
    return f"https://www.instagram.com/p/{match[1]}/" if match else ""


def _facebook(path: str, v: str) -> str:
    """FacebookIE and FacebookReelIE: watch?v=, watch/live?v=, video.php?v=, PAGE/videos/, reel/."""
    match = _FACEBOOK.fullmatch(path)
    name = match[1] if match else v if _FACEBOOK_V.fullmatch(path) else ""
    return f"https://www.facebook.com/watch/?v={name}" if re.fullmatch("[0-9]+", name) else ""


def _vimeo(path: str, h: str) -> str:
    """VimeoIE: vimeo.com/ID, vimeo.com/ID/HASH, player.vimeo.com/video/ID?h=HASH.

    The hash is needed for unlisted videos.
    """
    match = _VIMEO.fullmatch(path)
    if not match:
        return ""
    hidden = match[2] or h
    return f"https://vimeo.com/{match[1]}{f'/{hidden}' if hidden.isalnum() else ''}"


def _x(path: str, _: str) -> str:
    """TwitterIE: USER/status/ID; /video/2 is the second video of a post that has several."""
    match = _X.fullmatch(path)
    if not match:
        return ""
    further = f"/video/{match[2]}" if match[2] and match[2] not in "01" else ""
    return f"https://x.com/i/status/{match[1]}{further}"


_RULES: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "facebook.com": ("v", _facebook),
    "instagram.com": ("", _instagram),
    "tiktok.com": ("", _tiktok),
    "twitter.com": ("", _x),
    "vimeo.com": ("h", _vimeo),
    "x.com": ("", _x),
    "youtu.be": ("", _youtu_be),
    "youtube-nocookie.com": ("v", _youtube),
    "youtube.com": ("v", _youtube),
}
"""By site: the parameter that selects the video ("" for none), and the function that makes the name
from the path and the value of that parameter."""
