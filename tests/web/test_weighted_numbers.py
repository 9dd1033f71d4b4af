"""The numbers of a weighted metric: each page has those of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pandas as pd
import pytest

import face_registry as fr
from queries.figures import figure
from queries.identity_effects import effects
from registry.core.registry import Registry
from registry.core.table_settings import TableSettings, save_table_settings
from registry.domain import Video, Weighted
from tests.support.factories import person, video
from tests.support.page_server import serve_pages
from tests.support.registries import new_registry


def _video(name: str, people: list[np.ndarray], value: float, weight: float) -> Video:
    made = video(name, people, metrics={"Performance": value})
    if not weight:
        return made
    return replace(made, weights={"Performance": Weighted(value * weight, weight)})


VIDEOS = (
    _video("a", [person(0)], 1.0, 90.0),
    _video("b", [person(0), person(1)], 9.0, 10.0),
    _video("c", [person(0, 0.9), person(2)], 5.0, 300.0),
    _video("d", [person(0, -0.9)], 3.0, 7.0),
    _video("e", [person(1, 0.9)], 4.0, 0.0),
)
"""Person 0 under three identities; the last video has a value, and no weight."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with new_registry(tmp_path_factory.mktemp("weighted") / "registry", *VIDEOS) as opened:
        with opened.writing():
            settings = TableSettings(metrics=("Performance:mean@Spend",))
            save_table_settings(opened.blobs, settings)
        yield opened


@pytest.fixture(scope="module")
def client(registry: Registry) -> Iterator[httpx.Client]:
    with serve_pages(registry) as pages, pages.client() as made:
        yield made


def _means(registry: Registry) -> pd.Series:
    return fr.report(registry).set_index("identity")["mean_Performance"]


def test_the_review_shows_the_means_of_the_report(client: httpx.Client, registry: Registry) -> None:
    means, found = _means(registry), effects(registry)
    assert len(found) >= 2
    page = client.get("/review")
    first = found[0].suggestion
    assert page.url.path == f"/review/{first.stays.identity_id}/{first.joins.identity_id}"
    for effect in found:
        stays, joins = effect.suggestion.stays.identity_id, effect.suggestion.joins.identity_id
        text = client.get(f"/review/{stays}/{joins}").text
        sides = re.findall(r"<h2><a[^>]*/people/([^\"]*)\".*?<small>(.*?)</small></h2>", text)
        assert [identity for identity, _ in sides] == [stays, joins]
        for identity, shown in sides:
            mean = means[identity]
            numbers = re.findall(r"Performance (\S+)", shown)
            assert numbers == ([figure(mean)] if mean == mean else [])
        sentence = re.search(r'<p class="lead">(.*?)</p>', text)
        assert sentence
        fr.merge(registry, [stays, joins])
        after = figure(_means(registry)[stays])
        fr.undo(registry)
        before = figure(means[stays])
        if means[stays] != means[stays]:
            wanted = f"a Performance of {after}."
        else:
            wanted = f"Performance {before} " + (
                "stays." if before == after else f"becomes {after}."
            )
        assert sentence[1].endswith(wanted)


def test_the_page_of_a_person_shows_the_mean_of_the_report(
    client: httpx.Client, registry: Registry
) -> None:
    means = _means(registry).dropna()
    assert len(means) >= 4
    for identity, mean in means.items():
        text = client.get(f"/people/{identity}").text
        assert f"Performance <strong>{figure(mean)}</strong>" in text
