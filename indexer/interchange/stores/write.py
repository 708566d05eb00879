"""An index to a folder that another engine loads; the folder appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

import numpy as np

from indexer.errors import ConfigError, DataError
from indexer.format import files
from indexer.format.partial import spool_folder
from indexer.index import Index
from indexer.interchange.export import index_batches
from indexer.interchange.live import LiveDocuments, check_weights
from indexer.interchange.output import replacing_folder
from indexer.interchange.stores.fields import StoredFields
from indexer.interchange.stores.lint import Finding, by_severity, lint
from indexer.interchange.stores.pairs import PairTexts
from indexer.interchange.stores.parts import Parts
from indexer.interchange.stores.readme import readme
from indexer.interchange.stores.store import Layout, Row, Store, check_layout, identifier
from indexer.interchange.stores.survey import Facts, survey
from indexer.interchange.vocabulary import Vocabulary
from indexer.progress import Progress, silent
from indexer.version import __version__

DESCRIPTION = "export.json"
_ROWS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    path : the folder. store : name of the target. layout : the choices, which queries need.
    documents, postings : written. files, bytes : bulk files.
    findings : what the linter had to say.
    """

    path: Path
    store: str
    layout: Layout
    documents: int
    postings: int
    files: int
    bytes: int
    findings: tuple[Finding, ...]


def export_store(
    index: Index,
    path: str | Path,
    store: Store,
    layout: Layout,
    *,
    ceiling: float | None = None,
    lossy: bool = False,
    file_bytes: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Write the live documents of an index, their fields, the mapping, a query and how to load it all.

    The index is looked through first; what the target would refuse or rank otherwise is refused before anything is
    written. Memory: 60 bytes a document, a piece of the transposition, the longest posting list. Disk beside the
    output: 12 bytes a posting, and the stored fields.

    Parameters
    ----------
    layout : name and weights; vocabulary size, ceiling and fields are the index's.
    ceiling : of targets that hold bytes; None for the largest weight.
    lossy : write what the target would rank otherwise, too.
    file_bytes : most bytes of a bulk file; None for what suits the target. A longer document has a file of its own.
    overwrite : replace an export that stands there.

    Raises
    ------
    ConfigError : weights that the index or the target does not hold.
    DataError : the linter's refusals; a path where something stands.
    IndexFormatError : damage anywhere in the segments.
    """
    target = Path(path)
    check_weights(index, layout.weights)
    layout = replace(layout, num_terms=index.num_terms)
    check_layout(store, layout if ceiling is None else replace(layout, ceiling=ceiling))
    if ceiling is not None and np.isinf(store.largest_weight(layout)):
        raise ConfigError(f"{store.name} has no ceiling of weights; leave --ceiling out")
    if file_bytes is not None and store.file == store.file.format(0):
        raise ConfigError(f"{store.name} reads one file; leave --file-size out")
    _check_target(target, overwrite)
    vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
    documents = LiveDocuments(index)
    layout, facts = _surveyed(index, documents, store, layout, ceiling, progress)
    with spool_folder(target) as spool:
        fields = StoredFields(index, documents, store, spool)
        try:
            layout = replace(layout, fields=fields.kinds)
            findings = by_severity([*lint(store, layout, facts, vocabulary), *fields.findings])
            _refuse(findings, store, lossy)
            job = _Job(index, store, layout, vocabulary, documents, facts, fields, findings, spool)
            with replacing_folder(target) as folder:
                return replace(job.write(folder, file_bytes or store.file_bytes, progress), path=target)
        finally:
            fields.close()


def name_of(index: Index) -> str:
    """What an index is called elsewhere unless told: its folder's name, of letters, digits and underscores."""
    return identifier(index.path.resolve().name)


def _surveyed(
    index: Index, documents: LiveDocuments, store: Store, layout: Layout, ceiling: float | None, progress: Progress
) -> tuple[Layout, Facts]:
    """The layout with its ceiling, and what is in the index: a second look where the first has to find the largest weight."""
    highest = 255.0 if layout.weights == "impact" else np.inf
    layout = replace(layout, ceiling=highest if ceiling is None else ceiling)
    facts = survey(index, documents, store, layout, progress=progress)
    if layout.ceiling < np.inf:
        return layout, facts
    layout = replace(layout, ceiling=facts.largest or 1.0)
    if store.largest_weight(layout) < np.inf:
        facts = survey(index, documents, store, layout, progress=progress)
    return layout, facts


def _refuse(findings: list[Finding], store: Store, lossy: bool) -> None:
    grave = [f for f in findings if f.severity == "refused" or (f.severity == "lossy" and not lossy)]
    if grave:
        way_out = "" if any(f.severity == "refused" for f in grave) else "; --lossy writes it all the same"
        raise DataError(f"not exported to {store.name}: " + "; ".join(f.text for f in grave) + way_out)


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise DataError("the folder to write into does not exist; make it first", path=path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / DESCRIPTION).is_file():
        raise DataError(f"something that is no export stands here (no {DESCRIPTION}); name another place", path=path)
    if not overwrite:
        raise DataError("an export stands here; name another place or say --overwrite", path=path)


@dataclass(frozen=True, slots=True)
class _Job:
    index: Index
    store: Store
    layout: Layout
    vocabulary: Vocabulary
    documents: LiveDocuments
    facts: Facts
    fields: StoredFields
    findings: list[Finding]
    spool: Path

    def write(self, folder: Path, file_bytes: int, progress: Progress) -> Exported:
        """Everything into an empty folder, each file on disk."""
        store, layout = self.store, self.layout
        done = 0
        with Parts(folder, store, file_bytes) as parts:
            for lines in self._lines(progress):
                parts.add(lines)
                done += len(lines)
        written = Exported(
            path=folder,
            store=store.name,
            layout=layout,
            documents=done,
            postings=self.facts.postings,
            files=parts.count,
            bytes=parts.bytes,
            findings=tuple(self.findings),
        )
        query = self._example()
        texts = {
            **store.settings(layout, self.facts),
            store.query_file: query,
            "README.md": readme(store, written, self.index.doc_scale),
            DESCRIPTION: json.dumps(self._description(written), indent=2, ensure_ascii=False) + "\n",
        }
        for name, text in texts.items():
            _write(folder / name, text)
        return written

    def _lines(self, progress: Progress) -> Iterator[list[str]]:
        store, first = self.store, 0
        keys = PairTexts(lambda term_id: "," + store.pair(store.key(term_id, self.vocabulary)))
        batches = index_batches(
            self.index, weights=self.layout.weights, folder=self.spool, documents=self.documents, progress=progress
        )
        for batch in batches:
            assert batch.docnos is not None
            for start in range(0, len(batch), _ROWS):  # few rows at a time: their strings then stay in the cache
                stop = min(start + _ROWS, len(batch))
                vectors = self.store.vectors(batch.vectors.slice(start, stop), keys)
                names = list(map(encode_basestring, batch.docnos[start:stop]))
                fields = self.fields.texts(first + start, first + stop)
                rows = map(Row, range(first + start, first + stop), names, fields, vectors)
                kept = (row for row in rows if row.vector or self.store.limits.empty)
                yield [self.store.line(row, self.layout) for row in kept]
            first += len(batch)
            progress("writing", first, self.documents.count)

    def _example(self) -> str:
        """A query of some terms that documents hold, each weighing 1."""
        used = self.facts.used if len(self.facts.used) else np.zeros(1, np.uint32)
        terms = used[:: max(1, len(used) // 3)][:3]
        return query_request(self.store, self.layout, self.vocabulary, terms, [1.0] * len(terms), 10)

    def _description(self, written: Exported) -> dict[str, Any]:
        return {
            "format": self.store.name,
            "sparseir_version": __version__,
            "generation": self.index.generation,
            "doc_scale": self.index.doc_scale,
            "documents": written.documents,
            "rows": self.documents.count,
            "postings": written.postings,
            "layout": self.layout.as_json(),
            "findings": [asdict(finding) for finding in self.findings],
        }


def query_request(store: Store, layout: Layout, vocabulary: Vocabulary, term_ids: Any, weights: Any, k: int) -> str:
    """A query as the target takes it.

    Parameters
    ----------
    term_ids, weights : as `Searcher.search_terms` takes them; weights of 0 are left out.
    k : hits asked for.

    Raises
    ------
    ConfigError : k below 1.
    DataError : no term with a weight: the target would have nothing to look for.
    """
    if k < 1:
        raise ConfigError(f"k is {k}; expected 1 or more")
    terms, values = np.asarray(term_ids, np.uint32), np.asarray(weights, np.float32)
    order = np.argsort(terms, kind="stable")
    order = order[values[order] > 0]
    if not len(order):
        raise DataError("the query has no term with a weight; there is nothing to ask for")
    terms, values = terms[order], values[order]
    numbers = store.query_weights(terms, values, layout)
    keys = [store.key(term_id, vocabulary) for term_id in terms.tolist()]
    return store.request(keys, numbers.tolist(), k, layout)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        files.fsync(file.fileno())
    files.fsync_folder(path.parent)


def read_description(path: Path) -> Mapping[str, Any]:
    """The description of an export.

    Raises
    ------
    DataError : there is none, or it is damaged.
    """
    try:
        value = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        Layout.from_json(value["layout"])
    except OSError:
        raise DataError(f"no export here (no {DESCRIPTION})", path=path) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"damaged: {error}; export again", path=path / DESCRIPTION) from None
    return dict(value)
