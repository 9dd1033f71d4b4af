"""The questions of a page: in which order, and what each says that an answer changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any

import pandas as pd
import pytest

import face_registry as fr
from queries.conditions import parse_condition
from queries.figures import figure
from queries.page.asking import Asked
from queries.page.gathering import gather_page
from queries.page.redaction import NAMES
from queries.page.rendering import render_page
from queries.selections import Selection
from registry.core.registry import Registry
from tests.support.sample_registry import demo_people, sample_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Everybody has some videos under a second identity."""
    people = [replace(one, twice=True) for one in demo_people()]
    home = tmp_path_factory.mktemp("sample") / "home"
    with sample_registry(home, people, videos=40, faces_per_s=0.5) as opened:
        yield opened


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        (Asked(), {}),
        (Asked(("ROAS", "Spend"), log=True), {"log": True}),
        (Asked(weight="Spend"), {"weight": "Spend"}),
        (
            Asked(selection=Selection(where=(parse_condition("Platform=Meta"),))),
            {"where": ["Platform=Meta"]},
        ),
    ],
    ids=["plain", "log", "weighted", "selected"],
)
def test_what_moves_the_numbers_of_the_page_most_is_asked_first(
    registry: Registry, asked: Asked, options: dict[str, Any]
) -> None:
    def means() -> dict[str, float]:
        table: pd.DataFrame = fr.report(registry, "ROAS", **options)
        found = dict(zip(table["identity"], table["mean_ROAS"], strict=True))
        return {who: mean for who, mean in found.items() if math.isfinite(mean)}

    page = gather_page(registry, asked)
    html = render_page(page)
    assert len(page.questions) >= 5
    before, changes = means(), []
    for question in page.questions:
        assert escape(question.effect) in html
        fr.merge(registry, [question.first, question.second])
        after = means().get(question.first, math.nan)
        fr.undo(registry)
        known = [before[one] for one in (question.first, question.second) if one in before]
        changes.append(abs(after - known[0]) if known else 0.0)
        if question.first in before:
            start, end = figure(before[question.first]), figure(after)
            label = question.sides[0].label
            moves = f"moves {label} from {start} to {end}"
            leaves = f"leaves {label} at {start}"
            says = leaves if start == end else moves
            assert question.effect.startswith(f"Joining these {says} (ROAS; videos: ")
    assert changes == pytest.approx(sorted(changes, reverse=True))
    assert changes[0] > 0


def test_names_that_are_hidden_are_not_in_the_sentences(registry: Registry) -> None:
    shown, hidden = (
        " ".join(question.effect for question in gather_page(registry, asked).questions)
        for asked in (Asked(), Asked(redact=frozenset({NAMES})))
    )
    named = [person.name for person in demo_people() if person.name]
    assert any(name in shown for name in named)
    assert not any(name in hidden for name in named)
