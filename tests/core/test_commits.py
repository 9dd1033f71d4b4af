"""Commits: identities are updated by difference, and intents kept until the index is flushed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.core import index, intents, keys
from registry.core.decisions import Decision, DecisionKind
from registry.core.nearest import nearest_faces
from registry.core.opening import open_registry
from registry.core.registry import Registry
from registry.domain import Face, Quality, Video
from registry.faces.matching import Neighbour
from registry.footage.joining import join_videos
from registry.settings import load_settings
from registry.upkeep.doctor import Inspection
from tests.support.factories import person, picture, video
from tests.support.homes import copy_home
from tests.support.registries import dump, new_registry, put, set_metrics

REASONS = ((), (), (), ("small",), ("blurred",), ("spoilt",))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home") as opened:
        yield opened


def _open(home: Path) -> Registry:
    return open_registry(load_settings(home=home))


def _random_video(name: str, chance: random.Random) -> Video:
    """Up to eight faces of seven people, good, poor and still ones, in frames of odd length."""
    people = [chance.randrange(7) for _ in range(chance.randrange(9))]
    made = video(name, [person(who, chance.uniform(0, 0.5)) for who in people])
    stills = {who for who in range(7) if chance.random() < 0.4}

    def varied(face: Face, who: int) -> Face:
        score = chance.choice((0.2, 0.5, 0.5, chance.random()))
        span = round(chance.uniform(0.01, 3), 6)
        quality = Quality(score, chance.choice(REASONS))
        return replace(
            face,
            quality=quality,
            span_s=span,
            det_score=chance.random(),
            track=who,
            still=who in stills,
        )

    return replace(made, faces=tuple(map(varied, made.faces, people)))


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (3, 4, 5))]
)
def test_identities_updated_by_difference_equal_those_computed_from_all_videos(
    registry: Registry, seed: int
) -> None:
    """Videos come, are read again with other faces, are decided about, and count as one."""
    chance = random.Random(seed)
    for step in range(40):
        put(registry, _random_video(f"v{chance.randrange(12)}", chance))
        known = [one.identity_id for one in registry.index.identities()]
        if len(known) > 1 and chance.random() < 0.15:
            _decide(registry, chance, known)
        if step == 25:
            first, second, *_ = registry.index.videos()
            join_videos(registry, [first.url.exposed(), second.url.exposed()])
        if step % 10 == 9:
            found = list(registry.index.identities())
            registry.index.refresh({one.identity_id for one in found}, registry.view)
            assert list(registry.index.identities()) == found
    found, videos = list(registry.index.identities()), dump(registry)["videos"]
    registry.reindex()
    assert list(registry.index.identities()) == found
    assert dump(registry)["videos"] == videos


def _decide(registry: Registry, chance: random.Random, known: list[str]) -> None:
    one, other = chance.sample(known, 2)
    if chance.random() < 0.5:
        registry.decide(Decision(0, DecisionKind.MERGE, one, others=(other,)))
    elif chance.random() < 0.5:
        registry.decide(Decision(0, DecisionKind.HIDE, one))
    else:
        registry.name(one, f"Person {one[:4]}")


def _intents(registry: Registry) -> list[str]:
    return [info.key.removeprefix(keys.INTENTS) for info in registry.blobs.list(keys.INTENTS)]


def test_intents_are_kept_for_a_number_of_commits_and_removed_when_the_registry_is_closed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(intents, "MOST_KEPT", 3)
    first, second = put(registry, video("a", [person(0)]), video("b", [person(1)]))
    assert _intents(registry) == sorted([first.video_id, second.video_id])
    put(registry, video("c", [person(2)]))
    assert _intents(registry) == []
    [last] = put(registry, video("d", [person(3)]))
    set_metrics(registry, first.video_id, {"Performance": 3.0})
    assert _intents(registry) == sorted([first.video_id, last.video_id])
    registry.close()
    with _open(tmp_path / "home") as again:
        assert _intents(again) == []


def test_a_second_commit_of_a_video_first_settles_the_earlier_one(registry: Registry) -> None:
    [long] = put(registry, video("a", [person(0), person(1)]))
    [short] = put(registry, video("a", [person(1)]))
    assert _intents(registry) == [long.video_id]
    content = registry.blobs.get(keys.intent(short.video_id)).decode()
    assert long.faces[0].identity_id in content


def test_an_index_that_lost_every_write_since_the_last_flush_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    """The power fails: objects are on the disk, and what was not flushed of the index is not."""
    home, undisturbed, struck = (tmp_path / name for name in ("home", "undisturbed", "struck"))
    earlier = [video("a", [person(0), person(1)]), video("b", [person(0, 0.1)])]
    later = [
        video("c", [person(0, 0.2), person(3)]),
        video("a", [person(1)]),  # read again: it lost a person
        video("d", [person(3, 0.1), person(4)]),
    ]
    new_registry(home, *earlier).close()
    copy_home(home / "index", struck / "index")
    with _open(home) as registry:
        put(registry, *later)
        copy_home(home / "objects", struck / "objects")
    assert len(list((struck / "objects" / "intents").iterdir())) == len(later)
    new_registry(undisturbed, *earlier, *later).close()
    with _open(struck) as found, _open(undisturbed) as wanted:
        here, there = dump(found), dump(wanted)
        assert _intents(found) == []
        crops = [[info.key for info in one.blobs.list(keys.CROPS)] for one in (found, wanted)]
    for payload in here["videos"] + there["videos"]:
        payload.pop("registry_id")
    assert here == there
    assert crops[0] == crops[1]


def test_a_registry_with_kept_intents_says_nothing_of_interrupted_changes(
    registry: Registry,
) -> None:
    put(registry, video("a", [person(0)]))
    assert _intents(registry)
    findings = {one.part: one for one in Inspection(registry).findings()}
    assert findings["leftovers"].verdict == "ok"
    assert findings["leftovers"].detail == "No change was interrupted."


def test_crops_of_people_stay_those_of_the_record(registry: Registry) -> None:
    [long] = put(registry, video("a", [person(0), person(1)]))
    put(registry, video("a", [person(0)]))
    assert [info.key for info in registry.blobs.list(keys.CROPS)] == [long.faces[0].crop]
    assert registry.blobs.get(long.faces[0].crop) == picture(long.faces[0].crop)


def test_faces_that_a_decision_writes_again_are_counted_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond `EXACT_LIMIT` faces, neighbours are those of the graph."""
    first, second = put(registry, video("a", [person(0)]), video("b", [person(1)]))
    one, other = (each.faces[0].identity_id for each in (first, second))
    monkeypatch.setattr(index, "EXACT_LIMIT", 2)
    asked: list[bool] = []

    def nearest(*given: Any, exact: bool) -> list[Neighbour | None]:
        asked.append(exact)
        return nearest_faces(*given, exact=exact)

    monkeypatch.setattr(index, "nearest_faces", nearest)
    registry.decide(Decision(0, DecisionKind.MERGE, one, others=(other,)))
    put(registry, video("c", [person(2)]))
    put(registry, video("d", [person(3)]))
    assert asked == [True, False]
