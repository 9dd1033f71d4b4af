"""Lookups of all photos in a folder: who is in each, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.answers import LookupAnswer, Probe
from queries.lookup import Gallery, open_gallery
from queries.photos import load_photo, photos_in
from registry.core.registry import Registry
from registry.errors import ImageError
from registry.faces.quality import is_spoilt

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = [
    "photo",
    "face",
    "verdict",
    "identity",
    "name",
    "similarity",
    "false_accept_rate",
    "false_positive_identification_rate",
    "rates_are_bounds",
    "close_second",
    "quality",
    "reasons",
    "x1",
    "y1",
    "x2",
    "y2",
    "problem",
]
"""Of the CSV, in order; docs/FORMATS.md describes them."""


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """Who is in one photo of a folder."""

    photo: str
    """Its path, from the folder on."""
    answer: LookupAnswer | None
    """None if the photo could not be read."""
    problem: str = ""
    """Why it could not be read."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `lookup FOLDER --json`."""
        if self.answer is None:
            return {"photo": self.photo, "problem": self.problem}
        return {"photo": self.photo, **self.answer.as_dict()}


def lookup_folder(
    registry: Registry,
    folder: Path | str,
    *,
    threshold: float | None = None,
    provisional: bool = False,
) -> pd.DataFrame:
    """Name everyone in the photos of a folder and its subfolders.

    Args:
        registry: an open registry that has ingested something.
        folder: with photos; hidden files, and files whose names do not end as those of photos do,
            are left out.
        threshold: as in `lookup`.
        provisional: as in `lookup`.

    Returns:
        A row for each face with its best match, and one for each photo without a face or that
        cannot be read. The columns are `COLUMNS`.

    Raises:
        ImageError: there is no photo in the folder.
        EmptyRegistry: nothing has been ingested.
    """
    gallery = open_gallery(registry, top=1, threshold=threshold, provisional=provisional)
    return answers_table(answer_folder(gallery, Path(folder)))


def answer_folder(gallery: Gallery, folder: Path) -> Iterator[PhotoAnswer]:
    """Who is in each photo of a folder, in order of path. Raises `ImageError` if it has none."""
    photos = list(photos_in(folder))
    if not photos:
        raise ImageError(
            f"{folder} has no photo: no file in it ends with .jpg, .png, .heic or the like. "
            "Give a photo, or a folder with photos."
        )
    for path in photos:
        name = path.relative_to(folder).as_posix()
        try:
            yield PhotoAnswer(name, gallery.answer(load_photo(path)))
        except ImageError as exc:
            yield PhotoAnswer(name, None, str(exc))


def answers_table(answers: Iterable[PhotoAnswer]) -> pd.DataFrame:
    """The rows of the CSV."""
    rows = [row for one in answers for row in _rows(one)]
    import pandas as pd

    return pd.DataFrame(rows, columns=COLUMNS).astype({"face": "Int64"})


def verdict(probe: Probe) -> str:
    """`match`, `lead`, `unknown`, or `unclear`: it cannot be told who it is."""
    if is_spoilt(probe.quality):
        return "unclear"
    if not probe.matches:
        return "unknown"
    return "lead" if probe.matches[0].lead else "match"


def _rows(one: PhotoAnswer) -> Iterator[dict[str, Any]]:
    if one.answer is None:
        yield {"photo": one.photo, "verdict": "not read", "problem": one.problem}
        return
    if not one.answer.faces:
        yield {"photo": one.photo, "verdict": "no face"}
    for number, probe in enumerate(one.answer.faces, start=1):
        box = probe.detection.box
        row = {
            "photo": one.photo,
            "face": number,
            "verdict": verdict(probe),
            "quality": round(probe.quality.score, 4),
            "reasons": " ".join(probe.quality.reasons),
            "x1": round(box.x1, 1),
            "y1": round(box.y1, 1),
            "x2": round(box.x2, 1),
            "y2": round(box.y2, 1),
        }
        if probe.matches:
            best = probe.matches[0]
            row |= {
                "identity": best.identity,
                "name": best.name,
                "similarity": round(best.similarity, 6),
                "false_accept_rate": best.false_accept_rate,
                "false_positive_identification_rate": best.false_positive_identification_rate,
                "rates_are_bounds": best.rates_are_bounds,
            }
        if probe.close_second:
            row["close_second"] = probe.close_second.identity
        yield row
