"""A run leaves out people who are blocked, and says how many faces."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from qdrant_client import QdrantClient

from ingest.extract import Extraction
from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.downloads import Downloader, FetchLimits
from ingest.pipeline import RunContext, run
from ingest.progress import SilentReporter
from ingest.tables.table import Table, VideoRow
from registry import ids
from registry.blobs.folder import FolderStore
from registry.core.registry import Registry
from registry.domain import Media
from registry.settings import load_settings
from registry.store.server import ServerStore
from registry.urls import Url
from tests.support.factories import contract, face, person


class _Chosen:
    """Finds the same two people in every video."""

    def extract(self, path: Path, video_id: str) -> Extraction:
        faces = tuple(face(video_id, 10 * i, person(i, 0.1)) for i in range(2))
        return Extraction(faces, Media(frames_sampled=2), "")

    def close(self) -> None:
        """Nothing runs."""


def _run(registry: Registry, folder: Path, name: str) -> dict[str, object]:
    path = folder / f"{name}.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(16) + name.encode())
    row = VideoRow(2, Url(path.as_uri()), Url(str(path)), {"Performance": 1.0})
    downloader = Downloader(folder / "tmp", limits=FetchLimits(), policy=AddressPolicy())
    return run(
        RunContext(registry, downloader, _Chosen(), ahead=1),
        Table((row,), (), (), 1),
        retry_failed=False,
        consolidate=False,
        reporter=SilentReporter(),
        stop=Event(),
    ).as_dict()


def test_a_blocked_persons_faces_are_left_out_and_counted(tmp_path: Path) -> None:
    store = ServerStore("http://localhost", None, client=QdrantClient(":memory:"))
    settings = load_settings(home=tmp_path)
    with Registry(settings, FolderStore(tmp_path / "objects"), store) as registry:
        registry.establish(contract())
        first = _run(registry, tmp_path, "first")
        assert (first["faces"], first["blocked"], first["failures"]) == (2, 0, [])
        founder = ids.face_id(
            ids.video_id((tmp_path / "first.mp4").as_uri()), contract().model.digest, 0, 0
        )
        registry.forget(ids.identity_id(founder), block=True)
        summary = _run(registry, tmp_path, "second")
        assert (summary["faces"], summary["blocked"]) == (1, 1)
