"""A calibration as one HTML page: chart, sentences, and the pictures of those to look at.

It asks for nothing from outside. The pictures are faces: the page is as private as the registry.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape

from registry.calibration.chart import draw
from registry.calibration.drawing import svg
from registry.calibration.measuring import SHOWN, Found, Suspect
from registry.calibration.text import basis, rejected, sentences
from registry.core.operating_point import CalibratedThreshold
from registry.core.registry import Registry
from registry.terminal import clean, rate, short

_STYLE = """
:root { color-scheme: light; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #333; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: 14px; }
th, td { padding: .35rem .4rem; border-bottom: 1px solid #ddd; text-align: right; }
td { white-space: nowrap; } th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; }
figure { display: inline-block; width: 18rem; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figure img { width: 8.5rem; height: 8.5rem; object-fit: cover; border-radius: 4px;
  margin-right: .4rem; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(registry: Registry, found: Found) -> str:
    """The page."""
    text = [f"<p>{escape(clean(line))}</p>" for line in (*basis(found), *rejected(found))]
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Calibration</title><style>{_STYLE}</style></head><body>",
            f"<h1>Calibration of {escape(clean(found.calibration.model))}</h1>",
            f"<p>{escape(sentences(found)[0])}.</p>",
            _table(found),
            *text,
            svg(draw(found)),
            _suspects(registry, found),
            "</body></html>\n",
        )
    )


def _table(found: Found) -> str:
    rows = (
        ("lookup: single faces", found.calibration.lookup, found.shipped_lookup),
        ("linkage: means of tracks", found.calibration.linkage, found.shipped_linkage),
    )
    heads = (
        "", "threshold", "95 % interval", "the model's own", "false-accept rate", "95 % interval",
        "pairs of people", "worth independent",
    )  # fmt: skip
    lines = ["<table><tr>", *(f"<th>{head}</th>" for head in heads), "</tr>"]
    for name, line, shipped in rows:
        lines += ["<tr>", *(f"<td>{cell}</td>" for cell in _cells(name, line, shipped)), "</tr>"]
    return "".join([*lines, "</table>"])


def _cells(name: str, line: CalibratedThreshold, shipped: float) -> tuple[str, ...]:
    return (
        name,
        f"{line.threshold:.3f} ({line.basis})",
        f"{line.low:.3f} to {line.high:.3f}",
        f"{shipped:.3f}",
        rate(line.far),
        f"{rate(line.far_low)} to {rate(line.far_high)}",
        f"{line.pairs_of_people:,}",
        f"{line.independent:.0f}",
    )


def _suspects(registry: Registry, found: Found) -> str:
    if not found.suspects:
        return ""
    shown = [_figure(registry, suspect) for suspect in found.suspects[:SHOWN]]
    return "\n".join(
        (
            "<h2>One person twice in a frame?</h2>",
            "<p>Side by side, and as alike as one person: a mirror, a screen, a collage, or twins. "
            "They are not counted as two people. <code>identities separate</code> says that they "
            "are two, <code>identities merge</code> that they are one.</p>",
            *shown,
        )
    )


def _figure(registry: Registry, suspect: Suspect) -> str:
    seen = suspect.seen
    images = "".join(
        f'<img alt="face" src="data:image/jpeg;base64,'
        f'{b64encode(registry.crop(key, digest)).decode()}">'
        for key, digest in zip(seen.crops, seen.digests, strict=True)
    )
    who = " and ".join(dict.fromkeys(short(identity) for identity in seen.identities))
    url = escape(str(seen.video_url))
    return (
        f"<figure>{images}<figcaption>{seen.similarity:.3f}: {who}, {url} at "
        f"{seen.time_s:.1f} s</figcaption></figure>"
    )
