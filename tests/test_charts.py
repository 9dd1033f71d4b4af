"""The theme of charts, and charts as SVG and PNG."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import altair as alt
import cv2
import numpy as np
import pandas as pd

from registry.charts import CATEGORIES, png, rows, specification, svg, theme

SVG = "{http://www.w3.org/2000/svg}"


def chart(text: str = "Bars <b> & more") -> Any:
    table = pd.DataFrame({"who": ["a", "b"], "value": [1.0, np.nan], "kind": ["above", "below"]})
    colour = alt.Color("kind:N", scale=alt.Scale(domain=list(CATEGORIES), range="category"))
    return (
        alt.Chart(rows(table))
        .transform_calculate(twice="datum.value * 2")
        .mark_bar()
        .encode(x="twice:Q", y="who:N", color=colour, tooltip=["who:N"])
        .properties(title=text, description=text)
    )


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _as_deuteranope(colour: str) -> np.ndarray:
    """Linear RGB as a person without M cones sees it (Viénot, Brettel and Mollon 1999)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    return np.asarray(seen @ linear)


def test_colours_can_be_seen_and_told_apart() -> None:
    config = theme()
    paper, colours = config["background"], config["range"]["category"]
    assert [round(_contrast(one, paper), 1) for one in colours if _contrast(one, paper) < 3] == []
    assert _contrast(config["title"]["color"], paper) >= 7
    assert _contrast(config["axis"]["labelColor"], paper) >= 4.5
    above, below, leaning_above, leaning_below, neither, _ = map(_as_deuteranope, colours)
    hues = [(above, below), (leaning_above, leaning_below), (above, neither), (below, neither)]
    assert min(float(np.linalg.norm(one - other)) for one, other in hues) > 0.1
    assert len(set(colours)) == len(CATEGORIES)


def test_shades_of_grey_differ_and_have_no_hue() -> None:
    shades = theme()["range"]["ordinal"]
    assert min(_contrast(one, other) for one, other in combinations(shades, 2)) > 1.5
    for shade in shades:
        parts = [int(shade[at : at + 2], 16) for at in (1, 3, 5)]
        assert max(parts) - min(parts) < 16


def test_an_svg_is_an_image_with_words_and_loads_nothing() -> None:
    text = svg(chart())
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Bars <b> & more"
    assert "Bars <b> & more" in [element.text for element in root.iter(f"{SVG}text")]
    assert "<script" not in text
    assert "href" not in text.replace("xmlns:xlink", "")
    assert "https://" not in text


def test_svg_and_png_have_the_theme_and_the_png_two_pixels_for_each_px() -> None:
    text = svg(chart())
    assert theme()["range"]["category"][0] in text
    drawn = cv2.imdecode(np.frombuffer(png(chart()), np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn[0, 0].tolist() == [0xFF, 0xFF, 0xFF]
    root = ElementTree.fromstring(text)
    assert drawn.shape[:2] == (2 * int(root.get("height", 0)), 2 * int(root.get("width", 0)))


def test_data_of_any_number_of_rows_is_whole() -> None:
    table = pd.DataFrame({"x": np.arange(6000.0), "at": pd.Timestamp("2026-06-01")})
    table.loc[1, "x"] = np.nan
    found = specification(alt.Chart(rows(table)).mark_point().encode(x="x:Q"))
    values = next(iter(found["datasets"].values())) if "datasets" in found else found["data"]
    values = values["values"] if isinstance(values, dict) else values
    assert len(values) == 6000
    assert values[:2] == [
        {"x": 0.0, "at": "2026-06-01T00:00:00.000"},
        {"x": None, "at": "2026-06-01T00:00:00.000"},
    ]
