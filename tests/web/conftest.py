"""A server with a small registry, and clients that talk to it as browsers do."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from registry.core.registry import Registry
from tests.support.factories import person, video
from tests.support.page_server import Pages, serve_pages
from tests.support.registries import new_registry, undoing_decisions

# Person 0 stands under three identities that the rule keeps apart and the review asks about.
VIDEOS = (
    video("a", [person(0), person(0, 0.1), person(1)], metrics={"Performance": 4.0}),
    video("b", [person(0, 1.0), person(2)], metrics={"Performance": 2.0}),
    video("c", [person(0, -1.0), person(1, 0.1), person(3)], metrics={"Performance": 3.0}),
    video("d", [person(2, 0.1), person(3, 0.9)], metrics={"Performance": 5.0, "Views": 7.0}),
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with new_registry(tmp_path_factory.mktemp("web") / "registry", *VIDEOS) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _as_before(registry: Registry) -> Iterator[None]:
    """Let each test find the same people."""
    with undoing_decisions(registry):
        yield


@pytest.fixture(scope="module")
def pages(registry: Registry) -> Iterator[Pages]:
    with serve_pages(registry) as running:
        yield running


@pytest.fixture
def client(pages: Pages) -> Iterator[httpx.Client]:
    """A client that is signed in."""
    with pages.client() as made:
        yield made
