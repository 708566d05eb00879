"""The structure of a checkout: files and lines of each folder, and how the modules of a package import each other.

    python -m tests.structure [FOLDER] [--json]

A package is shown twice: by room, where each direct child counts as one, folder or file, and by module. Imports for type
checkers alone do not count, imports inside functions do. Floors are the modules of the longest chain of imports, where a
circle counts as one. Run it on two checkouts to compare them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import grimp

PACKAGES = ("indexer", "sparseir")
SUFFIXES = {".py", ".c", ".h", ".cpp", ".cu", ".cuh"}
MADE = {"build", "dist", "runs"}
"""Folders at the top of a checkout that hold what was made from it."""

Edges = Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class Imports:
    """How the parts of a package import each other."""

    package: str
    parts: int
    edges: int
    floors: int
    chain: tuple[str, ...]
    circles: tuple[tuple[str, ...], ...]


def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Files of code and their lines, by the folder they are in."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        hidden = inside.parts[0] in MADE or any(part.startswith((".", "__")) for part in inside.parts[:-1])
        if path.suffix in SUFFIXES and not hidden:
            files, lines = found[str(inside.parent)]
            found[str(inside.parent)] = files + 1, lines + len(path.read_text(encoding="utf-8").splitlines())
    return dict(found)


def imports(graph: grimp.ImportGraph, package: str) -> Imports:
    """The parts of a package that the graph knows, without the package's own `__init__`."""
    parts = graph.find_descendants(package)
    edges = {name: graph.find_modules_directly_imported_by(name) & parts - {name} for name in sorted(parts)}
    circles = tuple(_circles(edges))
    chain = _longest_chain(edges, circles)
    return Imports(package, len(parts), sum(map(len, edges.values())), len(chain), chain, circles)


def _circles(edges: Edges) -> Iterator[tuple[str, ...]]:
    """Sets of parts that reach each other."""
    reached = {name: _reachable(edges, name) for name in edges}
    seen: set[str] = set()
    for name in edges:
        circle = tuple(sorted(other for other in reached[name] if name in reached[other]))
        if circle and name not in seen:
            seen |= set(circle)
            yield circle


def _reachable(edges: Edges, name: str) -> set[str]:
    found: set[str] = set()
    ahead = [name]
    while ahead:
        new = edges[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def _longest_chain(edges: Edges, circles: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """From the top down; of a circle its first part."""
    first = {name: circle[0] for circle in circles for name in circle}
    below: dict[str, set[str]] = defaultdict(set)
    for name, imported in edges.items():
        own = first.get(name, name)
        below[own] |= {first.get(other, other) for other in imported} - {own}

    @cache
    def chain(name: str) -> tuple[str, ...]:
        return (name, *max((chain(other) for other in sorted(below[name])), key=len, default=()))

    return max((chain(name) for name in sorted(below)), key=len, default=())


def structure(root: Path) -> tuple[dict[str, tuple[int, int]], list[Imports]]:
    """Sizes and imports of a checkout; its packages must not have been imported from elsewhere."""
    sys.path.insert(0, str(root.resolve()))
    graphs = [grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True) for _ in range(2)]
    modules, rooms = graphs
    for package in PACKAGES:
        for child in modules.find_children(package):
            rooms.squash_module(child)
    return sizes(root), [imports(graph, package) for package in PACKAGES for graph in (rooms, modules)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    folders, found = structure(chosen.folder)
    if chosen.json:
        print(json.dumps({"folders": folders, "imports": [asdict(i) for i in found]}))
        return
    for name, (files, lines) in folders.items():
        print(f"{name:28} {files:4} files {lines:7,} lines")
    print(f"{'all':28} {sum(f for f, _ in folders.values()):4} files {sum(n for _, n in folders.values()):7,} lines")
    for level, i in zip(("rooms", "modules") * len(PACKAGES), found, strict=True):
        print(f"\n{i.package}: {i.parts} {level}, {i.edges} imports, {i.floors} floors, {len(i.circles)} circles")
        print("  longest chain: " + " → ".join(name.removeprefix(f"{i.package}.") for name in i.chain))
        for circle in i.circles:
            print("  circle: " + ", ".join(circle))


if __name__ == "__main__":
    main()
