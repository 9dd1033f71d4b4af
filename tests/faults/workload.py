"""What is done to a registry while faults strike: commands, one after the other, and a dump.

Each step does what one command does, opens the registry as a command does, and can be run again
after a failure as a user would: the command that failed, then those after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from registry.blobs.folder import FolderStore
from registry.changing.change import prepare, switch
from registry.core.decisions import Decision, DecisionKind
from registry.core.registry import Registry
from registry.domain import Contract, Status, Vectors, Video
from registry.settings import load_settings
from registry.store.edge import EdgeStore
from tests.faults.proxies import FaultyBlobs, FaultyStore, Trigger
from tests.support.factories import contract, person, video, with_metrics
from tests.support.portraits import Pixels, portrait, shown
from tests.support.registries import set_metrics

CONTRACT: Contract = replace(contract(), registry_id="00000000-0000-4000-8000-000000000001")
Step = Callable[[Registry], object]


def _seen(name: str, *embeddings: Vectors) -> Video:
    """A video of people, each with a picture that a second model can read."""
    return shown(name, *((vector, _picture(vector)) for vector in embeddings))[0]


def _picture(embedding: Vectors) -> bytes:
    return portrait(int(embedding.argmax()))


_A = _seen("a", person(0), person(1), person(0, 0.1))
_B = _seen("b", person(0, 0.2), person(2))
_C = _seen("c", person(3), person(1, 0.1))
_SHORTER_C = _seen("c", person(1, 0.1))
_D = _seen("d", person(2, 0.1), person(4))
_FAILED = replace(video("e", []), status=Status.FAILED, reason="404")
_GROWN_E = _seen("e", person(4, 0.1))


def open_parts(home: Path, trigger: Trigger) -> Registry:
    """The embedded registry in a folder, its parts wrapped."""
    blobs = FaultyBlobs(FolderStore(home / "objects", reserve_bytes=0), trigger)
    store = FaultyStore(EdgeStore(home / "index", reserve_bytes=0, probe_s=5.0), trigger)
    return Registry(load_settings(home=home), blobs, store)


def _establish(registry: Registry) -> None:
    if registry.is_empty:
        registry.establish(CONTRACT)


def _table(*videos: Video, retry: bool = False) -> Step:
    """What ingest does with a table: read what is new, bring metrics up to date."""

    def ingest(registry: Registry) -> None:
        for one in videos:
            known = registry.records.get(one.video_id)
            if known is None or (retry and not _same(known, one)):
                with registry.writing():
                    for face in one.faces:
                        registry.blobs.put(face.crop, _picture(face.embedding))
                    registry.commit(one)
            elif dict(known.metrics) != dict(one.metrics):
                set_metrics(registry, one.video_id, one.metrics)
        registry.settle()
        registry.index.optimize()

    return ingest


def _same(known: Video, one: Video) -> bool:
    return [f.face_id for f in known.faces] == [f.face_id for f in one.faces]


def _identity(registry: Registry, of: Video, face: int) -> str:
    record = registry.records.get(of.video_id)
    assert record is not None
    return registry.view.identity_of(record.faces[face])


def _name(registry: Registry) -> None:
    registry.name(_identity(registry, _A, 0), "Ann")


def _split(registry: Registry) -> None:
    record = registry.records.get(_B.video_id)
    assert record is not None
    face = record.faces[0]
    registry.decide(Decision(0, DecisionKind.SPLIT, face.identity_id, faces=(face.face_id,)))


def _merge(registry: Registry) -> None:
    stays, joins = _identity(registry, _A, 1), _identity(registry, _B, 1)
    if stays != joins:
        registry.decide(Decision(0, DecisionKind.MERGE, stays, others=(joins,)))


def _undo(registry: Registry) -> None:
    registry.decide(Decision(0, DecisionKind.UNDO, undoes=2))


def _change_model(registry: Registry) -> None:
    if registry.contract.model.digest != Pixels.info.digest:
        switch(registry, prepare(registry, Pixels(), "pixels"))


STEPS: tuple[tuple[str, Step], ...] = (
    ("establish", _establish),
    ("ingest", _table(_A, _B, _C, _FAILED)),
    ("metrics", _table(with_metrics(_A, Performance=5.0), with_metrics(_B, Views=7.0), _C)),
    ("name", _name),
    ("split", _split),
    ("merge", _merge),
    ("read again", _table(_SHORTER_C, _GROWN_E, retry=True)),
    ("reindex", Registry.reindex),
    ("second table", _table(_B, _D)),
    ("undo", _undo),
    ("change model", _change_model),
)


def run(
    home: Path,
    trigger: Trigger,
    *,
    start: int = 0,
    steps: Sequence[tuple[str, Step]] = STEPS,
    finished: Callable[[int], None] = lambda _: None,
) -> None:
    """The steps from `start` on, a registry opened for each; `finished` hears of each one done."""
    for number in range(start, len(steps)):
        with open_parts(home, trigger) as registry:
            steps[number][1](registry)
        finished(number)


def dump(registry: Registry) -> dict[str, Any]:
    """Everything that a registry says, in one order; times, and users of decisions, left out."""
    index, contract = registry.index, registry.contract.as_dict()
    contract["earlier_models"] = [
        {**earlier, "until": ""} for earlier in contract.get("earlier_models", ())
    ]
    return {
        "contract": contract,
        "records": [_plain(record) for record in registry.records.all()],
        "videos": [dict(point.payload) for point in index.stored_videos()],
        "identities": [asdict(identity) for identity in index.identities()],
        "faces": [
            {**point.payload, "vector": _digest(_bytes(point.vector))}
            for point in index.stored_faces(with_vectors=True)
        ],
        "crops": {
            info.key: _digest(registry.blobs.get(info.key)) for info in registry.blobs.list("crops")
        },
        "decisions": [
            {**asdict(decision), "at": "", "by": ""} for decision in registry.decisions.entries()
        ],
        "objects": [info.key for info in registry.blobs.list() if not info.key.startswith("runs/")],
    }


def _plain(video: Video) -> dict[str, Any]:
    body = asdict(replace(video, faces=()))
    body["faces"] = [
        {
            **{k: v for k, v in asdict(face).items() if k not in ("embedding", "landmarks")},
            "embedding": _digest(_bytes(face.embedding)),
            "landmarks": _digest(_bytes(face.landmarks)),
        }
        for face in video.faces
    ]
    return body


def _bytes(array: Any) -> bytes:
    return b"" if array is None else array.tobytes()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
