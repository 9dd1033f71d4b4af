"""Faces of identities as pictures, and tables with them, on a registry of real photographs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import face_registry as fr
from ingest.progress import SilentReporter, default_reporter
from ingest.summary import Failure, Summary
from queries.face_images import COVER, SHOWN, covers
from registry.core.registry import Registry
from registry.errors import UnknownError, UsageError
from tests.support.sample_registry import demo_people, sample_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    home = tmp_path_factory.mktemp("sample") / "home"
    with sample_registry(home, demo_people(), videos=16) as opened:
        yield opened


def test_a_crop_is_the_cover_of_an_identity(registry: Registry) -> None:
    founder = registry.identity("Founder")
    picture = fr.crop(registry, "founder", unmasked=True)
    face = next(f for f in registry.index.faces() if f.face_id == founder.cover_face)
    stored = Image.open(io.BytesIO(registry.crop(face.crop, face.crop_digest)))
    assert picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), np.asarray(stored.convert("RGB")))
    masked = fr.crop(registry, founder.identity_id)
    assert masked.size == picture.size
    with pytest.raises(UnknownError):
        fr.crop(registry, "Nobody")


def test_covers_are_small_squares(registry: Registry) -> None:
    people = [one.identity_id for one in registry.index.identities()]
    pictures = covers(registry, people)
    assert sorted(pictures) == sorted(people)
    for picture in pictures.values():
        shown = Image.open(io.BytesIO(picture))
        assert (shown.format, shown.size) == ("WEBP", (COVER, COVER))
        assert len(picture) < 10_000


def test_a_report_is_shown_with_faces_and_escaped_text(registry: Registry) -> None:
    identity = fr.report(registry)["identity"][0]
    before = registry.identity(identity).name
    registry.name(identity, "<b>Ann</b>")
    table = fr.report(registry)
    shown = fr.show(registry, table)
    html = shown._repr_html_()
    assert html.count("<img ") == len(table)
    assert "&lt;b&gt;Ann&lt;/b&gt;" in html
    assert "<b>" not in html
    assert "http" not in html
    assert "face_image" not in html
    assert "<b>Ann</b>" in repr(shown)
    registry.name(identity, before)


def test_pairs_suggestions_and_effects_are_shown(registry: Registry) -> None:
    pairs = fr.pairs_frame(registry)
    assert fr.show(registry, pairs)._repr_html_().count("<img ") == 2 * min(len(pairs), SHOWN)
    suggestions = fr.suggest(registry)
    assert suggestions
    assert fr.show(registry, suggestions)._repr_html_().count("<img ") == 2 * len(suggestions)
    effects = fr.effects(registry)
    assert effects[0].sentence in fr.show(registry, effects).table["effect"].tolist()
    assert fr.show(registry, []).table.empty


def test_a_long_table_is_cut_and_one_without_people_is_refused(registry: Registry) -> None:
    faces = fr.faces_frame(registry)
    assert len(faces) > SHOWN
    assert (
        f"{len(faces) - SHOWN:,} more rows are not shown." in fr.show(registry, faces)._repr_html_()
    )
    with pytest.raises(UsageError, match="no column of identities"):
        fr.show(registry, pd.DataFrame({"video": ["a"]}))


def test_a_summary_says_its_failures() -> None:
    summary = Summary("run", rows=3, ingested=2, faces=5, total_identities=4)
    summary.failures += [Failure(3, "https://example.com/<x>.mp4", "404 & gone"), *(
        Failure(0, f"u{n}", "no answer", not_read_yet=True) for n in range(11)
    )]  # fmt: skip
    summary.warnings.append("slow")
    text = repr(summary)
    assert text.startswith("3 rows: 2 ingested, 0 updated, 0 unchanged, 12 failed; 5 faces")
    assert "Failed: row 3, https://example.com/<x>.mp4: 404 & gone" in text
    assert "Not read yet: u0: no answer" in text
    assert "2 more failed; `failures` lists all." in text
    assert text.endswith("Warning: slow")
    assert "<x>" not in summary._repr_html_()
    assert "404 &amp; gone" in summary._repr_html_()


def test_outside_a_notebook_nothing_is_shown() -> None:
    assert isinstance(default_reporter(), SilentReporter)
