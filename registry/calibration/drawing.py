"""Charts as SVG and as PNG, from one description. Pure; text is escaped.

Coordinates are in px from the top left corner of the picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Literal

import numpy as np

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_DASH = (6.0, 4.0)
"""Lengths of a dash and of a gap, px."""
_PNG_SCALE, _SMOOTH = 2, 2
"""Pixels of a PNG for each px, as on high-density screens; and the factor of anti-aliasing."""


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon."""

    points: Sequence[Point]
    colour: str
    """#rrggbb."""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points."""

    points: Sequence[Point]
    colour: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; `y` is its baseline."""

    x: float
    y: float
    text: str
    colour: str = "#333333"
    size: float = 12
    anchor: Anchor = "start"
    upright: bool = False
    """Turned to be read from below."""


@dataclass(slots=True)
class Picture:
    """Shapes on white, later ones on top."""

    width: int
    height: int
    title: str
    """The text alternative of the picture."""
    shapes: list[Area | Stroke | Words] = field(default_factory=list)


def box(x1: float, y1: float, x2: float, y2: float) -> tuple[Point, ...]:
    """The corners of a rectangle."""
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def svg(picture: Picture) -> str:
    """The picture as an SVG element that loads nothing from elsewhere."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} '
            f'{picture.height}" role="img" aria-label="{escape(picture.title)}" '
            f'font-family="{_FONT}">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *(_element(shape) for shape in picture.shapes),
            "</svg>",
        )
    )


def _element(shape: Area | Stroke | Words) -> str:
    if isinstance(shape, Words):
        turn = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.upright else ""
        return (
            f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" '
            f'fill="{shape.colour}" text-anchor="{shape.anchor}"{turn}>{escape(shape.text)}</text>'
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
    if isinstance(shape, Area):
        return f'<polygon points="{points}" fill="{shape.colour}" opacity="{shape.opacity:g}"/>'
    dash = f' stroke-dasharray="{_DASH[0]:g} {_DASH[1]:g}"' if shape.dashed else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{shape.colour}" '
        f'stroke-width="{shape.width:g}" stroke-linejoin="round"{dash}/>'
    )


def png(picture: Picture) -> bytes:
    """The picture as PNG, two pixels for each px."""
    from PIL import Image, ImageDraw, ImageFont

    scale = _PNG_SCALE * _SMOOTH
    image = Image.new("RGB", (picture.width * scale, picture.height * scale), "#ffffff")
    draw = ImageDraw.Draw(image, "RGBA")
    for shape in picture.shapes:
        if isinstance(shape, Area):
            colour = (*_rgb(shape.colour), round(255 * shape.opacity))
            draw.polygon([(x * scale, y * scale) for x, y in shape.points], fill=colour)
        elif isinstance(shape, Stroke):
            width = max(round(shape.width * scale), 1)
            for part in _dashes(shape.points) if shape.dashed else [shape.points]:
                line = [(x * scale, y * scale) for x, y in part]
                draw.line(line, fill=shape.colour, width=width, joint="curve")
        else:
            font = ImageFont.load_default(shape.size * scale)
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            at = (shape.x * scale, shape.y * scale)
            if shape.upright:
                # Turned as a whole: the text is drawn lying, in the middle of a square.
                side = round(draw.textlength(shape.text, font)) + 8 * scale
                lying = Image.new("RGBA", (side, side), (255, 255, 255, 0))
                ImageDraw.Draw(lying).text(
                    (side / 2, side / 2), shape.text, shape.colour, font, "ms"
                )
                turned = lying.rotate(90)
                image.paste(turned, (round(at[0] - side / 2), round(at[1] - side / 2)), turned)
            else:
                draw.text(at, shape.text, shape.colour, font, anchor)
    size = (picture.width * _PNG_SCALE, picture.height * _PNG_SCALE)
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _dashes(points: Sequence[Point]) -> Iterator[list[Point]]:
    """A line cut into its dashes."""
    for (x1, y1), (x2, y2) in pairwise(points):
        length = float(np.hypot(x2 - x1, y2 - y1))
        for start in np.arange(0, length, sum(_DASH)).tolist():
            ends = start / length, min(start + _DASH[0], length) / length
            yield [(x1 + (x2 - x1) * t, y1 + (y2 - y1) * t) for t in ends]
