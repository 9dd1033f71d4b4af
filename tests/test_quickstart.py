"""The quickstart notebook: stored without outputs, and executed as a reader would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


def _read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = [cell for cell in _read().cells if cell.cell_type == "code"]
    assert len(cells) >= 10
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    notebook = _read()
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    shown: dict[str, list[str]] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                assert output.output_type != "error"
                for kind, content in output.get("data", {}).items():
                    shown.setdefault(kind, []).append(str(content))
    html = "".join(shown["text/html"])
    assert "8 of 8 videos" in html, "the bar of the ingest"
    assert "8 rows: 8 ingested, 0 updated, 0 unchanged, 0 failed" in html
    assert html.count('<img alt="face"') >= 7, "six people of the report, and one of the lookup"
    assert len(shown["image/svg+xml"]) == 3, "the charts"
    assert "<script" not in html
    assert len(shown["image/png"]) == 1, "the crop"
    assert "'report.csv'" in "".join(shown["text/plain"])
    assert (tmp_path / "quickstart" / "faces.json").is_file()
