"""`videos list --where`, `videos show`, and `metrics`, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry import open_registry
from registry.cli import cli
from registry.core.metric_history import with_values
from registry.core.video_changes import revise
from registry.domain import Status
from registry.errors import UnknownError, UsageError
from registry.urls import Url
from tests.support.factories import person, video
from tests.support.registries import new_registry, put

A = video("a", [person(0)], metrics={"Views": 1200.0})
B = replace(video("b", []), status=Status.FAILED, reason="the server answered 404 Not Found.")
Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """What a command prints."""
    with new_registry(tmp_path / "home", A) as registry:
        put(registry, B)
        changed = replace(
            A,
            names=(Url("https://example.com/copy.mp4"),),
            dropped=("utm_source",),
            attributes={
                "Platform": "TikTok",
                "Ad": "AD-006",
                "Day": ("2026-06-01", "2026-06-02"),
                "Thumbnail": f"https://cdn.example.com/t.jpg?X-Amz-Signature={'5' * 64}",
            },
            faces=registry.records.get(A.video_id).faces,  # type: ignore[union-attr]
        )
        revise(registry, with_values(changed, "z", {"Views": 1600.0}))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(
            cli, ["--home", str(tmp_path / "home"), *arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_a_video_is_shown_by_an_attribute_with_all_that_is_known_of_it(say: Say) -> None:
    text = say("videos", "show", "AD-006")
    assert "also https://example.com/copy.mp4" in text
    assert "parameters left out of its URL: utm_source" in text
    assert "Views: 1,600 (before: 1,200)" in text
    assert "Day: 2026-06-01, 2026-06-02" in text
    document = json.loads(say("videos", "show", "AD-006", "--json"))
    assert document["attributes"]["Platform"] == "TikTok"
    assert [one["value"] for one in document["history"]["Views"]] == [1200, 1600]
    assert document["names"] == ["https://example.com/copy.mp4"]
    listed = say("videos", "list", "--json")
    assert "t.jpg?X-Amz-Signature=***" in listed
    assert "5" * 64 not in listed + text + json.dumps(document)


def test_a_video_is_shown_by_its_file_name_if_no_other_has_it(say: Say, tmp_path: Path) -> None:
    name = A.url.exposed().rpartition("/")[2]
    assert say("videos", "show", name).startswith(A.video_id)
    twin = replace(video("twin", []), url=Url(f"https://elsewhere.example/{name}"))
    with open_registry(home=tmp_path / "home") as registry:
        put(registry, twin)
    with pytest.raises(UnknownError, match=f"2 videos: .*{name}"):
        say("videos", "show", name)


def test_the_list_says_why_a_video_failed_and_takes_conditions(say: Say) -> None:
    text = " ".join(say("videos", "list").split())
    assert "404 Not" in text
    listed = json.loads(say("videos", "list", "--where", "Platform=tiktok", "--json"))["videos"]
    assert [one["url"] for one in listed] == [A.url.exposed()]
    several = ("--where", "Platform=TikTok", "--where", "Day<2026-06-01")
    assert json.loads(say("videos", "list", *several, "--json"))["videos"] == []
    with pytest.raises(UsageError, match="Attributes: Ad, Day, Platform, Thumbnail"):
        say("videos", "list", "--where", "Colour=red")


def test_metrics_are_listed_renamed_and_put_first(say: Say) -> None:
    assert "Views" in say("metrics", "list")
    assert "is now 'Plays' in 1 video" in say("metrics", "rename", "Views", "Plays")
    say("metrics", "first", "Plays")
    metrics = json.loads(say("metrics", "list", "--json"))["metrics"]
    assert [(one["metric"], one["first"], one["videos"]) for one in metrics] == [
        ("Plays", True, 1),
        ("Performance", False, 1),
    ]
    assert json.loads(say("status", "--json"))["primary_metric"] == "Plays"
