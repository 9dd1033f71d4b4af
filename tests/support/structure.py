"""The structure of the code: which module imports which, in rooms and on floors.

A room is a package directly below `registry` (its subpackages included), a module directly below
`registry`, or one of the other top-level packages as a whole. An arrow is a pair of rooms of which
one imports the other. A room stands one floor above the highest room that it imports; an arrow
between rooms that reach each other (a cycle) points up.

    python -m tests.support.structure [ROOT]     # counts rooms, floors and arrows
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("face_registry", "registry", "ingest", "queries")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    named = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


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


def import_graph(named: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module to the modules and libraries that it imports."""
    known = set(named)
    return {name: set(imports(path.read_text(), known)) for name, path in named.items()}


def room_of(module: str, path: Path) -> str:
    """The room that a module belongs to."""
    parts = module.split(".")
    if parts[0] != "registry" or len(parts) == 1:
        return parts[0]
    inside = len(parts) > 2 or path.name == "__init__.py"
    return f"registry/{parts[1]}/" if inside else module


def room_graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Room to the rooms that it imports."""
    named = modules(root)
    rooms = {name: room_of(name, path) for name, path in named.items()}
    graph: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for name, imported in import_graph(named).items():
        graph[rooms[name]] |= {rooms[m] for m in imported if m in rooms} - {rooms[name]}
    return graph


def reached_from(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Every node that an arrow or a chain of arrows leads to."""
    reached: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        node = ahead.pop()
        if node not in reached:
            reached.add(node)
            ahead.extend(graph[node])
    return reached


def floors(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Room to its floor, 1 for the ground; rooms of one cycle share a floor."""
    reached = {room: reached_from(graph, room) for room in graph}

    @cache
    def floor(room: str) -> int:
        cycle = {other for other in reached[room] if room in reached[other]} | {room}
        below = {inner for member in cycle for inner in graph[member]} - cycle
        return 1 + max(map(floor, below), default=0)

    return {room: floor(room) for room in graph}


def upward(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that are part of a cycle."""
    return [(a, b) for a in graph for b in graph[a] if a in reached_from(graph, b)]


def main(root: Path) -> None:
    """Print the counts, then each floor from the top down."""
    graph = room_graph(root)
    standing = floors(graph)
    arrows = sum(map(len, graph.values()))
    tallest = max(standing.values())
    print(f"{len(graph)} rooms on {tallest} floors, {arrows} arrows, {len(upward(graph))} upward")
    widest = max(graph, key=lambda room: len(graph[room]))
    print(f"most neighbours below: {widest}, {len(graph[widest])}")
    for number in range(tallest, 0, -1):
        print(f"{number:>3}  {', '.join(sorted(r for r in graph if standing[r] == number))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
