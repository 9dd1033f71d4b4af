"""The house keeps its floors: imports point down, and each foreign library has one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("registry", "ingest", "queries")
LONGEST = 300
"""Lines of a module: what one can read at one sitting."""

FLOORS: tuple[Mapping[str, str], ...] = (
    # room -> the modules in it. Modules import from floors below, and from their own room.
    {"nouns": "registry.domain registry.errors"},
    {
        "rules": (
            "registry.appearances registry.boxes registry.checked registry.events registry.ids "
            "registry.matching registry.page_urls registry.quality registry.rates "
            "registry.settings registry.trust registry.urls "
            "registry.calibration.dependence registry.calibration.drawing "
            "registry.calibration.speakers registry.calibration.thresholds "
            "registry.people.consolidation"
        ),
    },
    {
        "store": "registry.store.*",
        "blobs": "registry.blobs.*",
        "models": "registry.models.*",
        "files": "registry.placing",
        "confinement": "registry.confinement",
    },
    {
        "registry": (
            "registry registry.contract registry.decisions registry.enrolment registry.finding "
            "registry.index registry.index_points registry.intents registry.lease registry.log "
            "registry.opened registry.opening registry.parts registry.records registry.recovery "
            "registry.registry registry.schema registry.terminal "
            "registry.calibration.measuring registry.calibration.operating "
            "registry.calibration.pairs "
            "registry.changing.beside registry.changing.carrying registry.changing.comparing "
            "registry.changing.prospects registry.changing.reembedding "
            "registry.changing.switching "
            "registry.erasure.blocks registry.erasure.erasing registry.erasure.receipts "
            "registry.erasure.retention registry.erasure.striking "
            "registry.people.corrections registry.people.evidence registry.people.joining "
            "registry.upkeep.comparison registry.upkeep.history registry.upkeep.monitoring "
            "registry.upkeep.rereads"
        ),
    },
    {
        "commands": (
            "registry.commands "
            "registry.calibration.chart registry.calibration.commands registry.calibration.page "
            "registry.calibration.text "
            "registry.changing.change registry.changing.commands "
            "registry.copies.archive registry.copies.commands registry.copies.copying "
            "registry.copies.moving registry.copies.saving "
            "registry.erasure.commands registry.erasure.retention_commands "
            "registry.people.commands "
            "registry.upkeep.diagnosis registry.upkeep.doctor registry.upkeep.dump "
            "registry.upkeep.inspection registry.upkeep.machine registry.upkeep.status"
        ),
        "ingest": "ingest ingest.*",
        "queries": "queries queries.*",
    },
    {"front": "registry.cli registry.demo.*"},
)
EMPTY = {
    *("registry.store", "registry.blobs", "registry.models", "registry.demo"),
    *("registry.people", "registry.calibration", "registry.changing"),
    *("registry.copies", "registry.erasure", "registry.upkeep"),
}
"""Packages that only hold modules: their `__init__` says nothing."""

ONLY_IN: Mapping[str, str] = {
    # library -> the modules that may import it: where its exceptions become ours.
    "qdrant_edge": "registry.store.edge*",
    "qdrant_client": "registry.store.server*",
    "minio": "registry.blobs.minio_*",
    "onnxruntime": "registry.models.*",
    "insightface": "registry.models.*",
    "onnx": "registry.models.*",
    "av": "ingest.frames* registry.demo.*",
    "yt_dlp": "ingest.pages.extraction ingest.pages.requests",
    "pydantic_settings": "registry.settings",
    "rich": "registry.terminal registry.cli *.commands *_commands ingest.progress registry.demo.*",
    "click": "registry.terminal registry.cli *.commands *_commands registry.demo.command",
}


def _fits(module: str, patterns: str) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns.split())


def place(module: str) -> tuple[int, str] | None:
    """Floor and room of a module; None if it has none."""
    for floor, rooms in enumerate(FLOORS):
        for room, patterns in rooms.items():
            if _fits(module, patterns):
                return floor, room
    return None


def sources() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str, known: set[str]) -> Iterator[str]:
    """Every module that the source imports, wherever it does; ours by their full names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def complaints(module: str, imported: str) -> Iterator[str]:
    """What is wrong with one import; nothing if it is fine."""
    library = imported.partition(".")[0]
    if library in ONLY_IN and not _fits(module, ONLY_IN[library]):
        yield f"{module} imports {library}, which belongs in {ONLY_IN[library]}"
    if library not in PACKAGES or imported in EMPTY:
        return
    if imported == "registry.cli":
        yield f"{module} imports registry.cli; nobody does"
    here, there = place(module), place(imported)
    if here is None or there is None:
        return  # test_every_module_has_a_floor says so
    if there[0] > here[0]:
        yield f"{module} (floor {here[0]}) imports {imported} (floor {there[0]}): upwards"
    elif there[0] == here[0] and there[1] != here[1]:
        yield f"{module} imports {imported}: from the room {here[1]} into {there[1]}, side by side"


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The import cycles, each once as the path that closes it."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for imported in sorted(graph.get(module, ())):
            visit(imported, [*path, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


MODULES = sources()
GRAPH = {name: set(imports(path.read_text(), set(MODULES))) for name, path in MODULES.items()}


def test_every_module_has_a_floor() -> None:
    homeless = [name for name in MODULES if name not in EMPTY and place(name) is None]
    assert not homeless, f"{homeless}: name the floor in FLOORS, the lowest one that imports allow"


def test_every_named_module_exists() -> None:
    named = {name for rooms in FLOORS for text in rooms.values() for name in text.split()}
    gone = [name for name in named if not any(fnmatchcase(module, name) for module in MODULES)]
    assert not gone, f"{gone} stand in FLOORS and nowhere else"


def test_packages_called_empty_are_empty() -> None:
    assert [name for name in EMPTY if GRAPH[name]] == []


def test_imports_point_down() -> None:
    wrong = [
        text for name, found in GRAPH.items() for one in found for text in complaints(name, one)
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_import_cycle() -> None:
    assert cycles(GRAPH) == []


def test_one_module_reads_the_environment() -> None:
    readers = [
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    # The package itself sets one variable, for ONNX Runtime, and reads none.
    assert set(readers) <= {"registry.settings", "registry"}


def test_modules_are_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("registry.domain", "registry.matching"),
        ("registry.matching", "registry.store.base"),
        ("registry.store.server", "registry.blobs.base"),
        ("ingest.pipeline", "queries.averages"),
        ("queries.lookup", "ingest"),
        ("registry.registry", "ingest.api"),
        ("registry.demo.run", "registry.cli"),
        ("registry.registry", "qdrant_client.models"),
        ("registry.store.edge", "qdrant_client"),
        ("queries.photos", "av"),
        ("ingest.extract", "onnxruntime"),
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
