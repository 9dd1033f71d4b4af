"""The names that earlier versions gave to pages of well-known video sites.

Ids of videos follow from names, so a registry made then has its records under these.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

_ID = r"([A-Za-z0-9_-]{6,20})"
_YOUTUBE = re.compile(rf"/(?:embed|live|shorts|v)/{_ID}/?")
_TIKTOK = re.compile(r"(/@[\w.-]*/(?:video|photo)/[0-9]+)/?")
_INSTAGRAM = re.compile(r"/(?:[\w.]+/)?(?:p|reels?|tv)/([A-Za-z0-9_-]+)/?")
_VIMEO = re.compile(r"/(?:video/)?([0-9]+)(?:/([0-9a-f]{6,}))?/?")
_X = re.compile(r"/(?:i/web|\w+)/status/([0-9]+)(?:/(?:video|photo)/[0-9])?/?")


def first_page_name(site: str, path: str, query: str) -> str:
    """The name of the first naming, which knew no Facebook; "" where it took the URL as it is.

    Arguments as of `registry.urls.sites.page_name`.
    """
    if not site:
        return ""
    values = parse_qs(query)
    match site:
        case "youtube.com" | "youtube-nocookie.com" | "youtu.be":
            if site == "youtu.be":
                path, values = f"/v{path}", {}
            match = _YOUTUBE.fullmatch(path)
            name = match[1] if match else values.get("v", [""])[0] if path == "/watch" else ""
            return f"https://www.youtube.com/watch?v={name}" if re.fullmatch(_ID, name) else ""
        case "tiktok.com":
            match = _TIKTOK.fullmatch(path)
            return f"https://www.tiktok.com{match[1]}" if match else ""
        case "instagram.com":
            match = _INSTAGRAM.fullmatch(path)
            return f"https://www.instagram.com/p/{match[1]}/" if match else ""
        case "vimeo.com":
            match = _VIMEO.fullmatch(path)
            if not match:
                return ""
            hidden = match[2] or values.get("h", [""])[0]
            return f"https://vimeo.com/{match[1]}{f'/{hidden}' if hidden.isalnum() else ''}"
        case "twitter.com" | "x.com":
            match = _X.fullmatch(path)
            return f"https://x.com/i/status/{match[1]}" if match else ""
    return ""
