"""Documents on their way into an index get words of a dense model's likeness; see `sparseir.lexical.projection`.

In a build the documents pass twice: first they are embedded, and some of their sentences kept; then word vectors are fitted
to the sentences, and the documents get their gains. Documents that are added later use the vectors of the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Documents
from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.encode.stored import content
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.channel import LexicalChannel
from sparseir.lexical.projection import PROBE, Observed, Projection
from sparseir.lexical.stems import StemFactors, WordCounts


class Embedder(Protocol):
    """A dense model; see `sparseir.models.networks.dense.DenseEmbedder`."""

    @property
    def dimensions(self) -> int: ...

    def embed(
        self, texts: Sequence[str], *, query: bool = ..., progress: Callable[[int, int], None] | None = ...
    ) -> NDArray[np.float32]: ...


_SENTENCES = 10_000
"""Most sentences that word vectors are fitted to; more did not rank better (docs/lexical.md)."""

_DOCUMENTS = 10_000
"""Most documents that word vectors are fitted to."""

_OF_ONE = 6
"""Most sentences of one document, beside its title: long ones would crowd out the others."""

_LEAST_LETTERS = 16
"""A shorter piece between two full stops is no sentence but an abbreviation or a number."""

_SAME = 0.99
"""Least cosine of two embeddings of one text by one model, in bfloat16 and in float32."""

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|(?<=[。！？])\s*")


class SentenceSample:
    """A sample of the sentences of documents that pass: uniform over all that were offered (reservoir sampling, Vitter 1985).

    Parameters
    ----------
    most : sentences kept. seed : the same documents in the same order give the same sample.
    """

    def __init__(self, most: int = _SENTENCES, seed: int = 0) -> None:
        self.kept: list[str] = []
        self._most, self._offered, self._rng = most, 0, np.random.default_rng(seed)

    def add(self, title: str, text: str) -> None:
        """Offer a document's title and some of its sentences."""
        found = [s for s in _SENTENCE_END.split(text) if len(s) >= _LEAST_LETTERS]
        if len(found) > _OF_ONE:
            found = [found[i] for i in np.sort(self._rng.choice(len(found), _OF_ONE, replace=False))]
        for sentence in [title, *found] if title else found:
            self._offered += 1
            if len(self.kept) < self._most:
                self.kept.append(sentence)
            elif (place := int(self._rng.integers(self._offered))) < self._most:
                self.kept[place] = sentence


class DocumentSample:
    """A sample of documents that pass, drawn like `SentenceSample`, with their words.

    Parameters
    ----------
    most : documents kept. seed : the same documents in the same order give the same sample.
    """

    def __init__(self, most: int = _DOCUMENTS, seed: int = 0) -> None:
        self._kept: list[tuple[int, NDArray[np.uint32], NDArray[np.int64]]] = []
        self._most, self._offered, self._rng = most, 0, np.random.default_rng(seed)

    def add(self, words: WordCounts) -> None:
        """Offer documents, which are numbered in the order they come."""
        for first, end in pairwise(words.indptr):
            row, self._offered = self._offered, self._offered + 1
            place = row if row < self._most else int(self._rng.integers(self._offered))
            if place < self._most:
                self._kept[place : place + 1] = [(row, words.stems[first:end].copy(), words.counts[first:end].copy())]

    def words(self) -> tuple[NDArray[np.int64], WordCounts]:
        """Numbers of the documents, rising, and their words."""
        kept = sorted(self._kept, key=lambda document: document[0])
        indptr = np.cumsum([0, *(len(stems) for _, stems, _ in kept)], dtype=np.int64)
        stems = np.concatenate([np.zeros(0, np.uint32), *(stems for _, stems, _ in kept)])
        counts = np.concatenate([np.zeros(0, np.int64), *(counts for _, _, counts in kept)])
        return np.array([row for row, _, _ in kept], np.int64), WordCounts(indptr, stems, counts)


class CorpusProjection:
    """The two passes of a build.

    Parameters
    ----------
    channel : of the index. folder : for the embeddings of all documents; it is the caller's to delete.
    embed : the dense model, where somebody has it loaded. progress : told of documents and sentences that were embedded.

    Raises
    ------
    ConfigError : no such dense model, or torch is not installed.
    """

    def __init__(
        self, channel: LexicalChannel, folder: Path, *, embed: Embedder | None = None, progress: Progress = silent
    ) -> None:
        self._channel, self._progress = channel, progress
        self._embedder = embed or embedder(channel.config)
        self._path, self._rows, self._row = folder / "embeddings", 0, 0
        self._file = self._path.open("wb")
        self._sentences, self._documents = SentenceSample(), DocumentSample()
        self._sum = np.zeros(self._embedder.dimensions)
        self._frequencies = np.zeros(0, np.int64)

    def note(self, documents: Documents, words: WordCounts) -> None:
        """Embed documents that pass for the first time, and sample their sentences."""
        embeddings = _embedded(self._embedder, documents)
        embeddings.tofile(self._file)
        self._sum += embeddings.sum(axis=0, dtype=np.float64)
        self._rows += len(documents)
        for fields in documents.fields or ():
            self._sentences.add(str(fields.get("title") or ""), str(fields.get("text") or ""))
        self._documents.add(words)
        counts = np.bincount(words.stems, minlength=len(self._frequencies))
        counts[: len(self._frequencies)] += self._frequencies
        self._frequencies = counts
        self._progress("embedding documents", self._rows, None)

    def fit(self) -> Projection:
        """Word vectors, once all documents have passed; documents may pass again from now on.

        Returns those that the index keeps.
        """
        self.close()
        shape = (self._rows, self._embedder.dimensions)
        self._embeddings = (
            np.memmap(self._path, np.float32, "r", shape=shape) if self._rows else np.zeros(shape, np.float32)
        )
        sentences, documents = self._observed_sentences(), self._observed_documents()
        frequencies = _padded(self._frequencies, len(self._channel.table))
        self.projection = Projection.fit(
            sentences,
            documents,
            mean=(self._sum / max(1, self._rows)).astype(np.float32),
            probe=self._embedder.embed([PROBE])[0],
            document_frequencies=frequencies,
            num_docs=self._rows,
        )
        return self.projection.lasting(frequencies)

    def _observed_sentences(self) -> Observed:
        sentences = self._sentences.kept
        embedded = self._embedder.embed(
            sentences, query=True, progress=lambda done, total: self._progress("embedding sentences", done, total)
        )
        words = self._channel.table.count(sentences)
        return Observed(words.indptr, words.stems, words.counts, embedded)

    def _observed_documents(self) -> Observed:
        rows, words = self._documents.words()
        factors = self._channel.factors(words)
        return Observed(factors.indptr, factors.stems, factors.values, self._embeddings[rows])

    def close(self) -> None:
        """Close the file of embeddings, also where a build fails."""
        self._file.close()

    def spread(self, documents: Documents, factors: StemFactors) -> StemFactors:
        """The factors of documents with their gains; batches come in the order of the first pass."""
        rows = slice(self._row, self._row + len(documents))
        self._row = rows.stop
        return expanded(self._channel.config, self.projection, factors, self._embeddings[rows])


class IndexProjection:
    """Gains of documents that are added to an index, by the word vectors it keeps.

    Raises
    ------
    ConfigError : its dense model is not here. DataError : damaged word vectors.
    """

    def __init__(self, query_side: Path, channel: LexicalChannel, *, embed: Embedder | None = None) -> None:
        self._config, self._projection = channel.config, Projection.load(query_side, num_stems=len(channel.table))
        self._embedder = embed or _kept_embedder(channel.config)
        if not is_same_model(self._embedder, self._projection.probe):
            raise ConfigError(
                f"{channel.config.expansion_model!r} is another model than that of the build, whose words the index holds: "
                "it embeds the sentence that tells them apart otherwise; name the folder of that model, or build the index again"
            )

    def spread(self, documents: Documents, factors: StemFactors) -> StemFactors:
        """The factors of documents with their gains."""
        return expanded(self._config, self._projection, factors, _embedded(self._embedder, documents))


def _embedded(embedder: Embedder, documents: Documents) -> NDArray[np.float32]:
    """float32 (documents, D).

    Raises
    ------
    DataError : a model that gives a document what is no number.
    """
    embeddings = embedder.embed([content(fields) for fields in documents.fields or ()])
    damaged = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(damaged):
        row = int(damaged[0])
        name = f"document {documents.docnos[row]!r}" if documents.docnos else f"row {row} of a batch of documents"
        raise DataError(f"the dense model embeds {name} as something that is no number; take another model")
    return embeddings


def is_same_model(embed: Embedder, probe: NDArray[np.float32]) -> bool:
    """Whether a model gives the embedding that was kept, but for what other hardware rounds otherwise."""
    if embed.dimensions != len(probe):
        return False
    again = embed.embed([PROBE])[0].astype(np.float64)
    lengths = float(np.linalg.norm(again) * np.linalg.norm(probe))
    return lengths == 0 or float(again @ probe) >= _SAME * lengths


def expanded(
    config: LexicalConfig, projection: Projection, factors: StemFactors, embeddings: NDArray[np.float32]
) -> StemFactors:
    """`Projection.expanded` with the settings of a channel."""
    return projection.expanded(
        factors, np.asarray(embeddings), weight=config.expansion_weight, most_words=config.expansion_words
    )


def embedder(config: LexicalConfig) -> Embedder:
    """The dense model that a channel names.

    Raises
    ------
    ConfigError : torch and transformers are not installed; no such model.
    """
    try:
        from sparseir.models.networks.dense import DenseEmbedder
    except ImportError as error:
        raise ConfigError(
            f"lexical.expansion_model embeds documents by a network, which needs {error.name}: install sparseir[train]"
        ) from None
    assert config.expansion_model is not None
    return DenseEmbedder(config.expansion_model, max_length=config.expansion_length, bf16=True)


@lru_cache(maxsize=1)
def _kept_embedder(config: LexicalConfig) -> Embedder:
    """As `embedder`, loaded once for additions that follow each other, in a service or a loop."""
    return embedder(config)


def _padded(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.concatenate([counts, np.zeros(max(0, size - len(counts)), np.int64)])
