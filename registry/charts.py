"""Charts: one theme for all of them, and Altair charts as SVG, PNG or the parts of a web page.

Two hues carry meaning: blue stands for above, orange for below. People who are red-green blind tell
them apart. Everything else is ink and grey. Charts name colours by their place in the theme (a
`style` of a mark, the range `category` or `ordinal` of a scale), so one chart can be drawn light
and dark.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair

Chart = Any
"""One of Altair's classes of charts, which have no common base with `to_dict`."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Open Sans', sans-serif"
EMBED_OPTIONS = {"mode": "vega-lite", "ast": True, "actions": False, "renderer": "svg"}
"""Options for `vegaEmbed` of `runtime`. With `ast`, expressions are interpreted and not compiled,
so a content security policy needs no 'unsafe-eval'. Where it forbids inline styles, too, add
`defaultStyle: false` and `tooltip: {disableDefaultStyle: true}`, and a style of one's own for
`#vg-tooltip-element`."""
CATEGORIES = ("above", "below", "leaning above", "leaning below", "neither", "unknown")
"""What the colours of the range `category` stand for, in order."""
_LIGHT = {
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
_DARK = {
    "above": "#56b4e9",
    "below": "#f08a3c",
    "leaning above": "#3f88b3",
    "leaning below": "#b8692d",
    "neither": "#9aa0a6",
    "unknown": "#858b91",
    "ink": "#eceef0",
    "soft": "#aab0b6",
    "grid": "#32373c",
    "paper": "#16191c",
    "shades": ("#e6e9ec", "#969ca3", "#565c63"),
}


def theme(*, dark: bool = False) -> dict[str, Any]:
    """The configuration of Vega-Lite that all charts have.

    Its styles of marks are `reference` (a line or tick to compare with), `threshold` (a line that
    decides), `band` (an interval as an area), `faint` (single videos behind a summary), `note`
    (text), and the `CATEGORIES`.
    """
    colours = _DARK if dark else _LIGHT
    ink, soft, grid = colours["ink"], colours["soft"], colours["grid"]
    text = {"labelColor": soft, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": colours["paper"],
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
            **{name: {"color": colours[name], "stroke": colours[name]} for name in CATEGORIES},
        },
        "range": {
            "category": [colours[name] for name in CATEGORIES],
            "ordinal": list(colours["shades"]),
        },
    }


def themed(chart: Chart) -> Chart:
    """The chart with the light theme, as a notebook shows it."""
    return chart.configure(**theme())


def specification(chart: Chart, *, dark: bool = False) -> dict[str, Any]:
    """The chart in the language of Vega-Lite, with its data and the theme.

    Args:
        chart: of Altair.
        dark: whether the theme is for dark pages.
    """
    return {**chart.to_dict(), "config": theme(dark=dark)}


def svg(chart: Chart, *, dark: bool = False) -> str:
    """The chart as an SVG element for a web page: an image with its description as text.

    It loads nothing and holds no script.
    """
    import vl_convert

    spec = specification(chart, dark=dark)
    drawn = str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    label = escape(str(spec.get("description", "")))
    if "xlink:href" not in drawn:
        drawn = drawn.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "", 1)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def png(chart: Chart, *, dark: bool = False) -> bytes:
    """The chart as a PNG with two pixels for each px, as screens of high density show it."""
    import vl_convert

    spec = specification(chart, dark=dark)
    return bytes(vl_convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[]))


@cache
def runtime() -> str:
    """The JavaScript of Vega, Vega-Lite and vega-embed for a page that loads nothing: 0.9 MB.

    As the text of a `script` element it defines `vegaEmbed`; `EMBED_OPTIONS` are its options. It
    does not contain "</script".
    """
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed; window.vega = vega;")
    return f"(()=>{{{bundle}}})();"


def rows(table: Any) -> altair.InlineData:
    """The rows of a DataFrame as data of a chart. Altair's own limit of 5,000 rows does not hold.

    Args:
        table: a DataFrame with columns of numbers, texts and times; NaN becomes null.
    """
    import json

    import altair

    text = table.to_json(orient="records", date_format="iso", double_precision=15)
    return altair.InlineData(values=json.loads(text))
