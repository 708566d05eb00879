"""What the linter of exports answers to four awkward indexes, as the table in docs/exports.md.

    python -m bench.stores.linter

Each index has four documents. `ids`: a vocabulary of 40,000 terms, two ids above 32,768, one of which folds onto another.
`dots`: two terms of three with dots. `ceiling`: float weights up to 3.5 under --ceiling 3. `empty`: two documents without terms.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from indexer import IndexConfig, SparseVectors, build_index
from indexer.errors import ConfigError
from indexer.index import Index
from indexer.interchange import Vocabulary
from indexer.interchange.live import Weights
from indexer.interchange.stores import STORES, Layout, open_store
from indexer.interchange.stores.lint import Finding
from indexer.interchange.stores.write import export_store

CASES = {
    "ids": "ids of 32,768 or more",
    "dots": "dots in terms",
    "ceiling": "weights over --ceiling 3",
    "empty": "empty vectors",
}
RULES = {"ids": "folded-ids", "dots": "dots", "ceiling": "over-ceiling", "empty": "empty-vectors"}
WORDS = {"refused": "error", "lossy": "error without `--lossy`", "changed": "written otherwise", "note": "said"}


def awkward(folder: Path, case: str) -> Index:
    """An index with one thing that engines take badly."""
    rows = [{0: 1.0, 1: 2.5}, {0: 3.5, 2: 0.5}, {1: 0.5}, {2: 1.5}]
    terms, size = None, 3
    if case == "ids":
        size, rows = 40_000, [{5: 1.0, 39_000: 2.5}, {5: 3.5}, {32_773: 0.5}, {7: 1.5}]
    if case == "empty":
        rows = [*rows[:2], {}, {}]
    if case == "dots":
        terms = Vocabulary.fixed(["plain", "node.js", "v1.2"])
        terms.save(folder / "side")
    vectors = SparseVectors.from_rows(rows, size)
    side = None if terms is None else folder / "side"
    return build_index(folder / "index", vectors, config=IndexConfig(stored_weights="f32"), query_side=side)


def answer(index: Index, case: str, form: str, folder: Path) -> Finding | ConfigError | None:
    """What is said of an export: of the rule at hand, or that it cannot be asked for."""
    weights: Weights = "stored" if case == "ceiling" and form != "vespa" else "impact"
    ceiling = 3.0 if case == "ceiling" else None
    try:
        layout = Layout(name="docs", weights=weights)
        written = export_store(index, folder / form, open_store(form), layout, ceiling=ceiling, lossy=True)
    except ConfigError as error:
        return error
    return next((finding for finding in written.findings if finding.rule == RULES[case]), None)


def table() -> str:
    """Markdown: a row a format, a column a case; then the sentences."""
    cells: dict[tuple[str, str], str] = {}
    sentences: dict[str, str] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            index = awkward(folder, case)
            for form in STORES:
                found = answer(index, case, form, folder)
                if found is None:
                    cells[form, case] = "–"
                elif isinstance(found, ConfigError):
                    cells[form, case] = "no ceiling there"
                else:
                    cells[form, case] = f"{WORDS[found.severity]} ({found.count})"
                    sentences.setdefault(f"{case}, {found.severity}", found.text)
    head = f"| `--format` | {' | '.join(CASES.values())} |\n|{'---|' * (1 + len(CASES))}\n"
    rows = "".join(f"| `{form}` | {' | '.join(cells[form, case] for case in CASES)} |\n" for form in STORES)
    said = "".join(f"- {CASES[key.split(',')[0]]}: “{text}”\n" for key, text in sentences.items())
    return f"{head}{rows}\n{said}"


if __name__ == "__main__":
    print(table(), end="")
