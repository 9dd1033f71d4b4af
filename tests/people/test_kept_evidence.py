"""Evidence that is kept from one look for duplicates to the next: it changes no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.core import keys
from registry.core.opening import open_registry
from registry.core.operating_point import current_thresholds
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.domain import Box, Quality, Vectors, Video
from registry.errors import UsageError
from registry.people import kept_evidence, similar_means
from registry.people.corrections import FaceSelection, merge, split, undo
from registry.people.evidence import Evidence, evidence_from, gather_evidence
from registry.people.face_sums import FaceSums, add_up
from registry.people.joining import consolidate, consolidate_repeatedly, look_for_duplicates
from registry.people.kept_evidence import faces_of_videos
from registry.people.similar_means import SimilarMeans
from registry.settings import load_settings
from tests.erasure.test_erasure import files_with
from tests.support.factories import face, person, video
from tests.support.registries import new_registry, put, set_metrics

QUALITIES = (
    *(Quality(0.8), Quality(0.8), Quality(0.9), Quality(0.7, ("cut_off",))),
    *(Quality(0.1, ("blurred",)), Quality(0.9, ("covered_mouth",)), Quality(0.01, ("tiny",))),
)


def _contents(faces: FaceSums) -> list[tuple[object, ...]]:
    """Everything in them, bit for bit."""
    arrays = [getattr(faces, field.name) for field in fields(FaceSums)]
    return [(array.dtype.kind, array.shape, array.tolist()) for array in arrays]


def _shared_tracks(evidence: Evidence) -> list[int]:
    who = evidence.observed.identities
    return [evidence.observed.shared_tracks(*two) for two in combinations(who, 2)]


def _answers(evidence: Evidence) -> tuple[object, ...]:
    groups = [
        (
            replace(g, tracks=np.zeros(0, np.float32), poor=None),
            g.tracks.tobytes(),
            np.array(g.poor).tobytes(),
        )
        for g in evidence.groups
    ]
    return (
        [(str(one), *rest) for one, *rest in groups],
        dict(evidence.together), dict(evidence.repeated), evidence.linked,
        evidence.repeating_videos, _shared_tracks(evidence), evidence.separated, evidence.lower,
        consolidate_repeatedly(evidence, threshold=0.4),
    )  # fmt: skip


def _video(random: np.random.Generator, name: str) -> Video:
    """Up to four faces in up to four frames, of six people who resemble each other or not."""
    empty = video(name, [])
    faces = []
    for frame in range(int(random.integers(0, 5))):
        for place, who in enumerate(random.permutation(6)[: random.integers(1, 5)].tolist()):
            near = person(who, float(random.normal(0, 0.5)))
            made = face(empty.video_id, 10 * frame, near, position=place)
            left = float(100 * place)
            box = Box(left, 20.0, left + 50.0, 80.0)
            quality = QUALITIES[int(random.integers(len(QUALITIES)))]
            faces.append(replace(made, box=box, quality=quality))
    return replace(empty, faces=tuple(faces))


def _change(registry: Registry, random: np.random.Generator) -> None:
    """One thing that a user could do."""
    known = [i.identity_id for i in registry.index.identities()]
    two = random.permutation(known)[:2].tolist()

    def split_a_video() -> None:
        seen = next(registry.index.videos([two[0]]))
        split(registry, two[0], FaceSelection(videos=(seen.video_id,)))

    def undo_one() -> None:
        undo(registry, int(random.integers(1, len(registry.decisions.entries()) + 1)))

    def ingest() -> None:
        put(registry, *(_video(random, f"{random.integers(12)}") for _ in range(3)))

    def set_a_metric() -> None:
        chosen = random.choice([*registry.records.ids()])
        set_metrics(registry, str(chosen), {"Performance": float(random.random())})

    changes: list[Callable[[], object]] = [
        ingest, ingest, split_a_video, undo_one, set_a_metric,
        lambda: merge(registry, two),
        lambda: consolidate(registry, threshold=0.5),
        lambda: registry.forget(two[0]),
        lambda: registry.remove_videos([str(random.choice([*registry.records.ids()]))]),
        registry.reindex,
    ]  # fmt: skip
    try:
        if len(two) < 2:
            ingest()
        else:
            changes[int(random.integers(len(changes)))]()
    except UsageError:  # such as a split of all faces, or undoing what is undone
        ingest()


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))]
)
def test_kept_evidence_gives_the_answers_of_all_faces(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_evidence, "_VIDEOS", 2)  # several objects
    random = np.random.default_rng(seed)
    with new_registry(tmp_path / "registry") as registry:
        put(registry, *(_video(random, f"{n}") for n in range(8)))
        for step in range(12):
            if step:
                _change(registry, random)
            kept = faces_of_videos(registry, keep=bool(random.integers(3)))
            faces = registry.index.faces(with_vectors=True)
            full = add_up(faces, registry.contract.model.dimension, registry.records.ids())
            assert _contents(kept) == _contents(faces_of_videos(registry)) == _contents(full)
            index, model = registry.index, registry.contract.model
            from_all = evidence_from(registry, full, index.identities(), model, index.faces_in)
            assert _answers(gather_evidence(registry)) == _answers(from_all)
            if random.integers(3):
                evidence, groups = look_for_duplicates(registry)
                least = current_thresholds(registry).linkage
                assert groups == consolidate_repeatedly(from_all, threshold=least).groups
                assert _answers(evidence) == _answers(from_all)


def test_a_look_compares_the_means_that_are_new_since_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    compare = similar_means._pairs_with

    def watched(new: Any, *rest: Any) -> Iterator[tuple[int, int]]:
        asked.append(len(new))
        return compare(new, *rest)

    monkeypatch.setattr(similar_means, "_pairs_with", watched)
    with new_registry(tmp_path / "registry") as registry:
        put(registry, *(video(f"{n}", [person(n)]) for n in range(6)))
        look_for_duplicates(registry)
        look_for_duplicates(registry)
        assert asked == [6, 0]
    with open_registry(load_settings(home=tmp_path / "registry")) as registry:
        put(registry, video("again", [person(2, 0.2)]), video("new", [person(6)]))
        _, groups = look_for_duplicates(registry)
        assert asked[2:] == [2]
        afresh = replace(gather_evidence(registry), similar=SimilarMeans())
        least = current_thresholds(registry).linkage
        assert groups == consolidate_repeatedly(afresh, threshold=least).groups
        who = registry.index.faces_in(video("new", []).video_id)
        registry.forget(next(who).identity_id)
        assert not [*registry.blobs.list(keys.similar_means())]


def _read_videos(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the videos whose faces are read by the next look."""
    read: list[str] = []
    one_by_one = registry.index.faces_in_videos

    def read_faces(ids: list[str]) -> Iterator[IndexedFace]:
        read.extend(ids)
        return one_by_one(ids)

    monkeypatch.setattr(registry.index, "faces_in_videos", read_faces)
    monkeypatch.setattr(registry.index, "faces", lambda **_: pytest.fail("all faces were read"))
    gather_evidence(registry, keep=True)
    monkeypatch.undo()
    return read


def test_only_faces_of_new_and_changed_videos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_registry(tmp_path / "registry") as registry:
        videos = put(registry, *(video(f"{n}", [person(n % 3)]) for n in range(6)))
        gather_evidence(registry, keep=True)
        assert _read_videos(registry, monkeypatch) == []
        [new] = put(registry, video("new", [person(1), person(4)]))
        [changed] = put(registry, video("3", [person(5)]))
        merge(registry, [videos[0].faces[0].identity_id, videos[1].faces[0].identity_id])
        assert _read_videos(registry, monkeypatch) == sorted((new.video_id, changed.video_id))
        assert _read_videos(registry, monkeypatch) == []
        alone = FaceSelection(videos=(videos[1].video_id,))
        decision = split(registry, videos[0].faces[0].identity_id, alone)
        assert _read_videos(registry, monkeypatch) == [videos[1].video_id]
        undo(registry, decision.number)
        assert _read_videos(registry, monkeypatch) == [videos[1].video_id]
        assert _read_videos(registry, monkeypatch) == []


def test_damage_and_other_formats_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_registry(tmp_path / "registry", video("a", [person(0)])) as registry:
        expected = _contents(faces_of_videos(registry, keep=True))
        [info] = registry.blobs.list(keys.EVIDENCE)
        data = bytearray(registry.blobs.get(info.key))
        data[data.index(person(0).tobytes())] ^= 1
        for broken in (bytes(data), b"", b"short"):
            with registry.writing():
                registry.blobs.put(info.key, broken)
            assert _contents(faces_of_videos(registry)) == expected
        faces_of_videos(registry, keep=True)
        assert registry.blobs.get(info.key) != broken
        monkeypatch.setattr(kept_evidence, "_FORMAT", 99)
        assert kept_evidence._part(registry, info.key, kept_evidence._meta(registry)) is None


def test_it_lies_among_the_objects_for_the_owner_alone_and_snapshots_do_not_need_it(
    tmp_path: Path,
) -> None:
    home = tmp_path / "registry"
    with new_registry(home, video("a", [person(0)]), video("b", [person(1)])) as registry:
        expected = _contents(faces_of_videos(registry, keep=True))
        [file] = (home / "objects" / keys.EVIDENCE).iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        with open_registry(load_settings(home=home), read_only=True) as snapshot:
            file.unlink()
            assert _contents(faces_of_videos(snapshot)) == expected


def _bytes_of(vector: Vectors, identity: str) -> dict[str, bytes]:
    return {"vector": vector.tobytes(), "identity": identity.encode()}


@pytest.mark.parametrize("read_again", [False, True])
def test_an_erasure_removes_what_is_kept_of_a_person(tmp_path: Path, read_again: bool) -> None:
    """Also of a video that was read again without the person since."""
    home, ann, bea = tmp_path / "registry", person(0, 0.123), person(1, 0.321)
    with new_registry(home, video("b", [bea]), video("c", [ann])) as registry:
        [one] = put(registry, video("a", [ann, bea]))
        gather_evidence(registry, keep=True)
        gone = one.faces[0].identity_id
        wanted = _bytes_of(ann, gone)
        kept = home / "objects" / keys.EVIDENCE
        assert {what for _, what in files_with(kept, wanted)} == set(wanted)
        if read_again:
            put(registry, video("a", [bea]))
        registry.forget(gone)
        assert files_with(kept, wanted) == []
        gather_evidence(registry, keep=True)
    assert files_with(home, wanted) == []
