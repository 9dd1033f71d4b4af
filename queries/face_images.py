"""The pictures of identities: a crop for a notebook, covers beside the rows of a table."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from queries.answers import LookupAnswer
from queries.figures import figure
from queries.identity_effects import Effect
from queries.masking import boxes_beside, frame_size, small_picture, without_others
from registry.core import keys
from registry.core.points import IndexedFace
from registry.core.registry import Registry
from registry.errors import StoreCorrupt, UsageError
from registry.people.joining import Suggestion
from registry.redaction import redacted

if TYPE_CHECKING:
    from PIL.Image import Image

COVER = 96
"""px: twice the side at which a table shows a cover, for screens of high density."""
SHOWN = 50
"""The most rows that a table shows in a notebook, as each has a picture of 3 kB."""
_IDENTITIES = ("identity", "first", "second", "stays", "joins")
"""Columns of ids of identities."""


def crop(registry: Registry, identity: str, *, unmasked: bool = False) -> Image:
    """The best face of an identity, as a picture.

    Args:
        registry: an open registry.
        identity: an id, a unique beginning of an id, or a name.
        unmasked: show the faces of other people in the margins, which are grey otherwise.

    Raises:
        UnknownError: there is no such identity.
        StoreCorrupt: the crop is not what was stored, or its face is not in the index.

    Returns:
        An RGB image of Pillow.
    """
    from PIL import Image

    found = registry.identity(identity)
    face, frame = _cover_face(registry, found.cover_face, found.cover)
    picture = registry.crop(face.crop, face.crop_digest)
    if not unmasked:
        size = frame_size(registry, face.video_id)
        picture = without_others(picture, face.crop, face.box, boxes_beside(face, frame), size)
    return Image.open(io.BytesIO(picture)).convert("RGB")


def covers(registry: Registry, identities: Iterable[str]) -> dict[str, bytes]:
    """Small square WebP pictures of identities by id, with the faces of others masked."""
    found = registry.index.get_identities(sorted(set(identities)))
    pictures = {}
    for identity_id, one in found.items():
        face, frame = _cover_face(registry, one.cover_face, one.cover)
        pictures[identity_id] = small_picture(
            registry.crop(face.crop, face.crop_digest),
            face.crop,
            face.box,
            boxes_beside(face, frame),
            frame_size(registry, face.video_id),
            COVER,
        )
    return pictures


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table with the covers of its identities, as a notebook shows it."""

    table: pd.DataFrame
    pictures: Mapping[str, bytes]
    """WebP, by identity."""

    def __repr__(self) -> str:
        """The table as text, without pictures."""
        return self.table.to_string(max_rows=SHOWN)

    def _repr_html_(self) -> str:
        """The first `SHOWN` rows as HTML. All text is escaped, and nothing is loaded."""
        shown = self.table.head(SHOWN)
        heads = "".join(f"<th>{escape(redacted(str(name)))}</th>" for name in shown.columns)
        lines = [
            "<tr>" + "".join(self._cell(str(name), value) for name, value in row.items()) + "</tr>"
            for row in shown.to_dict("records")
        ]
        more = len(self.table) - len(shown)
        note = f"<p>{more:,} more rows are not shown.</p>" if more else ""
        body = "".join(lines)
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{note}"

    def _cell(self, column: str, value: Any) -> str:
        if column in _IDENTITIES and value in self.pictures:
            data = b64encode(self.pictures[value]).decode("ascii")
            return (
                f'<td><img alt="face" width="48" height="48" '
                f'src="data:image/webp;base64,{data}"><br>{escape(str(value)[:8])}</td>'
            )
        text = figure(value) if isinstance(value, float) else redacted(str(value))
        return f"<td>{escape(text)}</td>"


def show(
    registry: Registry,
    result: pd.DataFrame | LookupAnswer | Sequence[Suggestion] | Sequence[Effect],
) -> ShownTable:
    """A result with the faces of the people in it, for a notebook.

    Args:
        registry: the open registry that the result is from.
        result: a table with a column `identity` (a report, averages, a frame) or with `first` and
            `second` (pairs); the answer of `lookup`; or a list of `suggest` or `effects`.

    Raises:
        UsageError: there are no identities in the result.
    """
    table = _as_table(result)
    columns = [name for name in _IDENTITIES if name in table]
    if not columns:
        raise UsageError(
            "The table has no column of identities, so there are no faces to show. Give a report, "
            "a table of identities, appearances or pairs, a lookup, or suggestions."
        )
    shown = table.head(SHOWN)
    people = {str(one) for name in columns for one in shown[name].dropna() if one}
    return ShownTable(table, covers(registry, people))


def _as_table(
    result: pd.DataFrame | LookupAnswer | Sequence[Suggestion] | Sequence[Effect],
) -> pd.DataFrame:
    if isinstance(result, pd.DataFrame):
        return result.drop(columns="face_image", errors="ignore")
    if isinstance(result, LookupAnswer):
        rows = [
            {
                "face": number,
                "identity": match.identity,
                "name": match.name,
                "similarity": match.similarity,
                "lead": match.lead,
                "videos": match.videos,
                **match.average,
            }
            for number, probe in enumerate(result.faces, 1)
            for match in probe.matches
        ]
        return pd.DataFrame(rows, columns=None if rows else ["face", "identity"])
    rows = []
    for one in result:
        pair = one.suggestion if isinstance(one, Effect) else one
        row: dict[str, Any] = {
            "stays": pair.stays.identity_id,
            "joins": pair.joins.identity_id,
            "similarity": pair.similarity,
            "certain": pair.certain,
            "reason": pair.reason,
        }
        if isinstance(one, Effect):
            row |= {"before": one.before, "after": one.after, "effect": one.sentence}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["stays", "joins"])


def _cover_face(
    registry: Registry, face_id: str, crop_key: str
) -> tuple[IndexedFace, list[IndexedFace]]:
    """The face of a cover, and all faces of its frame."""
    faces = list(registry.index.faces_in(keys.video_of_crop(crop_key)))
    face = next((one for one in faces if one.face_id == face_id), None)
    if face is None:
        raise StoreCorrupt(
            f"The face of the crop {crop_key} is not in the index. `face-registry doctor` shows "
            "what is damaged."
        )
    return face, [one for one in faces if one.frame == face.frame]
