"""A line chart as SVG: F1 against threshold. Written by hand, for it is thirty lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 400, 56, 36, 16, 92
_STYLE = "font-family:system-ui,sans-serif;font-size:12px;fill:#333"


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    values: Sequence[float]
    colour: str
    dashed: bool = False


def chart(
    title: str,
    across: Sequence[float],
    lines: Sequence[Line],
    marks: Sequence[tuple[float, str]],
    *,
    low: float,
) -> str:
    """The SVG text.

    Args:
        title: above the plot.
        across: x of each value.
        lines: curves; values below `low` are not drawn.
        marks: x and colour of upright lines.
        low: where the y axis begins; it ends at 1.
    """

    def x(value: float) -> float:
        share = (value - across[0]) / (across[-1] - across[0])
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        share = (1 - value) / (1 - low)
        return round(_TOP + share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def text(at_x: float, at_y: float, words: str) -> str:
        return f'<text x="{at_x}" y="{at_y}" style="{_STYLE}">{escape(words)}</text>'

    bottom = y(low)
    steps = [low + step * (1 - low) / 5 for step in range(6)]
    tenths = [value for value in across if round(value * 100) % 10 == 0]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(_LEFT, 20, title),
        *(f'<path d="M{_LEFT} {y(value)}H{_WIDTH - _RIGHT}" stroke="#ddd"/>' for value in steps),
        *(text(_LEFT - 36, y(value) + 4, f"{value:.2f}") for value in steps),
        *(text(x(value) - 9, bottom + 18, f"{value:.1f}") for value in tenths),
        text(_LEFT + 240, bottom + 36, "threshold (cosine)"),
        *(f'<path d="M{x(at)} {_TOP}V{bottom}" stroke="{c}"/>' for at, c in marks),
    ]
    for number, line in enumerate(lines):
        stroke = f'stroke="{line.colour}" stroke-width="2"'
        if line.dashed:
            stroke += ' stroke-dasharray="6 4"'
        drawn = [(a, v) for a, v in zip(across, line.values, strict=True) if v >= low]
        points = " ".join(f"{x(a)},{y(v)}" for a, v in drawn)
        at_x, at_y = _LEFT + (number % 2) * 330, bottom + 56 + (number // 2) * 18
        parts += [
            f'<polyline points="{points}" fill="none" {stroke}/>',
            f'<path d="M{at_x} {at_y - 4}h26" {stroke}/>',
            text(at_x + 32, at_y, line.name),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
