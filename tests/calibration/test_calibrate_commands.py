"""`face-registry calibrate` on a real video of six people, as a shell calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from registry.core import keys
from registry.errors import RegistryError
from registry.terminal import rate
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry
from tests.test_main_job import call


@pytest.fixture
def home(poker_home: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return copy_home(poker_home, tmp_path / "copy")


def _json(home: Path, *arguments: str) -> Any:
    result = call(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_calibrate_then_reset(home: Path, tmp_path: Path) -> None:
    dry = _json(home, "calibrate", "--dry-run")
    assert (dry["written"], dry["supported"]) == (False, True)
    assert not (home / "objects" / keys.CALIBRATION).exists()
    assert _json(home, "status")["thresholds"]["lookup"] == 0.4

    pictures = ["--png", str(tmp_path / "c.png"), "--html", str(tmp_path / "c.html")]
    done = _json(home, "calibrate", *pictures)
    assert done["written"]
    # Of the 15 pairs of people, one is never in a frame with two good faces: one of them is turned
    # in two frames, and in the third the mouth of the other is taken for covered.
    assert (done["lookup"]["pairs_of_people"], done["registry"]["people"]) == (14, 6)
    assert done["lookup"]["basis"] == "moved"
    assert done["needed_pairs"] == 30_000
    assert done["lookup"]["low"] < done["lookup"]["threshold"] < done["lookup"]["high"]
    # One of the six is only seen from the side, and one is good in one frame only.
    assert done["false_reject_rate"]["within_tracks"]["people"] == 4
    lines = _json(home, "status")["thresholds"]
    assert lines["lookup"] == pytest.approx(done["lookup"]["threshold"], abs=1e-4)
    assert lines["source"].startswith("calibrated on this registry")

    chart = cv2.imread(str(tmp_path / "c.png"))
    assert chart is not None
    assert chart.shape[1] == pytest.approx(1920, abs=20), "the width of axis labels varies"
    html = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "cosine similarity" in html
    assert f"{done['lookup']['threshold']:.3f}" in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html

    assert _json(home, "calibrate", "--reset") == {"calibrated": True, "removed": True}
    assert _json(home, "status")["thresholds"]["lookup"] == 0.4
    assert "There is no calibration." in call(home, "calibrate", "--reset").stdout


def test_it_says_plainly_what_it_rests_on(home: Path) -> None:
    said = call(home, "calibrate", "--dry-run")
    assert "Pairs of people: 14, among 6" in said.stdout
    assert "30,000 independent pairs (3 / rate) would show a rate of" in said.stdout
    assert "Nothing was changed." in said.stderr
    refused = call(home, "calibrate", "--target-far", "2")
    assert isinstance(refused.exception, RegistryError)
    assert refused.exception.exit_code == 2


def test_one_who_is_alone_calibrates_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "Nothing has been ingested" in str(call(home, "calibrate").exception)
    new_registry(home, video("alone", [person(0)])).close()
    said = call(home, "calibrate")
    assert said.exit_code == 0
    assert "too few pairs of people (0) to move a threshold. 10 are needed" in said.stdout
    assert "the model's own, kept" in said.stdout
    assert not (home / "objects" / keys.CALIBRATION).exists()


def test_rates_as_people_read_them() -> None:
    assert [rate(v) for v in (0.123, 4.12e-3, 1.08e-4, 1e-12)] == [
        "12 %", "4.1e-3", "1.1e-4", "below 1e-9"
    ]  # fmt: skip
