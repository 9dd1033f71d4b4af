from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from registry.demo.run import _embedded
from registry.demo.server import serve_folder


def test_the_server_serves_the_files_of_its_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "public"
    (folder / "inner").mkdir(parents=True)
    (folder / "clip.mp4").write_bytes(b"\0" * 100_000)
    (tmp_path / "secret.txt").write_text("no")
    with serve_folder(folder) as url:
        assert url.startswith("http://127.0.0.1:")
        with urlopen(f"{url}/clip.mp4") as answer:
            assert answer.headers["Content-Type"] == "video/mp4"
            assert answer.read() == b"\0" * 100_000
        for path in ("taken-down.mp4", "", "inner/", "../secret.txt"):
            with pytest.raises(HTTPError) as caught:
                urlopen(f"{url}/{path}")
            assert caught.value.code == 404
            caught.value.close()
    with pytest.raises(URLError):
        urlopen(f"{url}/clip.mp4")


def test_the_demo_uses_no_server_and_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FACE_REGISTRY_PROXY", "http://127.0.0.1:9")
    settings = _embedded(tmp_path)
    assert (settings.embedded, settings.qdrant_url, settings.proxy) == (True, None, None)
