"""An extractor of yt-dlp for a site of the tests' own: a page's JSON says what is on it."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from yt_dlp.extractor.common import InfoExtractor


class ClipIE(InfoExtractor):  # type: ignore[misc]
    _VALID_URL = r"https?://(?:127\.0\.0\.1|localhost):\d+/clip/(?P<id>\w+)"

    def _real_extract(self, url: str) -> dict[str, Any]:
        clip = self._match_id(url)
        info: dict[str, Any] = self._download_json(f"{url}/info", clip)
        if host := info.get("connect"):
            socket.create_connection((host, 80), timeout=5).close()
        if path := info.get("write"):
            Path(path).write_text("written")
        if path := info.get("run"):
            subprocess.run(["/usr/bin/touch", path], check=True)
        if path := info.get("read"):
            Path(path).read_text()
        if path := info.get("native"):
            # Past Python, as code that a flaw lets in would do it.
            libc = ctypes.CDLL(None)
            made = libc.open(path.encode(), os.O_CREAT | os.O_WRONLY, 0o600)
            raise ValueError(f"made {made}, ran {libc.system(f'touch {path}'.encode())}")
        self._held = b"x" * info.get("hold", 0)
        time.sleep(info.get("sleep", 0))
        return {"id": clip, "title": clip, **info}
