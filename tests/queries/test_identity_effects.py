"""What joining or splitting identities does to the numbers of a report, against doing it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import face_registry as fr
from queries.identity_effects import effects
from registry.cli import cli
from registry.core.registry import Registry
from registry.domain import Video, Weighted
from registry.errors import RegistryError, UsageError
from registry.people.plausible import plausible_changes
from tests.support.factories import person, unit, video
from tests.support.registries import new_registry, who


def _video(name: str, people: list[np.ndarray], roas: float, spend: float) -> Video:
    made = video(name, people, metrics={"Performance": roas * 10, "ROAS": roas, "Spend": spend})
    return replace(made, weights={"ROAS": Weighted(roas * spend, spend)})


VIDEOS = [
    _video("a", [person(0), person(2)], 1.0, 10.0),
    _video("b", [person(0)], 4.0, 5.0),
    _video("c", [person(0, 0.9)], 9.0, 1.0),
    _video("d", [person(0, -0.9)], 2.0, 100.0),
    _video("e", [person(0, -0.9), person(1, 0.9)], 3.0, 7.0),
    _video("f", [person(1), person(0)], 5.0, 3.0),
    _video("g", [person(1)], 6.0, 2.0),
    _video("h", [person(2)], 0.5, 20.0),
]
"""Three identities of person 0 and two of person 1, of whom two look alike; person 2 is alone."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with new_registry(tmp_path / "home", *VIDEOS) as opened:
        opened.name(who(opened, VIDEOS[1]), "Anna")
        yield opened


def _means(registry: Registry, people: list[str], metric: str, log: bool = False) -> list[float]:
    table = fr.report(registry, metric, log=log).set_index("identity")
    means = table[f"mean_{metric}"]
    return [float(means.get(registry.view.root(one), math.nan)) for one in people]


@pytest.mark.parametrize(("metric", "weight"), [("ROAS", ""), ("ROAS", "none"), ("Spend", "")])
def test_effects_are_those_of_the_merges(registry: Registry, metric: str, weight: str) -> None:
    found = effects(registry, metric=metric, weight=weight)
    assert len(found) >= 3
    for effect in found:
        stays, joins = (effect.suggestion.stays.identity_id, effect.suggestion.joins.identity_id)

        def report() -> pd.DataFrame:
            return fr.report(registry, metric, weight=weight).set_index("identity")

        before = report()[f"mean_{metric}"]
        assert effect.before == pytest.approx(before[stays])
        assert effect.joins_before == pytest.approx(before[joins])
        fr.merge(registry, [stays, joins])
        after = report()
        assert effect.after == pytest.approx(after[f"mean_{metric}"][stays])
        assert effect.videos_after == after[f"n_{metric}"][stays]
        fr.undo(registry)
    changes = [effect.change for effect in found]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > 0


def test_a_join_that_changes_nothing_comes_last_and_says_so(tmp_path: Path) -> None:
    videos = [
        video("a", [person(0)], metrics={"Performance": 5.0}),
        video("b", [person(0, 0.9)], metrics={"Performance": 5.0}),
        video("c", [person(1)], metrics={"Performance": 5.0}),
        video("d", [person(1, -0.9)], metrics={"Performance": 8.0}),
        video("e", [person(2)], metrics={}),
        video("f", [unit(0, 0, 1, 0.9)], metrics={}),
    ]
    with new_registry(tmp_path / "home", *videos) as registry:
        moved, *others = effects(registry)
        stays = moved.suggestion.stays.identity_id[:8]
        start = "5.00 to 6.50" if moved.before == 5 else "8.00 to 6.50"
        assert moved.sentence == (
            f"Joining these moves {stays} from {start} (Performance; videos: 1, then 2)."
        )
        said = {one.sentence.partition(" at ")[2] or one.sentence for one in others}
        assert "5.00 (Performance; videos: 1, then 2)." in said
        assert "Neither has a video with a Performance." in said


def _brute_force(registry: Registry, metric: str, log: bool) -> dict[str, tuple[float, float]]:
    """The range of each mean over all sets of suggested pairs, each really merged and reported."""
    pairs = [(s.stays.identity_id, s.joins.identity_id) for s in fr.suggest(registry)]
    apart = plausible_changes(registry).apart
    people = [one.identity_id for one in registry.index.identities(provisional=False)]
    found: dict[str, list[float]] = {one: [] for one in people}
    for size in range(len(pairs) + 1):
        for chosen in combinations(pairs, size):
            groups = _components(chosen)
            if any(pair in apart for g in groups for pair in combinations(sorted(g), 2)):
                continue
            for group in groups:
                fr.merge(registry, sorted(group))
            for one, mean in zip(people, _means(registry, people, metric, log), strict=True):
                found[one].append(mean)
            for _ in groups:
                fr.undo(registry)
    return {one: (min(values), max(values)) for one, values in found.items()}


def _components(pairs: tuple[tuple[str, str], ...]) -> list[set[str]]:
    groups: list[set[str]] = []
    for pair in pairs:
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touching]
        groups.append(set(pair).union(*touching))
    return groups


@pytest.mark.parametrize(("metric", "log"), [("ROAS", False), ("Spend", True)])
def test_the_range_is_that_of_all_merges(registry: Registry, metric: str, log: bool) -> None:
    table = fr.report(registry, metric, log=log, identity_range=True).set_index("identity")
    expected = _brute_force(registry, metric, log)
    assert len(fr.suggest(registry)) >= 3
    for identity, (low, high) in expected.items():
        row = table.loc[identity]
        assert row[f"identity_low_{metric}"] == pytest.approx(low)
        assert row[f"identity_high_{metric}"] == pytest.approx(high)
    certain = table.loc[who(registry, VIDEOS[7])]
    assert certain[f"identity_low_{metric}"] == pytest.approx(certain[f"mean_{metric}"])
    ranged = (table[f"identity_high_{metric}"] - table[f"identity_low_{metric}"]).abs() > 1e-9
    assert ranged.sum() >= 4


def test_two_who_were_seen_together_are_not_joined_in_a_range(tmp_path: Path) -> None:
    apart = (unit(1.0), unit(0.37, (1 - 0.37**2) ** 0.5))
    beside = video("a", list(apart), metrics={"Performance": 1.0})
    faces = [replace(face, frame=0, position=i) for i, face in enumerate(beside.faces)]
    boxes = [replace(f.box, x1=200.0 * i, x2=200.0 * i + 50) for i, f in enumerate(faces)]
    beside = replace(
        beside, faces=tuple(replace(f, box=b) for f, b in zip(faces, boxes, strict=True))
    )
    other = video("b", [apart[1]], metrics={"Performance": 9.0})
    with new_registry(tmp_path / "home", beside, other) as registry:
        assert len(fr.suggest(registry)) == 1
        table = fr.report(registry, identity_range=True)
        assert list(table["identity_low_Performance"]) == list(table["mean_Performance"])


def test_a_doubtful_join_of_consolidation_may_be_split(tmp_path: Path) -> None:
    alike = unit(0.16, *[0.0] * 3, (1 - 0.16**2) ** 0.5)
    videos = [
        video("a", [person(0)], metrics={"Performance": 10.0}),
        video("b", [person(0)], metrics={"Performance": 20.0}),
        video("c", [alike], metrics={"Performance": 60.0}),
        video("d", [person(2)], metrics={"Performance": 1.0}),
    ]
    with new_registry(tmp_path / "home", *videos) as registry:
        anna = who(registry, videos[0])
        assert fr.consolidate(registry, threshold=0.12)
        row = fr.report(registry, identity_range=True).set_index("identity").loc[anna]
        assert (row["mean_Performance"], row["identity_high_Performance"]) == (30.0, 30.0)
        fr.undo(registry)
        assert row["identity_low_Performance"] == 15.0
        assert _means(registry, [anna], "Performance") == [15.0]
        # What people merged is not in question, and neither is a join of two who are very alike.
        fr.merge(registry, [anna, who(registry, videos[2])])
        row = fr.report(registry, identity_range=True).set_index("identity").loc[anna]
        assert row["identity_low_Performance"] == row["identity_high_Performance"] == 30.0


def test_a_sure_join_of_consolidation_is_not_in_question(tmp_path: Path) -> None:
    videos = [video("a", [person(0)]), video("b", [person(0, 0.7)]), video("c", [person(1)])]
    with new_registry(tmp_path / "home", *videos) as registry:
        assert fr.consolidate(registry)
        assert plausible_changes(registry).splits == {}


def test_many_who_may_be_one_person_are_ranged_in_time(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    videos = [
        video(f"v{n}", [unit(*(np.ones(8) + random.normal(size=8) * 0.9))],
              metrics={"Performance": float(n)})
        for n in range(25)
    ]  # fmt: skip
    with new_registry(tmp_path / "home", *videos) as registry:
        assert len(fr.suggest(registry)) > 10
        table = fr.report(registry, identity_range=True)
        low, high = table["identity_low_Performance"], table["identity_high_Performance"]
        assert (low <= table["mean_Performance"]).all()
        assert (high >= table["mean_Performance"]).all()
        assert (high > low).sum() > 10


def test_the_commands_show_effects_and_ranges(registry: Registry) -> None:
    first = effects(registry, metric="ROAS")[0]
    home = str(registry.settings.home)
    registry.close()

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["--home", home, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    suggest = ("identities", "suggest", "--order", "effect", "--metric", "ROAS")
    assert first.sentence in call(*suggest).splitlines()[2:5][-1] or first.sentence in call(
        *suggest
    )
    documents = json.loads(call(*suggest, "--json"))["suggestions"]
    assert documents[0]["effect"] == {
        "metric": "ROAS",
        "weight": "weight of ROAS",
        "before": pytest.approx(first.before),
        "joins_before": pytest.approx(first.joins_before),
        "after": pytest.approx(first.after),
        "videos_before": first.videos_before,
        "videos_after": first.videos_after,
    }
    assert "effect" not in json.loads(call("identities", "suggest", "--json"))["suggestions"][0]
    report = call("report", "--metric", "ROAS", "--identity-range")
    assert "by identities" in report
    assert (
        "identity_low_ROAS"
        in json.loads(call("report", "--metric", "ROAS", "--identity-range", "--json"))["rows"][0]
    )
    assert "by identities" not in call("report")


def test_what_cannot_be_asked_is_said(registry: Registry) -> None:
    with pytest.raises(UsageError, match="about the identities of now"):
        fr.report(registry, identity_range=True, as_of=0)
    with pytest.raises(RegistryError, match="No video has the metric 'Likes'"):
        effects(registry, metric="Likes")
    home = str(registry.settings.home)
    registry.close()
    done = CliRunner().invoke(cli, ["--home", home, "identities", "suggest", "--metric", "ROAS"])
    assert isinstance(done.exception, UsageError)
    assert "--metric and --weight are for --order effect" in str(done.exception)
