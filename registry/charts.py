"""Charts: one theme for all of them, and Altair charts as SVG or PNG.

Two hues carry meaning: blue stands for above, orange for below. People who are red-green blind tell
them apart. Everything else is ink and grey. Charts name colours by their place in the theme: a
`style` of a mark, the range `category` or `ordinal` of a scale.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair

Chart = Any
"""One of Altair's classes of charts, which have no common base with `to_dict`."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Open Sans', sans-serif"
CATEGORIES = ("above", "below", "leaning above", "leaning below", "neither", "unknown")
"""What the colours of the range `category` stand for, in order."""
_COLOURS = {
    # Blue and vermilion of Okabe and Ito (2008), "Color Universal Design", and lighter ones with a
    # contrast of 3:1 on white, which WCAG 2.2 (1.4.11) asks for.
    "above": "#0072b2",
    "below": "#d55e00",
    "leaning above": "#4a94c8",
    "leaning below": "#d6751f",
    "neither": "#6b7075",
    "unknown": "#85898d",
    "ink": "#1f2327",
    "soft": "#5c6166",
    "grid": "#e4e6e8",
    "paper": "#ffffff",
    "shades": ("#2b3036", "#7c8288", "#b9bec3"),
}


def theme() -> dict[str, Any]:
    """The configuration of Vega-Lite that all charts have.

    Its styles of marks are `reference` (a line or tick to compare with), `threshold` (a line that
    decides), `band` (an interval as an area), `faint` (single videos behind a summary), `note`
    (text), and the `CATEGORIES`.
    """
    ink, soft, grid = _COLOURS["ink"], _COLOURS["soft"], _COLOURS["grid"]
    text = {"labelColor": soft, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": _COLOURS["paper"],
        "font": FONT,
        "padding": 12,
        "view": {"stroke": None},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": ink,
            "fontSize": 15,
            "fontWeight": 600,
            "subtitleColor": soft,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
            "offset": 14,
        },
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": grid,
            "domainColor": soft,
            "tickColor": soft,
            "labelLimit": 260,
        },
        "header": {**text, "labelColor": ink, "labelFontWeight": 600, "labelAnchor": "start"},
        "legend": {
            **text,
            "titleFontWeight": "normal",
            "orient": "bottom",
            "columns": 0,
            "symbolSize": 90,
            "labelLimit": 600,
        },
        "mark": {"color": ink},
        "rule": {"color": soft},
        "tick": {"color": ink, "thickness": 2},
        "text": {"color": ink, "fontSize": 12},
        "point": {"size": 70},
        "line": {"strokeWidth": 2},
        "style": {
            "reference": {"color": soft, "fill": soft, "stroke": soft},
            "threshold": {"color": ink, "stroke": ink, "strokeWidth": 2},
            "band": {"fill": ink, "fillOpacity": 0.09, "strokeOpacity": 0},
            "faint": {"color": soft, "fill": soft, "fillOpacity": 0.45, "strokeOpacity": 0},
            "note": {"fill": soft, "fontSize": 12},
            **{name: {"color": _COLOURS[name], "stroke": _COLOURS[name]} for name in CATEGORIES},
        },
        "range": {
            "category": [_COLOURS[name] for name in CATEGORIES],
            "ordinal": list(_COLOURS["shades"]),
        },
    }


def themed(chart: Chart) -> Chart:
    """The chart with the theme, as a notebook shows it."""
    return chart.configure(**theme())


def specification(chart: Chart) -> dict[str, Any]:
    """The chart in the language of Vega-Lite, with its data and the theme."""
    return {**chart.to_dict(), "config": theme()}


def svg(chart: Chart) -> str:
    """The chart as an SVG element for a web page: an image with its description as text.

    It loads nothing and holds no script.
    """
    import vl_convert

    spec = specification(chart)
    drawn = str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    label = escape(str(spec.get("description", "")))
    if "xlink:href" not in drawn:
        drawn = drawn.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "", 1)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def png(chart: Chart) -> bytes:
    """The chart as a PNG with two pixels for each px, as screens of high density show it."""
    import vl_convert

    spec = specification(chart)
    return bytes(vl_convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[]))


def rows(table: Any) -> altair.InlineData:
    """The rows of a DataFrame as data of a chart. Altair's own limit of 5,000 rows does not hold.

    Args:
        table: a DataFrame with columns of numbers, texts and times; NaN becomes null.
    """
    import json

    import altair

    text = table.to_json(orient="records", date_format="iso", double_precision=15)
    return altair.InlineData(values=json.loads(text))
