"""The rooms of the code and the floors they stand on: who may import whom.

Imports point down. Rooms on one floor stand side by side and do not import each other. Each foreign
library has one room, where its exceptions become ours.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache

import pytest

from tests.support.structure import (
    PACKAGES,
    floors,
    import_graph,
    imports,
    modules,
    room_graph,
    upward,
)

LONGEST = 500
"""Lines of a module. The subject decides; this is where a module has more than one."""

FLOORS: tuple[Mapping[str, str], ...] = (
    # room -> the modules in it. A module may import from its own room and from the floors below.
    {"nouns": "registry.domain registry.errors registry.redaction"},
    {"rules": "registry.faces.* registry.ids registry.urls registry.urls.*"},
    {"system": "registry.events registry.system.*"},
    {"settings": "registry.settings"},
    {
        "store": "registry.store.*",
        "blobs": "registry.blobs.*",
        "models": "registry.models.*",
        "charts": "registry.charts",
    },
    {"core": "registry registry.core.*", "fetch": "ingest.fetch ingest.fetch.* ingest.memory"},
    {"terminal": "registry.terminal"},
    {"people": "registry.people.*"},
    {
        "calibration": "registry.calibration.*",
        "changing": "registry.changing.*",
        "copies": "registry.copies.*",
        "erasure": "registry.erasure.*",
        "footage": "registry.footage.*",
        "upkeep": "registry.upkeep.*",
    },
    {
        "commands": "registry.commands",
        "ingest": "ingest ingest.*",
        "queries": "queries queries.*",
    },
    {
        "front": "registry.cli registry.demo.*",
        "web": "registry.web registry.web.*",
        "python": "face_registry face_registry.*",
    },
)
EMPTY = {
    *("registry.core", "registry.faces", "registry.system"),
    *("registry.store", "registry.blobs", "registry.models", "registry.demo"),
    *("registry.people", "registry.calibration", "registry.changing"),
    *("registry.copies", "registry.erasure", "registry.footage", "registry.upkeep"),
}
"""Packages that only hold modules: their `__init__` imports nothing."""

PURE = (
    "registry.domain registry.errors registry.ids registry.redaction registry.urls registry.urls.* "
    "registry.core.counting registry.faces.* registry.people.consolidation "
    "registry.people.similar_means registry.people.checked_arrays ingest.fetch.sniffing "
    "registry.calibration.sample_size "
    "registry.calibration.thresholds registry.calibration.track_samples "
    "registry.footage.alignment registry.footage.overlap "
    "queries.statistics queries.statistics.*"
)
"""Modules that decide and open nothing: they import nouns, pure rules and libraries of numbers."""

ONLY_IN: Mapping[str, str] = {
    # library -> the modules that may import it: where its exceptions become ours.
    "qdrant_edge": "registry.store.edge*",
    "qdrant_client": "registry.store.server*",
    "minio": "registry.blobs.minio_*",
    "onnxruntime": "registry.models.*",
    "insightface": "registry.models.*",
    "onnx": "registry.models.*",
    "openpyxl": "ingest.tables.workbooks",
    "ray": "ingest.ray_cluster",
    "pillow_heif": "queries.photos",
    "av": "ingest.frames* registry.demo.*",
    "altair": "registry.charts registry.calibration.chart queries.plot.*",
    "vl_convert": "registry.charts",
    "yt_dlp": "ingest.fetch.pages.ytdlp_process ingest.fetch.pages.request_handler",
    "httpcore": "ingest.fetch.connections ingest.fetch.streams",
    "starlette": "registry.web.*",
    "uvicorn": "registry.web.server",
    "jinja2": "queries.page.* registry.web.rendering",
    "pydantic_settings": "registry.settings",
    "psutil": "registry.system.*",
    "filelock": "registry.system.locks",
    "rich": "registry.terminal registry.cli *.commands *_commands ingest.progress registry.demo.*",
    "click": "registry.terminal registry.cli *.commands *_commands registry.demo.command",
}


DECODES_PAYLOADS = "registry.store.* registry.core.*"
COMPARES_PAYLOADS = "registry.upkeep.index_comparison"
"""The module that compares an index as it is stored, with the records or with another index. All
others get the dataclasses of `registry.core.points`, whose fields mypy knows."""


def _fits(module: str, patterns: str) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns.split())


def place(module: str) -> tuple[int, str] | None:
    """Floor and room of a module; None if it has none."""
    for floor, rooms in enumerate(FLOORS):
        for room, patterns in rooms.items():
            if _fits(module, patterns):
                return floor, room
    return None


def complaints(module: str, imported: str) -> Iterator[str]:
    """What is wrong with one import; nothing if it is fine."""
    library = imported.partition(".")[0]
    if library in ONLY_IN and not _fits(module, ONLY_IN[library]):
        yield f"{module} imports {library}, which belongs in {ONLY_IN[library]}"
    if library not in PACKAGES or imported in EMPTY:
        return
    if imported == "registry.cli":
        yield f"{module} imports registry.cli; nobody does"
    if _fits(module, PURE) and not _fits(imported, PURE):
        yield f"{module} is pure and imports {imported}, which is not"
    here, there = place(module), place(imported)
    if here is None or there is None:
        return  # test_every_module_has_a_floor says so
    if there[0] > here[0]:
        yield f"{module} (floor {here[0]}) imports {imported} (floor {there[0]}): upwards"
    elif there[0] == here[0] and there[1] != here[1]:
        yield f"{module} imports {imported}: from the room {here[1]} into {there[1]}, side by side"


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The import cycles, each once as the path that closes it."""
    closed: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            closed.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for imported in sorted(graph.get(module, ())):
            visit(imported, [*path, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return closed


MODULES = modules()


@cache
def graph_of_imports() -> dict[str, set[str]]:
    """Of all modules. Computed when a test needs it: each process of a run imports this file."""
    return import_graph(MODULES)


def test_every_module_has_a_floor() -> None:
    homeless = [name for name in MODULES if name not in EMPTY and place(name) is None]
    assert not homeless, f"{homeless}: name the floor in FLOORS, the lowest one that imports allow"


def test_every_named_module_exists() -> None:
    named = {name for rooms in FLOORS for text in rooms.values() for name in text.split()}
    named |= set(PURE.split())
    gone = [name for name in named if not any(fnmatchcase(module, name) for module in MODULES)]
    assert not gone, f"{gone} stand in FLOORS or PURE and nowhere else"


def test_packages_called_empty_are_empty() -> None:
    assert [name for name in EMPTY if graph_of_imports()[name]] == []


def test_imports_point_down() -> None:
    wrong = [
        text
        for name, seen in graph_of_imports().items()
        for one in seen
        for text in complaints(name, one)
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_cycle() -> None:
    assert cycles(graph_of_imports()) == []
    assert upward(room_graph()) == []


def test_one_module_reads_the_environment() -> None:
    readers = [
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    # Two set one variable each, for ONNX Runtime and for OpenBLAS, and read none.
    assert set(readers) <= {"registry.settings", "registry", "registry.cli"}


def payload_uses(source: str) -> set[str]:
    """How a module touches payloads: `imports` the type, `reads` the attribute of a point."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = {
        name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    }
    read = any(isinstance(node, ast.Attribute) and node.attr == "payload" for node in nodes)
    return ({"imports"} if "Payload" in imported else set()) | ({"reads"} if read else set())


def test_payloads_are_decoded_in_the_core() -> None:
    uses = {
        name: payload_uses(path.read_text())
        for name, path in MODULES.items()
        if not _fits(name, DECODES_PAYLOADS)
    }
    assert {name for name, use in uses.items() if "imports" in use} == set()
    assert {name for name, use in uses.items() if "reads" in use} == set(COMPARES_PAYLOADS.split())


def test_a_payload_that_is_read_is_found() -> None:
    assert payload_uses("from registry.store.base import Payload, Point") == {"imports"}
    assert payload_uses("name = point.payload['name']") == {"reads"}
    assert payload_uses("name = face.video_id") == set()


def test_modules_are_of_one_subject() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("registry.domain", "registry.faces.matching"),
        ("registry.faces.matching", "registry.store.base"),
        ("registry.store.server", "registry.blobs.base"),
        ("registry.core.registry", "registry.people.joining"),
        ("registry.core.index", "registry.upkeep.index_comparison"),
        ("registry.erasure.commands", "registry.changing.change"),
        ("registry.changing.change", "registry.erasure.commands"),
        ("registry.people.joining", "registry.calibration.pairs"),
        ("registry.people.joining", "registry.footage.joining"),
        ("registry.footage.overlap", "registry.core.index"),
        ("registry.upkeep.doctor", "registry.copies.backup"),
        ("registry.calibration.thresholds", "registry.core.registry"),
        ("ingest.pipeline", "queries.averages"),
        ("queries.lookup", "ingest"),
        ("registry.core.registry", "ingest.api"),
        ("registry.demo.run", "registry.cli"),
        ("queries.lookup", "face_registry"),
        ("registry.core.registry", "qdrant_client.models"),
        ("registry.store.edge", "qdrant_client"),
        ("queries.photos", "av"),
        ("ingest.extract", "onnxruntime"),
        ("ingest.fetch.downloads", "ingest.sources"),
        ("ingest.fetch.downloads", "registry.core.registry"),
        ("ingest.fetch.downloads", "httpcore"),
    ],
)
def test_a_wrong_import_is_found(module: str, imported: str) -> None:
    assert list(complaints(module, imported))


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from ingest.api import ingest
def late():
    import av.video
    from registry import ids
"""
    assert list(imports(source, {"registry.ids", "ingest.api"})) == [
        "typing",
        "ingest.api",
        "av.video",
        "registry.ids",
    ]


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]


def test_floors_and_arrows_that_point_up_are_found() -> None:
    graph = {"top": {"a"}, "a": {"b"}, "b": {"a", "ground"}, "ground": set[str]()}
    assert floors(graph) == {"ground": 1, "a": 2, "b": 2, "top": 3}
    assert sorted(upward(graph)) == [("a", "b"), ("b", "a")]
