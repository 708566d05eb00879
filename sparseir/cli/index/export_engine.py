"""`sparseir index export --format ENGINE`: an index as a folder that another engine loads, and its check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer import Index, SparseVectors
    from indexer.interchange.live import Weights
    from indexer.interchange.stores.write import Exported
    from sparseir.search.store_check import StoreCheck

_CHECKED = 1000
"""Queries of a check, at most."""


class CheckedWith:
    """Where the queries of a check come from."""

    def __init__(self, texts: Path | None, vectors: Path | None, model: str | None) -> None:
        self._texts, self._vectors, self._model = texts, vectors, model

    def load(self, index: Index) -> tuple[SparseVectors, str]:
        """At most _CHECKED queries, and what they are called."""
        from indexer import SparseVectors
        from sparseir.search.batches import text_batches, vector_batches
        from sparseir.search.calibration.pseudo_queries import LONG_FROM, pseudo_queries, shape_of
        from sparseir.search.cpu import open_native
        from sparseir.search.searcher import Searcher

        path = self._texts or self._vectors
        if path is None:
            return pseudo_queries(index, open_native(index), shape_of(index, LONG_FROM), _CHECKED), "pseudo-queries"
        searcher = Searcher.open(index.path, model=self._model)
        batches = text_batches(searcher, path) if self._texts else vector_batches(searcher, path)
        parts: list[SparseVectors] = []
        for _, vectors in batches:
            parts.append(vectors)
            if sum(map(len, parts)) >= _CHECKED:
                break
        joined = SparseVectors.concatenate(parts) if parts else SparseVectors.empty(0, index.num_terms)
        return joined.slice(0, min(_CHECKED, len(joined))), "queries"


def to_engine(
    index: Path,
    target: Path,
    form: str,
    name: str | None,
    weights: Weights,
    options: dict[str, Any],
    given: CheckedWith | None,
    *,
    quiet: bool,
    json: bool,
) -> None:
    """Write the folder and say what was written; with queries to check with, compare its rankings with the index's.

    Parameters
    ----------
    form : name of the engine. name : of the index there. options : further keywords of `export_store`.
    given : the queries, or None for no check.

    Raises
    ------
    SparseIRError : an engine or a place that cannot be used, what the engine would rank otherwise, a check that failed.
    """
    from indexer import open_index
    from indexer.interchange.stores import Layout, open_store
    from indexer.interchange.stores.write import export_store, name_of
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.search.store_check import check_export

    store, opened = open_store(form), open_index(index)
    layout = Layout(name=name or name_of(opened), weights=weights)
    asked = given.load(opened) if given else None  # before the work: queries that cannot be read are refused at once
    with progress_bars(quiet=quiet) as progress:
        written = export_store(opened, target, store, layout, progress=progress, **options)
        for finding in written.findings:
            note(str(finding))
        checked = check_export(opened, target, store, asked[0], progress=progress) if asked else None
    _report(written, checked, asked[1] if asked else "", json=json)


def _report(written: Exported, checked: StoreCheck | None, called: str, *, json: bool) -> None:
    from dataclasses import asdict

    from sparseir.cli.output.console import counted, emit_json
    from sparseir.errors import SparseIRError

    if json:
        emit_json(
            {
                "output": str(written.path),
                "format": written.store,
                "documents": written.documents,
                "postings": written.postings,
                "files": written.files,
                "bytes": written.bytes,
                "findings": [asdict(finding) for finding in written.findings],
                "check": asdict(checked) if checked else None,
            }
        )
    else:
        sizes = f"{counted(written.documents, 'document')}, {counted(written.postings, 'posting')}"
        print(f"{written.path}: {sizes}, {counted(written.files, 'file')}, {written.bytes / 1e6:.1f} MB")
    if checked is None:
        return
    if not json:
        print(
            f"check: {checked.queries:,} {called}, overlap@{checked.k} {checked.overlap:.4f}, rankings and scores bit-equal "
            f"for {checked.equal:,}" + (f" of the {checked.must_equal:,} that must be" if checked.must_equal else "")
        )
    if checked.failed:
        raise SparseIRError(
            f"{written.path}: {len(checked.failed):,} of {checked.must_equal:,} queries rank otherwise than the index, first "
            f"number {checked.failed[0]}; do not load this export, and report it"
        )
