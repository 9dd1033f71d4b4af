"""The table of performance: by hand, at its edges, and in worlds whose truth is known."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from face_registry.statistics import performance
from queries.statistics import COLUMNS
from registry.errors import UsageError

VALUES = [2.0, 4.0, 3.0, 7.0, 1.0, 5.0, 4.0, 6.0, 3.0, 5.0]
ANNA = [1, 3, 5, 7]


def tables(
    people: dict[str, list[int]], values: list[float], **more: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [(person, f"v{video}") for person, seen in people.items() for video in seen]
    appearances = pd.DataFrame(rows, columns=["person", "video"])
    names = [f"v{number}" for number in range(len(values))]
    return appearances, pd.DataFrame({"video": names, "score": values, **more})


def draw(seed: int, people: int = 30, videos: int = 120, effect: float = 0.0) -> pd.DataFrame:
    """One person a video, the first most often; `truth` is what the person contributes."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, people + 1)
    person = rng.choice(people, videos, p=share / share.sum())
    truth = (effect * rng.normal(size=people))[person]
    noise = rng.normal(size=videos)
    return pd.DataFrame(
        {"person": person, "video": range(videos), "truth": truth, "score": 5 + truth + noise}
    )


def ask(world: pd.DataFrame, **more: Any) -> pd.DataFrame:
    found = performance(world[["person", "video"]], world, "score", **more)
    return found.set_index("person")


def test_the_example_of_the_page_worked_by_hand() -> None:
    """docs/METRICS.md: Anna in v1, v3, v5 and v7, of ten videos; Ben in the others."""
    others = [number for number in range(10) if number not in ANNA]
    appearances, videos = tables({"Anna": ANNA, "Ben": others}, VALUES)
    table = performance(appearances, videos, "score")
    assert tuple(table.columns) == COLUMNS
    anna = table.set_index("person").loc["Anna"]
    assert (anna["n"], anna["mean"], anna["total"]) == (4, 5.5, 22.0)
    assert anna["difference"] == pytest.approx(5.5 - 3.0)
    # 15 / 8 is left after both means; one degree of freedom less 1/8 goes into how the two differ.
    error, freedom = np.sqrt(15 / 8 * (1 / 4 + 1 / 6)), 10 - 1 - 7 / 8
    margin = stats.t.ppf(0.975, freedom) * error
    assert (anna["low"], anna["high"]) == pytest.approx((2.5 - margin, 2.5 + margin), abs=0.03)
    assert (anna["low"], anna["high"]) == pytest.approx((0.48, 4.52), abs=0.005)
    assert anna["p"] == pytest.approx(2 * stats.t.sf(2.5 / error, freedom), abs=0.003)
    assert anna["p"] == pytest.approx(0.020, abs=0.0005)
    assert (anna["q"], anna["verdict"]) == (anna["p"], "leaning above")
    assert anna["shared_credit"] == pytest.approx(7 / 8 * 1.25)


def test_p_is_that_of_randomisation_for_a_skewed_metric() -> None:
    rng = np.random.default_rng(5)
    values = np.exp(rng.normal(size=60))
    values[:6] *= 3
    appearances, videos = tables({"a": list(range(6))}, list(values))
    found = performance(appearances, videos, "score").iloc[0]
    reference = stats.permutation_test(
        (values[:6], values[6:]),
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        n_resamples=20_000,
        vectorized=True,
        rng=rng,
    )
    assert found["p"] == pytest.approx(reference.pvalue, rel=0.5, abs=0.005)


def test_q_is_the_false_discovery_rate_of_scipy() -> None:
    table = ask(draw(3, effect=0.8))
    known = table["p"].notna()
    assert known.sum() > 5
    assert table["q"][known].tolist() == stats.false_discovery_control(table["p"][known]).tolist()
    assert table["q"][~known].isna().all()
    assert (table["verdict"][~known] == "too few").all()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_an_answer_and_its_interval_agree(scale: str) -> None:
    for seed in range(5):
        world = draw(seed, effect=0.8)
        world["score"] = np.exp(world["score"] - 5)
        table = ask(world, scale=scale).dropna(subset="p")
        apart = (table["low"] > 0) | (table["high"] < 0)
        assert (apart == (table["p"] < 0.05)).all()
        assert (table["low"] <= table["difference"]).all()
        assert (table["difference"] <= table["high"]).all()
        plain = ~table["verdict"].str.contains("above|below")
        assert (plain == (table["p"] > 0.05)).all()


def test_worlds_without_effects_have_hardly_a_clear_verdict() -> None:
    wrong = np.int64(0)
    for seed in range(120):
        world = draw(seed)
        world["score"] = np.exp(0.8 * (world["score"] - 5))
        wrong += ask(world)["verdict"].str.startswith("clearly").any()
    assert wrong <= 6


def test_intervals_cover_what_is_true() -> None:
    inside: list[bool] = []
    for seed in range(60):
        world = draw(seed, effect=0.5)
        table = ask(world).dropna(subset="difference")
        with_person = world.groupby("person")["truth"].agg(["sum", "count"])
        total = world["truth"].sum()
        rest = (total - with_person["sum"]) / (len(world) - with_person["count"])
        true = (with_person["sum"] / with_person["count"] - rest).loc[table.index]
        inside += ((table["low"] <= true) & (true <= table["high"])).tolist()
    assert 0.93 <= np.mean(inside) <= 0.97


def test_shrinking_brings_means_of_few_videos_closer() -> None:
    raw, shrunk = [], []
    for seed in range(20):
        world = draw(seed, effect=0.3)
        table = ask(world)
        table = table[table["n"] <= 5]
        true = 5 + world.groupby("person")["truth"].first().loc[table.index]
        raw.append(np.square(table["mean"] - true).mean())
        shrunk.append(np.square(table["shrunk"] - true).mean())
    assert np.mean(shrunk) < np.mean(raw) / 2.5


def test_a_large_effect_is_clear_and_one_is_above_the_other() -> None:
    rng = np.random.default_rng(0)
    people = {name: list(range(20 * i, 20 * i + 20)) for i, name in enumerate("abcdef")}
    values = rng.normal(10, 1, 120)
    values[:20] += 3
    values[20:40] -= 3
    table = performance(*tables(people, list(values)), "score").set_index("person")
    assert table["verdict"]["a"] == "clearly above"
    assert table["verdict"]["b"] == "clearly below"
    assert table.index[0] == "a"
    assert table["shrunk_low"]["a"] < table["shrunk"]["a"] < table["mean"]["a"]
    assert table["shared_credit"]["a"] == pytest.approx(3, abs=0.8)


def test_weights_weigh_means_and_totals() -> None:
    rng = np.random.default_rng(2)
    spend, values = rng.gamma(1, 100, 40), rng.gamma(2, 1, 40)
    appearances, videos = tables({"a": list(range(12))}, list(values), Spend=spend)
    found = performance(appearances, videos, "score", weight="Spend").iloc[0]
    inside, outside = slice(0, 12), slice(12, 40)
    assert found["mean"] == pytest.approx(np.average(values[inside], weights=spend[inside]))
    assert found["total"] == pytest.approx((values * spend)[inside].sum())
    assert found["difference"] == pytest.approx(
        found["mean"] - np.average(values[outside], weights=spend[outside])
    )


def test_the_unit_of_weight_and_metric_does_not_matter() -> None:
    world = draw(4, effect=0.5)
    rng = np.random.default_rng(4)
    world["w"] = rng.gamma(1, 1, len(world))
    one = ask(world, weight="w")
    other = ask(world.assign(score=world["score"] * 1000, w=world["w"] * 50), weight="w")
    other = other.loc[one.index]
    for name in ("difference", "low", "high", "shrunk", "shared_credit", "shared_low"):
        assert other[name].to_numpy() == pytest.approx(1000 * one[name], rel=1e-4, nan_ok=True)
    assert other["p"].to_numpy() == pytest.approx(one["p"], rel=1e-4, nan_ok=True)


def test_ratios_on_the_log_scale() -> None:
    appearances, videos = tables(
        {"a": [0, 1, 2, 3]}, [4.0, 4.0, 8.0, 8.0, 1.0, 2.0, 2.0, 1.0, 2.0, 1.0]
    )
    found = performance(appearances, videos, "score", scale="log").iloc[0]
    assert found["mean"] == pytest.approx(32**0.5)
    assert found["difference"] == pytest.approx(32**0.5 / 2**0.5 - 1)
    assert found["total"] == 24


def test_attributes_explain_what_they_can() -> None:
    """b only seems to perform: all of its videos are of the better format."""
    rng = np.random.default_rng(8)
    fmt = np.array(["short"] * 60 + ["long"] * 60)
    values = rng.normal(5, 0.5, 120) + 3 * (fmt == "short")
    people = {"b": list(range(0, 20)), "c": [*range(20, 30), *range(60, 70)]}
    appearances, videos = tables(people, list(values), format=fmt)
    plain = performance(appearances, videos, "score").set_index("person")
    found = performance(appearances, videos, "score", adjust=["format"]).set_index("person")
    assert plain["verdict"]["b"] == "clearly above"
    assert plain["adjusted"].isna().all()
    assert found["difference"]["b"] == plain["difference"]["b"]
    assert abs(found["adjusted"]["b"]) < 0.5 < 1 < found["difference"]["b"]
    assert not found["verdict"]["b"].startswith("clearly")


@pytest.mark.parametrize("text", [False, True])
def test_adjusted_is_the_coefficient_of_least_squares(text: bool) -> None:
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(9)
    days = rng.integers(0, 300, 80)
    dates = pd.Timestamp("2026-01-01") + pd.to_timedelta(days, unit="D")
    fmt = rng.choice(["x", "y", "z"], 80)
    own = rng.random(80) < 0.2 + 0.4 * (fmt == "x")
    values = 10 + 0.01 * days + 2 * (fmt == "x") + own + rng.normal(size=80)
    videos = pd.DataFrame({"video": range(80), "score": values, "format": fmt, "published": dates})
    if text:
        videos["published"] = videos["published"].dt.strftime("%Y-%m-%d")
    appearances = pd.DataFrame({"person": "a", "video": np.flatnonzero(own)})
    found = performance(appearances, videos, "score", adjust=["format", "published"]).iloc[0]
    data = pd.DataFrame({"y": values, "own": own.astype(float), "f": fmt, "d": days})
    fitted = smf.ols("y ~ own + C(f) + d", data).fit()
    assert found["adjusted"] == pytest.approx(fitted.params["own"])
    assert found["p"] == pytest.approx(fitted.pvalues["own"], rel=0.5, abs=0.01)


def test_a_person_whom_an_attribute_identifies_cannot_be_told_from_it() -> None:
    rng = np.random.default_rng(1)
    mark = np.array(["x"] * 10 + ["y"] * 30)
    tabled = tables({"a": list(range(10))}, list(rng.normal(size=40)), mark=mark)
    found = performance(*tabled, "score", adjust="mark").iloc[0]
    assert np.isnan(found["adjusted"])
    assert np.isnan(found["p"])
    assert found["verdict"] == "cannot tell"


def test_people_who_are_always_together_cannot_be_separated() -> None:
    rng = np.random.default_rng(1)
    people = {"a": [0, 1, 2, 3, 4], "b": [0, 1, 2, 3, 4], "c": [4, 5, 6, 7], "d": [8]}
    table = performance(*tables(people, list(rng.normal(size=30))), "score").set_index("person")
    assert table["inseparable_from"].to_dict() == {"a": "b", "b": "a", "c": "", "d": ""}
    assert table["shared_credit"]["a"] == pytest.approx(table["shared_credit"]["b"])


# --- edges --------------------------------------------------------------------------------------


def test_appearances_count_once_and_values_that_are_missing_do_not() -> None:
    rng = np.random.default_rng(6)
    values = list(rng.normal(5, 1, 30))
    appearances, videos = tables({"a": [0, 1, 2, 3, 4, 5]}, values)
    once = performance(appearances, videos, "score")
    twice = pd.concat([appearances, appearances])
    pd.testing.assert_frame_equal(performance(twice, videos, "score"), once)
    blank = pd.DataFrame({"video": ["blank", "other"], "score": [np.nan, np.nan]})
    more = pd.concat([appearances, pd.DataFrame({"person": ["a"], "video": ["blank"]})])
    pd.testing.assert_frame_equal(performance(more, pd.concat([videos, blank]), "score"), once)
    elsewhere = pd.concat([appearances, pd.DataFrame({"person": ["z"], "video": ["elsewhere"]})])
    table = performance(elsewhere, videos, "score").set_index("person")
    assert (table["n"]["z"], table["verdict"]["z"]) == (0, "too few")
    assert table.loc["z", ["mean", "total", "shrunk", "shared_credit"]].isna().all()


@pytest.mark.parametrize(
    ("people", "values"),
    [
        ({"a": [0]}, [3.0]),
        ({"a": [0], "b": [1]}, [3.0, 4.0]),
        ({"a": [0, 1, 2]}, [3.0, 4.0, 5.0]),
        ({"a": list(range(20)), "b": [0, 1]}, [float(x) for x in range(20)]),
        ({"a": [0, 1, 2, 3]}, [4.0] * 12),
        ({"a": [0, 1, 2, 3]}, [0.0] * 12),
        ({}, [1.0, 2.0]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_too_few_videos_or_nothing_to_compare_is_said(
    people: dict[str, list[int]], values: list[float]
) -> None:
    table = performance(*tables(people, values), "score").set_index("person")
    assert len(table) == len(people)
    assert (table["verdict"] == "too few").all()
    assert table[["difference", "low", "high", "p", "q"]].isna().all(axis=None)
    for person, seen in people.items():
        assert table["mean"][person] == pytest.approx(np.mean([values[i] for i in seen]))
        assert np.isfinite(table["shrunk"][person])


def test_empty_tables_give_an_empty_table() -> None:
    nobody = pd.DataFrame({"person": [], "video": []})
    nothing = pd.DataFrame({"video": [], "score": pd.Series([], dtype=float)})
    assert performance(nobody, nothing, "score").empty
    assert tuple(performance(nobody, nothing, "score").columns) == COLUMNS


def test_perfectly_separated_people_and_nothing_random() -> None:
    people = {"a": list(range(10)), "b": list(range(10, 20)), "c": list(range(20, 30))}
    table = performance(*tables(people, [1.0] * 10 + [2.0] * 10 + [3.0] * 10), "score")
    table = table.set_index("person")
    assert table["verdict"]["c"] == "clearly above"
    assert table["verdict"]["a"] == "clearly below"
    assert table["verdict"]["b"] == "cannot tell"


def test_zeros_only_give_an_interval_with_a_width() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(0.7, 100).astype(float)
    values[:3] = 0
    found = performance(*tables({"a": list(range(3))}, list(values)), "score").iloc[0]
    assert found["difference"] == pytest.approx(-values[3:].mean())
    assert found["low"] <= found["difference"] < found["high"]
    assert found["high"] > 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e12, 1e300])
def test_very_small_and_very_large_values(size: float) -> None:
    rng = np.random.default_rng(3)
    values = np.exp(0.5 * rng.normal(size=40))
    people = {"a": list(range(8)), "b": list(range(5, 15))}
    one = performance(*tables(people, list(values)), "score")
    other = performance(*tables(people, list(values * size)), "score")
    for name in ("mean", "total", "difference", "low", "high", "shrunk", "shared_high"):
        assert (other[name] / size).to_numpy() == pytest.approx(one[name].to_numpy(), rel=1e-6)
    assert other["p"].to_numpy() == pytest.approx(one["p"].to_numpy(), rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_one_extreme_value_decides_nothing() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(10, 1, 60)
    values[3] = 1e6
    people = {name: list(range(6 * i, 6 * i + 6)) for i, name in enumerate("abcdefgh")}
    table = performance(*tables(people, list(values)), "score")
    assert not table["verdict"].str.startswith("clearly").any()
    assert (table.set_index("person")["shrunk"].drop("a") < 1e5).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "ROAS"}, "no column 'ROAS'. Its columns are: video, score"),
        ({"metric": "text"}, "does not hold numbers"),
        ({"metric": "infinite"}, "of video 'v1' is infinite"),
        ({"metric": "video"}, "names the videos"),
        ({"weight": "Spend"}, "no column 'Spend'"),
        ({"weight": "negative"}, "'negative' of video 'v2' is negative"),
        ({"scale": "rank"}, "'rank' does not exist"),
        ({"scale": "log", "metric": "zero"}, "needs values above 0"),
        ({"level": 95}, "not between 0 and 1"),
        ({"adjust": ["colour"]}, "no column 'colour' to adjust for"),
        ({"adjust": ["score"]}, "it is the metric"),
        ({"adjust": ["text"]}, "adjusting for it leaves nothing"),
    ],
)
def test_what_cannot_be_used_is_said(change: dict[str, Any], message: str) -> None:
    appearances, videos = tables(
        {"a": [0, 1, 2]},
        [1.0, 2.0, 3.0, 4.0],
        text=["w", "x", "y", "z"],
        infinite=[0, np.inf, 0, 0],
        negative=[1, 1, -1, 1],
        zero=[0, 1, 2, 3],
    )
    arguments = {"metric": "score", **change}
    with pytest.raises(UsageError, match=message):
        performance(appearances, videos, **arguments)


@pytest.mark.parametrize(
    ("appearances", "videos", "message"),
    [
        ({"person": ["a"], "film": [1]}, {"video": [1], "score": [1.0]}, "no column 'video'"),
        ({"person": [None], "video": [1]}, {"video": [1], "score": [1.0]}, "have no person"),
        ({"person": ["a"], "video": [1]}, {"video": [1, 1], "score": [1.0, 2.0]}, "than one row"),
        ({"person": ["a"], "video": ["1"]}, {"video": [1], "score": [1.0]}, "the same type"),
        ({"person": ["a"], "video": [1]}, {"video": [None], "score": [1.0]}, "have no video"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    appearances: dict[str, list[Any]], videos: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        performance(pd.DataFrame(appearances), pd.DataFrame(videos), "score")


@pytest.mark.parametrize("weight", [None, "w"])
def test_five_thousand_people_in_twenty_thousand_videos(weight: str | None) -> None:
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(20_000), 1 + rng.poisson(0.5, 20_000))
    appearances = pd.DataFrame({"person": rng.integers(0, 5000, len(video)), "video": video})
    videos = pd.DataFrame(
        {"video": range(20_000), "score": np.exp(rng.normal(size=20_000)), "w": rng.random(20_000)}
    )
    began = time.process_time()
    table = performance(appearances, videos, "score", weight=weight)
    assert time.process_time() - began < 3
    assert len(table) == len(appearances["person"].unique())
