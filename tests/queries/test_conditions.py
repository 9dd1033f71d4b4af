"""Conditions on attributes: text, numbers and dates, one value or several."""

from __future__ import annotations

import pytest

from queries.conditions import parse_condition
from registry.domain import Attribute
from registry.errors import UsageError

VIDEO: dict[str, Attribute] = {
    "Platform": "TikTok",
    "Length": 31.5,
    "Day": ("2026-06-01", "2026-06-03"),
    "Ad id": 7,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Platform=TikTok", True),
        ("platform=TikTok", False),  # no such column
        ("Platform = tiktok", True),
        ("Platform=Reels", False),
        ("Platform!=Reels", True),
        ("Platform!=TikTok", False),
        ("Platform~tok", True),
        ("Length>30", True),
        ("Length>100", False),
        ("Length<100", True),
        ("Length=31.5", True),
        ("Ad id=7", True),
        ("Ad id=7.0", True),
        ("Day=2026-06-03", True),
        ("Day!=2026-06-03", False),
        ("Day<2026-06-02", True),
        ("Day>2026-06-03", False),
        ("Campaign!=x", True),
        ("Campaign=", False),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(VIDEO) is holds


@pytest.mark.parametrize("text", ["", "Platform", "=TikTok"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write COLUMN=VALUE"):
        parse_condition(text)
