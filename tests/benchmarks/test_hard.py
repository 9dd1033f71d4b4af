"""Hard sets, siblings and strangers: what is counted, and what the tables say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _siblings as siblings
from benchmarks._hard import HardClip, HardResult, half_of, judge_hard, judge_turned
from benchmarks._hard_page import HardFinding, hard_table
from benchmarks._labelled import Labelled
from benchmarks._methods import Grouping
from benchmarks.strangers import Tally
from queries.answers import Match, Probe
from queries.lookup import open_gallery
from registry.domain import Box, Detection, Quality
from tests.support.factories import person, unit, video
from tests.support.registries import new_registry


def _clip(name: str, number: int, kind: str, lean: float = 0.0) -> HardClip:
    shown = video(f"{name}-{kind}-{lean}", [person(number, lean)])
    return HardClip(name, kind, Labelled(shown, (name,)))


def _by_person(videos: Sequence[Labelled]) -> Grouping:
    return {v.video.faces[0].face_id: str(v.people[0]) for v in videos}


def _all_one(videos: Sequence[Labelled]) -> Grouping:
    return {v.video.faces[0].face_id: "one" for v in videos}


@pytest.fixture
def clips() -> list[HardClip]:
    """Two people, each plain, small and masked."""
    kinds = ("plain", "small", "mask")
    return [_clip(name, n, kind) for n, name in enumerate("ab") for kind in kinds]


def test_a_hard_set_is_judged_on_the_first_kinds_and_on_all(clips: list[HardClip]) -> None:
    right = judge_hard(clips, _by_person)
    assert (right.four.f1, right.all.wrong) == (1.0, 0)
    assert (right.found["plain"], right.found["mask"]) == ((2, 2), (2, 2))
    assert right.found["dark"] == (0, 0)
    wrong = judge_hard(clips, _all_one)
    assert (wrong.four.precision, wrong.all.wrong) == (0.5, 1)


def test_several_sets_have_the_mean_and_the_lowest_precision(clips: list[HardClip]) -> None:
    groups = iter((_by_person, _by_person, _all_one, _all_one))  # four kinds, then all, of each set
    few = [clip for clip in clips if clip.kind == "plain"]
    found = judge_turned([few, few], lambda shown: next(groups)(shown))
    assert (found.sets, found.precision, found.lowest, found.wrong) == (2, 0.75, 0.5, 1)
    assert (found.all_precision, found.found["plain"]) == (0.75, 1.0)
    assert found.found["small"] == 0.0


def test_each_person_is_in_one_half(clips: list[HardClip]) -> None:
    halves = [{clip.person for clip in half_of(clips, tuning=half)} for half in (True, False)]
    assert sorted(map(len, halves)) == [1, 1]
    assert halves[0].isdisjoint(halves[1])


def test_people_are_made_as_alike_as_told() -> None:
    random = np.random.default_rng(0)
    clips = []
    for number, name in enumerate("abcd"):
        centre = np.eye(8, dtype=np.float32)[number]
        for turn in range(6):
            vector = centre + random.normal(0, 0.15, 8).astype(np.float32)
            shown = video(f"{name}{turn}", [unit(*vector)])
            clips.append(HardClip(name, "plain", Labelled(shown, (name,))))
    for half in (True, False):
        pairs = siblings.made_alike(clips, 0.6, tuning=half)
        found = siblings.judge_pairs(pairs, _by_person)
        assert found.pairs == siblings.DRAWS
        assert found.across == pytest.approx(0.6, abs=0.05)
        assert found.inside > 0.75
        assert (found.precision, found.recall, found.joined, found.strays) == (1.0, 1.0, 0, 0)
        assert siblings.judge_pairs(pairs, _all_one).joined == found.pairs


def test_the_most_alike_come_first_and_strays_are_counted() -> None:
    near = [_clip("a", 0, "plain"), _clip("a", 0, "plain", 0.1)]
    other = [_clip("b", 0, "plain", 2.0), _clip("b", 0, "plain", 2.1), _clip("b", 0, "plain", 2.2)]
    far = [_clip("c", 3, "plain"), _clip("c", 3, "plain", 0.1)]
    [first, *_] = siblings.most_alike([*near, *other, *far])
    assert {v.people[0] for side in first for v in side} == {"a", "b"}

    def stray(shown: Sequence[Labelled]) -> Grouping:
        groups = _by_person(shown)
        groups[other[0].labelled.video.faces[0].face_id] = "a"
        return groups

    found = siblings.judge_pairs([first], stray)
    assert (found.joined, found.strays) == (0, 1)


def test_the_table_has_a_row_for_each_finding(clips: list[HardClip]) -> None:
    result: HardResult = judge_hard(clips, _all_one)
    finding = HardFinding([("consolidation", "other half", result)], "today, here")
    lines = hard_table("hard", [("sface", finding)])
    assert "`python -m benchmarks.identity --part hard`, sface: today, here." in lines
    [row] = [line for line in lines if line.startswith("| sface")]
    start = (
        "| sface | consolidation | other half | 0.500 / 1.000 / 0.667; 1.00; 1 | 0.500; 1 | 2 of 2 "
    )
    assert row.startswith(start)


def _probe(similarity: float | None, rate: float | None = None, *reasons: str) -> Probe:
    box = Detection(Box(0, 0, 9, 9), np.zeros((5, 2), np.float32), 0.9)
    quality = Quality(0.3 if reasons else 0.9, reasons)
    if similarity is None:
        return Probe(box, quality, (), 0.1, None)
    match = Match("i", "", similarity, rate, rate, False, rate is None, False, False, 1, {}, ())
    return Probe(box, quality, (match,), similarity, None)


def test_strangers_are_tallied_by_what_was_stated_of_them(tmp_path: Path) -> None:
    with new_registry(tmp_path / "home", video("a", [person(0)])) as registry:
        gallery = open_gallery(registry, top=1, threshold=None, provisional=False)
        stated = gallery.stated_rate(gallery.threshold, Quality(0.9))
        tally = Tally("125 px")
        for probe in (
            None, _probe(None), _probe(0.45, 0.004), _probe(0.5, None, "small"), _probe(0.6, 9e-4)
        ):  # fmt: skip
            tally.add(probe, gallery)
        assert (tally.photos, tally.found, tally.good) == (5, 4, 3)
        assert (tally.matched, tally.leads) == (2, 1)
        assert tally.expected == pytest.approx(3 * stated)  # one identity, in one video
        assert tally.stated == {0.05: 2, 0.01: 2, 0.001: 1}
        tally.add(replace(_probe(None), quality=Quality(0.9, ("covered_eyes",))), gallery)
        assert tally.good == 4
        assert tally.expected == pytest.approx(5 * stated)
