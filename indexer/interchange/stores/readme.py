"""The page beside an export: what it is, how to load it, how to ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.interchange.stores.store import Store

if TYPE_CHECKING:
    from indexer.interchange.stores.write import Exported

_HOSTS = {
    "pgvector": "postgresql://localhost/postgres",
    "milvus": "http://localhost:19530",
    "qdrant": "http://localhost:6333",
    "vespa": "http://localhost:8080",
}


def readme(store: Store, written: Exported, doc_scale: float) -> str:
    """Markdown."""
    layout = written.layout
    held = {
        "impact": f"the integers 1..255 an index scores with; times {doc_scale!r} they are weights",
        "scaled": f"impacts times {doc_scale!r}",
        "stored": "the float weights that were indexed",
    }[layout.weights]
    lines = [
        f"# {layout.name} for {store.title}",
        "",
        f"{written.documents:,} documents, {written.postings:,} weights: {held}.",
        "",
        "## Load and ask",
        "",
        f"    export HOST={_HOSTS.get(store.name, 'http://localhost:9200')}",
        *(f"    {command}" for command in store.commands(layout)),
        "",
        f"`{store.query_file}` is an example. `sparseir index query INDEX --format {store.name} TEXT` prints the query of a text"
        + ("." if layout.weights == "impact" else f"; say --weights {layout.weights}."),
    ]
    if layout.weights == "impact" and store.exact:
        lines += [
            "",
            f"Scores are {store.unit(layout):g} times the integer scores of the index, which are exact up to "
            f"{store.exact_sums:,}: the same documents in the same order, apart from the order of equal scores.",
        ]
    lines += ["", "## What the linter said", "", *(f"- {finding}" for finding in written.findings)]
    return "\n".join(lines) + "\n"
