"""Each value of a metric stays with the run that brought it."""

from __future__ import annotations

from dataclasses import replace

from registry.core.metric_history import before_run, history_of, read_by, renamed, with_values
from registry.domain import MetricValue, Weighted
from tests.support.factories import video

FIRST = replace(video("a", [], metrics={"Views": 1200.0}), run="1")


def test_the_first_value_came_with_the_run_of_the_video() -> None:
    assert history_of(FIRST, "Views") == (MetricValue("1", 1200.0),)
    assert history_of(FIRST, "ROAS") == ()
    assert not with_values(FIRST, "2", {"Views": 1200.0}).history


def test_a_change_is_appended_and_can_be_taken_back() -> None:
    second = with_values(FIRST, "2", {"Views": 1600.0, "ROAS": 2.0}, {"ROAS": Weighted(4, 2)})
    assert second.metrics == {"Views": 1600.0, "ROAS": 2.0}
    assert second.weights == {"ROAS": Weighted(4, 2)}
    assert history_of(second, "Views") == (MetricValue("1", 1200.0), MetricValue("2", 1600.0))
    assert history_of(second, "ROAS") == (MetricValue("2", 2.0, Weighted(4, 2)),)
    assert before_run(second, "2") == FIRST
    assert before_run(second, "3") == second


def test_a_cleared_metric_has_no_value_and_keeps_its_history() -> None:
    cleared = with_values(FIRST, "2", {}, cleared=["Views", "ROAS"])
    assert cleared.metrics == {}
    assert history_of(cleared, "Views") == (MetricValue("1", 1200.0), MetricValue("2", None))
    assert with_values(cleared, "3", {}, cleared=["Views"]) == cleared
    assert before_run(cleared, "2") == FIRST


def test_another_weight_of_the_same_mean_is_a_change() -> None:
    weighed = with_values(FIRST, "2", {"Views": 1200.0}, {"Views": Weighted(2400, 2)})
    assert weighed.weights == {"Views": Weighted(2400, 2)}
    assert len(history_of(weighed, "Views")) == 2


def test_reading_a_video_again_does_not_date_its_metrics_anew() -> None:
    again = read_by(FIRST, "5")
    assert (again.run, again.metrics) == ("5", {"Views": 1200.0})
    assert history_of(again, "Views") == (MetricValue("1", 1200.0),)
    assert read_by(FIRST, "1") == FIRST


def test_a_name_moves_with_values_weights_and_history() -> None:
    second = with_values(FIRST, "2", {"Views": 2.0}, {"Views": Weighted(4, 2)})
    moved = renamed(second, "Views", "Plays")
    assert (moved.metrics, moved.weights) == ({"Plays": 2.0}, {"Plays": Weighted(4, 2)})
    assert history_of(moved, "Plays") == history_of(second, "Views")
    assert renamed(moved, "Views", "Plays") == moved
