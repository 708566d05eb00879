"""A collection any machine has: the docstrings of its Python.

The first sentence of a docstring is a query, the rest of the docstring is its one relevant document. Sources are parsed,
never imported.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparseir.data.dataset import Dataset, open_dataset
from sparseir.errors import DataError

_SENTENCE_END = re.compile(r"(?<=[^\s.][.!?])\s+(?=[A-Z`\"'(])|\n\s*\n")
_SKIPPED_PARTS = frozenset({"test", "tests", "testing", "idlelib", "site-packages", "dist-packages", "turtledemo"})


@dataclass(frozen=True, kw_only=True, slots=True)
class DocstringLimits:
    """What is taken from the sources."""

    max_documents: int = 5000
    """Documents in the collection."""
    max_per_package: int = 400
    """Documents of one top-level package, so that one large package does not fill the collection."""
    min_query_words: int = 4
    max_query_words: int = 30
    min_document_words: int = 25
    max_document_words: int = 200
    """The rest of a docstring is cut here."""
    test_percent: int = 15
    """Share of the modules whose queries are held out for testing."""


@dataclass(frozen=True, slots=True)
class _Docstring:
    name: str
    module: str
    query: str
    document: str


def write_docstring_collection(
    folder: str | Path, *, roots: tuple[Path, ...] | None = None, limits: DocstringLimits | None = None
) -> Dataset:
    """Write the docstrings under the source roots as a BEIR folder with the splits train and test.

    Deterministic: the same sources give the same bytes. Modules go to one split as a whole. Private and test modules are
    left out, as are documents seen before; a sentence that opens several docstrings is no query.

    Parameters
    ----------
    folder : made if absent; its files are overwritten.
    roots : folders of Python sources; by default the standard library and the installed packages.

    Raises
    ------
    DataError : fewer than 100 usable docstrings.
    """
    limits = limits or DocstringLimits()
    found = _select(_python_roots() if roots is None else roots, limits)
    if len(found) < 100:
        raise DataError(f"only {len(found)} usable docstrings under {roots or _python_roots()}; expected at least 100")
    folder = Path(folder)
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    openings = Counter(item.query.casefold() for item in found)
    asked = [item for item in found if openings[item.query.casefold()] == 1]
    _write_lines(
        folder / "corpus.jsonl", [{"_id": i.name, "title": "", "text": i.document, "module": i.module} for i in found]
    )
    _write_lines(folder / "queries.jsonl", [{"_id": f"q:{i.name}", "text": i.query} for i in asked])
    for split in ("train", "test"):
        rows = [f"q:{i.name}\t{i.name}\t1\n" for i in asked if _split_of(i.module, limits.test_percent) == split]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return open_dataset(folder)


def _python_roots() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(dict.fromkeys(Path(paths[key]) for key in ("stdlib", "purelib", "platlib")))


def _split_of(module: str, test_percent: int) -> str:
    """By a digest of the module's name, which no run or machine changes."""
    return (
        "test" if int.from_bytes(hashlib.sha256(module.encode()).digest()[:4], "big") % 100 < test_percent else "train"
    )


def _select(roots: tuple[Path, ...], limits: DocstringLimits) -> list[_Docstring]:
    """Distinct docstrings, package by package in the order of names; packages take turns until the limit is reached."""
    seen: set[str] = set()
    names: set[str] = set()
    packages: dict[str, list[_Docstring]] = {}
    for root in roots:
        for package, files in _packages(root):
            taken = packages.setdefault(package, [])
            for item in _docstrings(root, files, limits):
                if len(taken) >= limits.max_per_package:
                    break
                body = " ".join(item.document.casefold().split())
                if body not in seen and item.name not in names:
                    seen.add(body)
                    names.add(item.name)
                    taken.append(item)
    # A share that grows until all together reach the limit: small packages come whole, large ones are cut evenly.
    share = limits.max_per_package
    while sum(min(len(items), share) for items in packages.values()) > limits.max_documents and share > 1:
        share -= 1
    return [item for package in sorted(packages) for item in packages[package][:share]][: limits.max_documents]


def _packages(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """(top-level name, its source files in order) of every public package under a root."""
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        name = entry.stem
        if name.startswith("_") or name in _SKIPPED_PARTS or "." in entry.name.removesuffix(".py"):
            continue
        if entry.is_dir():
            files = [file for file in sorted(entry.rglob("*.py")) if _is_public(file.relative_to(root))]
        else:
            files = [entry] if entry.suffix == ".py" and _is_public(Path(entry.name)) else []
        if files:
            yield name, files


def _is_public(relative: Path) -> bool:
    parts = relative.with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return not any(
        part.startswith(("_", "test_")) or part.endswith("_test") or part in _SKIPPED_PARTS or part == "conftest"
        for part in parts
    )


def _docstrings(root: Path, files: list[Path], limits: DocstringLimits) -> Iterator[_Docstring]:
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's invalid escapes are not ours to report
                tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue  # a template or a file for another Python version: no source, hence no data lost
        for name, text in _documented(tree, module):
            if pair := _query_and_document(text, limits):
                yield _Docstring(name, module, *pair)


def _documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """(dotted name, docstring) of a module, its public classes and functions, outside in."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        text = ast.get_docstring(node, clean=False)
        if text:
            yield name, inspect.cleandoc(text)
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for child in node.body:
                if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and child.name[0] != "_":
                    yield from _documented(child, f"{name}.{child.name}")


def _query_and_document(text: str, limits: DocstringLimits) -> tuple[str, str] | None:
    """(first sentence, the rest) with white space folded, or None where either is too short or long."""
    pieces = _SENTENCE_END.split(text.strip(), maxsplit=1)
    if len(pieces) != 2:
        return None
    query, words = " ".join(pieces[0].split()), pieces[1].split()
    if not limits.min_query_words <= len(query.split()) <= limits.max_query_words:
        return None
    if len(words) < limits.min_document_words:
        return None
    return query, " ".join(words[: limits.max_document_words])


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
