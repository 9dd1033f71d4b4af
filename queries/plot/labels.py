"""What charts call people, and how they describe themselves. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from registry.redaction import redacted
from registry.terminal import short

LISTED = 20
"""The most rows that the description of a chart has in words."""


def people_labels(ids: Iterable[Any], names: Iterable[Any]) -> list[str]:
    """A label for each person, no two alike: the name, or else the beginning of the id."""
    keys = [str(one) for one in ids]
    labels = [
        redacted(str(name), 60) if isinstance(name, str) and name else redacted(_short(key), 60)
        for key, name in zip(keys, names, strict=True)
    ]
    often = Counter(labels)
    labels = [
        f"{label} ({_short(key)})" if often[label] > 1 else label
        for key, label in zip(keys, labels, strict=True)
    ]
    often = Counter(labels)
    return [key if often[label] > 1 else label for key, label in zip(keys, labels, strict=True)]


def _short(key: str) -> str:
    """Ids of identities are shortened, names of people in anybody's tables are not."""
    return short(key) if len(key) >= 32 and " " not in key else key


def names_by_person(appearances: pd.DataFrame, people: Sequence[str]) -> list[str]:
    """Labels of people in a table of appearances, which may have a column `name`."""
    key = person_column(appearances)
    if "name" not in appearances:
        return people_labels(people, people)
    known = dict(zip(appearances[key].astype(str), appearances["name"], strict=True))
    return people_labels(people, [known.get(str(one), "") for one in people])


def person_column(table: pd.DataFrame) -> str:
    """The column that tells people apart: `identity` of a registry's tables, else `person`."""
    return "identity" if "identity" in table else "person"


def described(title: str, sentences: Sequence[str]) -> str:
    """The description of a chart for people who do not see it."""
    listed = list(sentences[:LISTED])
    if len(sentences) > LISTED:
        listed.append(f"{len(sentences) - LISTED} more")
    return f"{title}. " + "; ".join(listed) + "."
