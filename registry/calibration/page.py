"""A calibration as one HTML page: chart, sentences, and the pictures of suspects.

The page loads nothing from elsewhere. The pictures are faces, so it is as private as the registry.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape

from registry.calibration.chart import draw
from registry.calibration.measurement import SHOWN, Measurement, Suspect
from registry.calibration.text import basis_sentences, reject_sentences, sample_sentence
from registry.charts import svg
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


def page(registry: Registry, measurement: Measurement) -> str:
    """The page. Raises `StoreCorrupt` if the crop of a suspect is damaged."""
    lines = (*basis_sentences(measurement), *reject_sentences(measurement))
    text = [f"<p>{escape(clean(line))}</p>" for line in lines]
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Calibration</title><style>{_STYLE}</style></head><body>",
            f"<h1>Calibration of {escape(clean(measurement.calibration.model))}</h1>",
            f"<p>{escape(sample_sentence(measurement))}</p>",
            _table(measurement),
            *text,
            svg(draw(measurement)),
            _suspects(registry, measurement),
            "</body></html>\n",
        )
    )


def _table(measurement: Measurement) -> str:
    calibration = measurement.calibration
    rows = (
        ("lookup: single faces", calibration.lookup, measurement.shipped_lookup),
        ("linkage: means of tracks", calibration.linkage, measurement.shipped_linkage),
    )
    heads = (
        "", "threshold", "95 % interval", "the model's own", "false-accept rate", "95 % interval",
        "pairs of people", "worth independent",
    )  # fmt: skip
    lines = ["<table><tr>", *(f"<th>{head}</th>" for head in heads), "</tr>"]
    for row in rows:
        lines += ["<tr>", *(f"<td>{cell}</td>" for cell in _cells(*row)), "</tr>"]
    return "".join([*lines, "</table>"])


def _cells(name: str, threshold: CalibratedThreshold, shipped: float) -> tuple[str, ...]:
    return (
        name,
        f"{threshold.threshold:.3f} ({threshold.basis})",
        f"{threshold.low:.3f} to {threshold.high:.3f}",
        f"{shipped:.3f}",
        rate(threshold.far),
        f"{rate(threshold.far_low)} to {rate(threshold.far_high)}",
        f"{threshold.pairs_of_people:,}",
        f"{threshold.independent:.0f}",
    )


def _suspects(registry: Registry, measurement: Measurement) -> str:
    if not measurement.suspects:
        return ""
    shown = [_figure(registry, suspect) for suspect in measurement.suspects[:SHOWN]]
    return "\n".join(
        (
            "<h2>One person twice in a frame?</h2>",
            "<p>These faces are side by side and as similar as faces of one person: a mirror, a "
            "screen, a collage, or twins. They do not count as two people. Use <code>face-registry "
            "identities separate</code> if they are two, and <code>face-registry identities "
            "merge</code> if they are one.</p>",
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
