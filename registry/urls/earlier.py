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
            found = _YOUTUBE.fullmatch(path)
            name = found[1] if found else values.get("v", [""])[0] if path == "/watch" else ""
            return f"https://www.youtube.com/watch?v={name}" if re.fullmatch(_ID, name) else ""
        case "tiktok.com":
            found = _TIKTOK.fullmatch(path)
            return f"https://www.tiktok.com{found[1]}" if found else ""
        case "instagram.com":
            found = _INSTAGRAM.fullmatch(path)
            return f"https://www.instagram.com/p/{found[1]}/" if found else ""
        case "vimeo.com":
            found = _VIMEO.fullmatch(path)
            if not found:
                return ""
            hidden = found[2] or values.get("h", [""])[0]
            return f"https://vimeo.com/{found[1]}{f'/{hidden}' if hidden.isalnum() else ''}"
        case "twitter.com" | "x.com":
            found = _X.fullmatch(path)
            return f"https://x.com/i/status/{found[1]}" if found else ""
    return ""
