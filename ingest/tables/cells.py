"""Reads cells that are not metrics: headings, URLs, attributes. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from ingest.tables.columns import is_missing
from ingest.tables.numbers import INVISIBLE, Number, visible
from ingest.tables.table import Value
from ingest.tables.units import PERCENT
from registry.urls import is_video_file

_FUNCTIONS = "HYPERLINK|HIPERVINCULO|HIPERVÍNCULO|LIEN_HYPERTEXTE|COLLEG.IPERTESTUALE|HIPERLIGAÇÃO"
"""The name of the function in English and German, Spanish, French, Italian and Portuguese."""
_STRING = r'"((?:[^"]|"")*)"'
_HYPERLINK = re.compile(
    rf"=\s*(?:{_FUNCTIONS})\s*\(\s*{_STRING}\s*(?:[,;]\s*(?:{_STRING}|[^\"]*)\s*)?\)", re.IGNORECASE
)
_QUOTED = re.compile(rf"=\s*{_STRING}")
_MARKDOWN = re.compile(r"!?\[([^\]]*)\]\(\s*<?([^\s<>]+?)>?(?:\s+[\"'(].*)?\s*\)")
_SCHEME = re.compile(r"(?:https?|s3|file)://\S", re.IGNORECASE)
_BLANK = frozenset({"", "-", "--", "—", "–"})

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}.*)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")


def header_text(cell: object) -> str:
    """The name of a column, with single spaces and without invisible characters."""
    return "" if is_missing(cell) else " ".join(visible(str(cell)).split())


def url_text(cell: object) -> str:
    """The URL (or path, or id) in a cell, without the text around it.

    Unwraps `=HYPERLINK("url","text")`, `<url>`, `[text](url)` and `"url"`, and removes a leading
    apostrophe and invisible characters. Other formulas stay as they are.
    """
    if type(cell) is not str:
        return _typed_text(cell)
    text = visible(cell) if "://" in cell else _trimmed(cell)
    if text[:1] in "=<[!'\"":
        text = _unwrapped(text)
    return text


def _unwrapped(text: str) -> str:
    link = _HYPERLINK.fullmatch(text)
    if link:
        return link[1].replace('""', '"').strip()
    markdown = _MARKDOWN.fullmatch(text)
    if markdown:
        return markdown[2]
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return quoted[1].replace('""', '"').strip()
    for opening, closing in (("<", ">"), ('"', '"')):
        if len(text) > 2 and text.startswith(opening) and text.endswith(closing):
            return text[1:-1].strip()
    if text.startswith("'") and _SCHEME.match(text[1:]):
        return text[1:].removesuffix("'")
    return text


def _trimmed(text: str) -> str:
    """Strip white space and invisible characters at the ends; a file's name may contain some."""
    text = text.strip()
    if text.isascii():
        return text
    while text and (INVISIBLE.match(text[0]) or text[0].isspace()):
        text = text[1:]
    while text and (INVISIBLE.match(text[-1]) or text[-1].isspace()):
        text = text[:-1]
    return text


def _typed_text(cell: object) -> str:
    """The text of a cell that is not text, such as an id that a spreadsheet took for a number."""
    if is_missing(cell):
        return ""
    if isinstance(cell, Number):
        cell = cell.value
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return _trimmed(str(cell))


def looks_like_url(cell: object) -> bool:
    """Whether a cell most likely names a video: a URL, or the name of a video file."""
    text = url_text(cell)
    return bool(_SCHEME.match(text) or text.startswith("www.") or is_video_file(text))


def attribute_column(cells: Sequence[object]) -> list[Value | None]:
    """The cells of an attribute column as text, numbers or dates; None for blank ones.

    Cells with a type keep it. Text becomes dates or numbers only if the form of the whole column
    allows no other reading: ISO 8601 dates; whole numbers of at most 15 digits and
    without leading zeros, as ids have; decimals with a dot, unless each has three decimals.
    """
    values = [_attribute(cell) for cell in cells]
    texts = [value for value in values if value is not None]
    if not texts or not all(isinstance(value, str) for value in texts):
        return values
    convert = _conversion([str(text) for text in texts])
    return values if convert is None else [value and convert(str(value)) for value in values]


def _attribute(cell: object) -> Value | None:
    if type(cell) is str:
        text = visible(cell)
        if text[:1] == "=":
            link = _HYPERLINK.fullmatch(text)
            text = (link[2] or link[1]) if link else _unwrapped(text)
        return None if text in _BLANK else text
    if is_missing(cell):
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Number):
        return f"{cell.value:.15g}{'' if cell.unit == PERCENT else ' '}{cell.unit}".strip()
    if isinstance(cell, dt.datetime) and type(cell) is not dt.datetime:
        # A Timestamp of pandas, which counts nanoseconds.
        return dt.datetime.combine(cell.date(), cell.timetz())
    if isinstance(cell, Decimal) or (isinstance(cell, float) and not math.isfinite(cell)):
        return str(cell)
    if isinstance(cell, (int, float, dt.date)):
        return cell
    return visible(str(cell)) or None


def _conversion(texts: Sequence[str]) -> Callable[[str], Value] | None:
    """The function that converts every text to a date or a number; None if they stay text."""
    for pattern, convert in (
        (_ISO_DATE, dt.date.fromisoformat),
        (_ISO_TIME, dt.datetime.fromisoformat),
        (_INTEGER, int),
        (_DECIMAL, float),
    ):
        if all(map(pattern.fullmatch, texts)):
            if pattern is _DECIMAL and _all_in_threes(texts):
                return None
            try:
                for text in texts:
                    convert(text)
            except ValueError:  # such as 2026-02-30
                return None
            return convert
    return None


def _all_in_threes(texts: Sequence[str]) -> bool:
    """Whether the dots of decimals may group thousands."""
    return all(len(text) - text.index(".") == 4 for text in texts if "." in text)
