"""Searches over the documents of a prepared folder: an index of ours, whatever encoder or words it is of, and dense vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Documents, SparseVectors, open_index
from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.data.prepared.expanded import Texts, documents_of, expansions_mark
from sparseir.data.prepared.folder import Prepared
from sparseir.data.stores.texts import TextStore
from sparseir.encode.indexing import IndexingOptions
from sparseir.encode.words.bm25_index import write_bm25_index
from sparseir.errors import DataError, SparseIRError
from sparseir.mining.nearest import ExactIndex, Found
from sparseir.search.searcher import Searcher


class Search(Protocol):
    """Finds documents of a store."""

    def best(self, queries: Sequence[str], k: int) -> Found:
        """Rows int64 (Q, k) and scores float32 (Q, k) of the best documents, best first; row −1 where there are fewer."""
        ...

    def scores(self, query: str, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """The query's score of some documents, float32."""
        ...


class IndexSearch:
    """An index of the documents, searched on all threads.

    Parameters
    ----------
    searcher : opened over the index.
    store : the documents; None where the index numbers them as the store does.

    Raises
    ------
    DataError : documents of the index that the store does not have, when they are found.
    """

    def __init__(self, searcher: Searcher, store: TextStore | None) -> None:
        self._searcher, self._store = searcher, store

    def best(self, queries: Sequence[str], k: int) -> Found:
        """See `Search`."""
        ordinals, scores = self._searcher.search_vectors(self._searcher.encode_queries(list(queries)), k)
        return self._rows(ordinals), scores

    def scores(self, query: str, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Search`; 0 for a document that no term of the query matches."""
        ordinals = self._ordinals(documents)
        terms, weights = self._searcher.queries.encoder.encode(query)
        found, scores = self._searcher.search_terms(terms, weights, len(documents), filter=ordinals[ordinals >= 0])
        known = dict(zip(found.tolist(), scores.tolist(), strict=True))
        return np.array([known.get(int(ordinal), 0.0) for ordinal in ordinals], np.float32)

    def _rows(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._store is None:
            return ordinals
        out = np.full(ordinals.shape, -1, np.int64)
        there = ordinals >= 0
        names = [name or "" for name in self._searcher.index.docnos(ordinals[there])]
        rows = self._store.rows(names)
        if len(rows) and rows.min() < 0:
            missing = names[int(np.argmin(rows))]
            raise DataError(
                f"holds '{missing}', which is not among the documents of this folder; index the same corpus",
                path=self._searcher.index.path,
            )
        out[there] = rows
        return out

    def _ordinals(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._store is None:
            return rows
        return np.asarray(self._searcher.index.ordinals([self._store.name(int(row)) for row in rows]), np.int64)


def bm25_search(
    prepared: Prepared, *, num_threads: int, language: str, expanded: bool = False, progress: Progress = silent
) -> IndexSearch:
    """BM25 over our own index of the documents, which is built in `FOLDER/indexes` the first time.

    The index holds no texts: the store has them.

    Parameters
    ----------
    expanded : of the documents with the words of their expansions, in an index of its own.

    Raises
    ------
    ConfigError : a language there is no stemmer for. DataError : expansions that the folder does not have.
    """
    path = prepared.path / "indexes" / f"bm25-{language}{'-expanded' if expanded else ''}"
    source = prepared.stores + (expansions_mark(prepared) if expanded else "")
    if not _is_whole(path, prepared, source):
        path.parent.mkdir(parents=True, exist_ok=True)
        options = IndexingOptions(
            lexical=LexicalConfig(language=language), overwrite=True, num_threads=num_threads, memory_budget=1 << 30
        )
        texts = documents_of(prepared, expanded=expanded)
        write_bm25_index(path, _batches(texts, progress), options, source=source, progress=progress)
    return IndexSearch(Searcher.open(path, num_threads=num_threads), None)


def _is_whole(path: Path, prepared: Prepared, source: str) -> bool:
    """Whether an index of these very texts stands there; a build that was stopped left none."""
    if not path.is_dir():
        return False
    try:
        index = open_index(path)
    except SparseIRError:
        return False
    return index.num_docs == len(prepared.documents) and index.manifest.source == source


def _batches(store: Texts, progress: Progress) -> Iterator[Documents]:
    """The documents with their texts and without vectors, as the lexical channel takes them."""
    for first, texts in store.blocks():
        yield Documents(SparseVectors.empty(len(texts), 1), None, [{"text": text} for text in texts])
        progress("counting words", first + len(texts), len(store))


def index_search(prepared: Prepared, index: str | Path, *, model: str | Path | None, num_threads: int) -> IndexSearch:
    """An index that was built of the same corpus, by the names of its documents.

    Raises
    ------
    IndexFormatError : no index there. ConfigError : it asks for a model and none is given.
    """
    return IndexSearch(Searcher.open(index, model=model, num_threads=num_threads), prepared.documents)


class Embedder(Protocol):
    """Embeds texts densely; `DenseEmbedder` is one."""

    @property
    def dimensions(self) -> int: ...

    def embed(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]: ...


class DenseSearch:
    """Exact inner products of dense vectors, which are computed once, in parts on disk, and read a block at a time.

    Parameters
    ----------
    store : the documents. folder : for their vectors, float16. Parts that are there are kept: a stopped run goes on.
    block : documents of a part, and those that are held in memory at a time.
    """

    def __init__(
        self, store: Texts, embedder: Embedder, folder: Path, *, block: int = 65_536, progress: Progress = silent
    ) -> None:
        self._store, self._embedder, self._folder, self._block = store, embedder, folder, block
        folder.mkdir(parents=True, exist_ok=True)
        for first, texts in store.blocks(block):
            path = self._path(first)
            if not path.is_file():
                part = path.with_suffix(f".{os.getpid()}.part")  # another share may be at the same block
                with part.open("wb") as file:
                    np.save(file, embedder.embed(texts).astype(np.float16))
                part.replace(path)
            progress("embedding documents", first + len(texts), len(store))

    def best(self, queries: Sequence[str], k: int) -> Found:
        """See `Search`."""
        asked = self._embedder.embed(list(queries), query=True)
        k = min(k, len(self._store))
        best: Found = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        for first in range(0, len(self._store), self._block):
            found, values = ExactIndex(self._vectors(first)).best(asked, k)
            rows, scores = np.concatenate([best[0], found + first], 1), np.concatenate([best[1], values], 1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            best = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
        return best

    def scores(self, query: str, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Search`."""
        vectors = [self._mapped(int(row) // self._block * self._block)[int(row) % self._block] for row in documents]
        asked = self._embedder.embed([query], query=True)[0]
        result: NDArray[np.float32] = np.array(vectors, np.float32) @ asked
        return result

    def _path(self, first: int) -> Path:
        return self._folder / f"vectors-{first // self._block:06d}.npy"

    def _mapped(self, first: int) -> NDArray[np.float16]:
        path = self._path(first)
        try:
            vectors: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"no part of embeddings ({error}); remove it and run again", path=path) from error
        expected = (min(self._block, len(self._store) - first), self._embedder.dimensions)
        if vectors.shape != expected or vectors.dtype != np.float16:
            raise DataError(f"holds {vectors.dtype} {vectors.shape}, expected float16 {expected}; remove it", path=path)
        return vectors

    def _vectors(self, first: int) -> NDArray[np.float32]:
        return np.array(self._mapped(first), np.float32)
