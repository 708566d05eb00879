"""Nearest neighbours of documents, for the words they get of them: among all that are indexed, or in an index.

Documents are alike by the cosine of their learned weights plus that of their BM25 factors, every weight times the term's idf.
The neighbours are searched for with the engines that queries are searched with, so no other library and no dense model is
needed, and memory is that of an index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexer import Documents, Index, SparseVectors, build_index
from sparseir.encode.stored import content
from sparseir.lexical.bm25 import idf_of
from sparseir.lexical.channel import LexicalChannel, side_by_side
from sparseir.lexical.smoothing import smoothed, strongest
from sparseir.lexical.stems import StemFactors, WordCounts
from sparseir.search.searcher import Searcher

_KEPT_TERMS, _ASKED_TERMS = 64, 24
"""Heaviest terms of each channel that a document is found by, and those of them that its neighbours are searched with."""

_CANDIDATES = 4
"""Times as many documents are looked at as neighbours are wanted, where only an index is at hand."""


class CorpusNeighbours:
    """Neighbours among all documents of a build, which have passed once before and pass again.

    Parameters
    ----------
    channel : of the index. folder : for an index of likeness and for the words of all documents; it is the caller's to
        delete. num_threads : of the build and of the searches.
    """

    def __init__(self, channel: LexicalChannel, folder: Path, *, num_threads: int = 1) -> None:
        self._channel, self._folder, self._threads = channel, folder, num_threads
        self._frequencies = np.zeros(0, np.int64)
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._stems: IO[bytes] = (folder / "stems").open("wb")
        self._counts: IO[bytes] = (folder / "counts").open("wb")
        self._row = 0

    def note(self, documents: Documents, words: WordCounts) -> None:
        """Keep the words of documents that pass for the first time."""
        first = self._channel.first_term
        terms = np.concatenate([documents.vectors.term_ids.astype(np.int64), words.stems.astype(np.int64) + first])
        counts = np.bincount(terms, minlength=len(self._frequencies))
        counts[: len(self._frequencies)] += self._frequencies
        self._frequencies = counts
        self._ends.append(self._ends[-1][-1] + words.indptr[1:])
        words.stems.astype(np.uint32).tofile(self._stems)
        words.counts.astype(np.uint32).tofile(self._counts)

    def index(self, batches: Iterable[tuple[Documents, StemFactors]]) -> None:
        """Index what documents are alike by, once all have been noted.

        Parameters
        ----------
        batches : the same documents with the factors of their words.
        """
        self.close()
        self._indptr = np.concatenate(self._ends)
        frequencies = np.zeros(self._channel.num_terms, np.int64)
        frequencies[: len(self._frequencies)] = self._frequencies
        self._idf = idf_of(frequencies, len(self._indptr) - 1)
        path = self._folder / "likeness"
        build_index(path, (self._likeness(d, f) for d, f in batches), num_threads=self._threads)
        self._searcher = Searcher.open(path, num_threads=self._threads)
        size = int(self._indptr[-1])
        self._all = tuple(
            np.memmap(self._folder / name, np.uint32, "r", shape=(size,)) if size else np.zeros(0, np.uint32)
            for name in ("stems", "counts")
        )

    def close(self) -> None:
        """Close the files of words, also where a build fails."""
        self._stems.close()
        self._counts.close()

    def spread(self, documents: Documents, factors: StemFactors) -> StemFactors:
        """See `Spread`."""
        config = self._channel.config
        rows = np.arange(self._row, self._row + len(documents))
        self._row += len(documents)
        queries = heaviest(self._likeness(documents, factors), _ASKED_TERMS, self._channel.first_term)
        ordinals, scores = self._searcher.search_vectors(queries, config.neighbours + 1)
        found = (ordinals >= 0) & (ordinals != rows[:, None]) & (scores > 0)
        found &= np.cumsum(found, axis=1) <= config.neighbours
        shares = _shares(np.where(found, scores, 0))
        chosen = np.where(found, ordinals, 0).reshape(-1)
        indptr, at = gathered(self._indptr, chosen)
        words = WordCounts(indptr, self._all[0][at], self._all[1][at].astype(np.int64))
        return _smoothed(self._channel, factors, self._channel.factors(words), shares, self._idf)

    def _likeness(self, documents: Documents, factors: StemFactors) -> SparseVectors:
        return likeness(self._channel, documents.vectors, factors, self._idf)


class IndexNeighbours:
    """Neighbours of added documents in the index they are added to, as it stands before.

    The index keeps the texts of documents, not their vectors: those that match best are looked at again, and the nearest by
    the words of their texts are taken. Documents of one addition are not each other's neighbours.

    Parameters
    ----------
    index : a snapshot of the index. channel : its lexical channel, to which the words of the added documents come.
    """

    def __init__(self, index: Index, channel: LexicalChannel, *, num_threads: int = 1) -> None:
        self._index, self._channel = index, channel
        self._searcher = Searcher.open(index.path, num_threads=num_threads)
        self._frequencies = _document_frequencies(index)
        self._num_docs = sum(segment.num_docs for segment in index.segments)

    def spread(self, documents: Documents, factors: StemFactors) -> StemFactors:
        """See `Spread`."""
        channel, wanted = self._channel, self._channel.config.neighbours
        frequencies = np.zeros(channel.num_terms, np.int64)
        frequencies[: len(self._frequencies)] = self._frequencies
        idf = idf_of(frequencies, self._num_docs)
        asked = heaviest(likeness(channel, documents.vectors, factors, idf), _ASKED_TERMS, channel.first_term)
        known = _within(asked, self._index.num_terms)
        # An index holds weights without idf, on both sides of this product there is one.
        known = replace(known, weights=(known.weights * idf[known.term_ids]).astype(np.float32))
        ordinals, _ = self._searcher.search_vectors(known, _CANDIDATES * wanted)
        stored = self._index.fields(np.maximum(ordinals, 0).reshape(-1))
        names = np.array(self._index.docnos(np.maximum(ordinals, 0).reshape(-1)), object).reshape(ordinals.shape)
        found = (ordinals >= 0) & (
            names != np.array(documents.docnos, object)[:, None]
        )  # not what a document is to replace
        words = channel.table.count([content(fields) for fields in stored])
        candidates = channel.factors(words)
        alike = np.where(found, _cosines(factors, candidates, idf[channel.first_term :]).reshape(ordinals.shape), 0)
        best = np.argsort(-alike, axis=1, kind="stable")[:, :wanted]
        places = best + np.arange(len(best))[:, None] * ordinals.shape[1]
        shares = _shares(np.take_along_axis(alike, best, 1))
        return _smoothed(channel, factors, _chosen(candidates, places.reshape(-1)), shares, idf)


def likeness(
    channel: LexicalChannel, learned: SparseVectors, factors: StemFactors, idf: NDArray[np.float64]
) -> SparseVectors:
    """What documents are alike by: per channel the heaviest terms of weight · idf, divided by the length of all.

    Parameters
    ----------
    idf : of every term of the channel's vocabulary.
    """
    words = factors.stems + np.uint32(channel.first_term)
    parts = [
        _unit(learned.indptr, learned.term_ids, learned.weights * idf[learned.term_ids]),
        _unit(factors.indptr, words, factors.values * idf[words]),
    ]
    return side_by_side(*(SparseVectors(*part, channel.num_terms) for part in parts))


def heaviest(rows: SparseVectors, most: int, first_term: int) -> SparseVectors:
    """The heaviest terms of each row, at most so many below first_term and so many from it on."""
    row = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
    lexical = rows.term_ids >= first_term
    kept = strongest(row, rows.weights, lexical, most) | strongest(row, rows.weights, ~lexical, most)
    return _only(rows, kept)


def _unit(
    indptr: NDArray[np.int64], terms: NDArray[np.uint32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]:
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    length = np.sqrt(np.bincount(row, weights**2, len(indptr) - 1))
    kept = strongest(row, weights, weights > 0, _KEPT_TERMS)
    ends = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(indptr) - 1))]).astype(np.int64)
    return ends, terms[kept], (weights / np.maximum(length[row], 1e-30))[kept].astype(np.float32)


def _only(rows: SparseVectors, kept: NDArray[np.bool_]) -> SparseVectors:
    row = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))[kept]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))]).astype(np.int64)
    return SparseVectors(indptr, rows.term_ids[kept], rows.weights[kept], rows.num_terms)


def _within(rows: SparseVectors, num_terms: int) -> SparseVectors:
    """Without the terms that an index does not have."""
    return replace(_only(rows, rows.term_ids < num_terms), num_terms=num_terms)


def _shares(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Each neighbour's share of its row's sum; zeros where there is no neighbour."""
    total = scores.sum(axis=1, keepdims=True, dtype=np.float64)
    return scores / np.where(total > 0, total, 1)


def _cosines(own: StemFactors, others: StemFactors, idf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each of the others with the document it was found for; as many others for each document."""
    each = (len(others.indptr) - 1) // max(1, len(own.indptr) - 1)
    of_own = np.repeat(np.arange(len(own.indptr) - 1), np.diff(own.indptr)).astype(np.uint64)
    of_others = np.repeat(np.arange(len(others.indptr) - 1), np.diff(others.indptr))
    keys = of_own << np.uint64(32) | own.stems
    wanted = (of_others // each).astype(np.uint64) << np.uint64(32) | others.stems
    place = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    same = keys[place] == wanted if len(keys) else np.zeros(len(wanted), bool)
    a, b = own.values * idf[own.stems], others.values * idf[others.stems]
    products = np.bincount(of_others[same], a[place[same]] * b[same], len(others.indptr) - 1)
    lengths = np.sqrt(np.bincount(of_own.astype(np.int64), a**2, len(own.indptr) - 1))
    their = np.sqrt(np.bincount(of_others, b**2, len(others.indptr) - 1))
    return products / np.maximum(np.repeat(lengths, each) * their, 1e-30)


def _chosen(rows: StemFactors, places: NDArray[np.int64]) -> StemFactors:
    indptr, at = gathered(rows.indptr, places)
    return StemFactors(indptr, rows.stems[at], rows.values[at])


def gathered(indptr: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """indptr of some rows in the order given, and the places of their entries."""
    lengths = indptr[rows + 1] - indptr[rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return ends, np.arange(ends[-1]) + np.repeat(indptr[rows] - ends[:-1], lengths)


def _smoothed(
    channel: LexicalChannel,
    own: StemFactors,
    others: StemFactors,
    shares: NDArray[np.float64],
    idf: NDArray[np.float64],
) -> StemFactors:
    config = channel.config
    return smoothed(
        own,
        others,
        shares,
        weight=config.neighbour_weight,
        idf=idf[channel.first_term :],
        most_words=config.neighbour_words,
    )


def _document_frequencies(index: Index) -> NDArray[np.int64]:
    """Stored documents that hold each term."""
    out = np.zeros(index.num_terms, np.int64)
    for segment in index.segments:
        out[segment.section("TERM")] += segment.section("TREC")["df"]
    return out
