"""Teachers: models whose scores an encoder learns to reproduce. Any number of any kind, made one in `ensemble`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.interchange.jsonl.text import json_value
from indexer.progress import Progress, silent
from sparseir.config.loss import LossConfig
from sparseir.data.pairs import read_scores
from sparseir.errors import DataError
from sparseir.lexical.memory import BM25
from sparseir.models.encoder import SparseEncoder
from sparseir.models.networks.cross_encoder import CrossEncoder
from sparseir.models.networks.dense import DenseEmbedder
from sparseir.train.loop.parallel import world
from sparseir.train.material.collection import Training, TrainingQuery

Scores = NDArray[np.float32]


class Teacher(Protocol):
    """Scores queries against documents of a training set."""

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        """float32 (Q, D): every query with every document, documents as positions in the training set."""
        ...


class BM25Teacher:
    """BM25 over the documents of each collection."""

    def __init__(self, training: Training) -> None:
        self._ranges = training.ranges
        self._indexes = [BM25(training.texts[first:end]) for first, end in training.ranges]

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        out = np.zeros((len(queries), len(documents)), np.float32)
        places = np.asarray(documents)
        for row, query in enumerate(queries):
            first, end = self._ranges[query.collection]
            inside = (places >= first) & (places < end)
            out[row, inside] = self._indexes[query.collection].scores(query.text)[places[inside] - first]
        return out

    def best(self, query: TrainingQuery, k: int) -> NDArray[np.int64]:
        """Positions of the k best documents of the query's collection."""
        rows, _ = self._indexes[query.collection].search(query.text, k)
        return rows + self._ranges[query.collection][0]


class DenseTeacher:
    """Inner product of a sentence embedder's vectors, which its folder describes: cosine where they have length 1.

    Vectors are computed when first asked for and kept.

    Parameters
    ----------
    max_length : tokens of a text that are read.
    progress : of embedding many texts at once.
    """

    def __init__(
        self,
        training: Training,
        model: str,
        *,
        device: str = "cpu",
        max_length: int = 256,
        progress: Progress = silent,
    ) -> None:
        self._progress = progress
        self._embedder = DenseEmbedder(model, max_length=max_length, device=device, bf16=True)
        self._texts = training.texts
        self._documents: dict[int, Scores] = {}
        self._queries: dict[str, Scores] = {}

    def embed(self, texts: Sequence[str], *, query: bool = False, batch_size: int = 32) -> Scores:
        """Vectors of documents or of queries, float32 (N, H)."""
        if len(texts) <= batch_size:  # of a batch of training, whose progress is that of its steps
            return self._embedder.embed(texts, query=query, batch_size=batch_size)
        report = partial(self._progress, "embedding texts")
        return self._embedder.embed(texts, query=query, batch_size=batch_size, progress=report)

    def document_vectors(self, documents: Sequence[int]) -> Scores:
        """Vectors of documents by position."""
        missing = [d for d in dict.fromkeys(documents) if d not in self._documents]
        if missing:
            self._documents.update(zip(missing, self.embed([self._texts[d] for d in missing]), strict=True))
        return np.stack([self._documents[d] for d in documents])

    def query_vectors(self, texts: Sequence[str]) -> Scores:
        """Vectors of query texts."""
        missing = [t for t in dict.fromkeys(texts) if t not in self._queries]
        if missing:
            self._queries.update(zip(missing, self.embed(missing, query=True), strict=True))
        return np.stack([self._queries[t] for t in texts])

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        result: Scores = self.query_vectors([q.text for q in queries]) @ self.document_vectors(documents).T
        return result


class SparseTeacher:
    """Inner products of another sparse encoder's vectors, computed when first asked for and kept."""

    def __init__(self, training: Training, model: str, *, device: str = "auto") -> None:
        self._encoder = SparseEncoder.load(model, device=device)
        self._texts = training.texts
        self._rows: dict[tuple[bool, str], tuple[Any, Any]] = {}

    def _vectors(self, texts: Sequence[str], *, query: bool) -> Any:
        missing = [t for t in dict.fromkeys(texts) if (query, t) not in self._rows]
        if missing:
            encode = self._encoder.encode_queries if query else self._encoder.encode_documents
            vectors = encode(missing, dtype="native")
            self._rows.update({(query, t): vectors.row(i) for i, t in enumerate(missing)})
        dense = np.zeros((len(texts), self._encoder.num_terms), np.float32)
        for i, text in enumerate(texts):
            terms, weights = self._rows[query, text]
            dense[i, terms] = weights
        return dense

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        asked = self._vectors([q.text for q in queries], query=True)
        given = self._vectors([self._texts[d] for d in documents], query=False)
        # Summed in float64: a float32 product's last bit depends on how many rows are multiplied, and a pair's score must not.
        result: Scores = (asked.astype(np.float64) @ given.astype(np.float64).T).astype(np.float32)
        return result


class CrossEncoderTeacher:
    """A cross-encoder's logit for each pair. Slow, hence cached: in memory, and in a file that later runs read.

    Parameters
    ----------
    cache : JSON lines {"key", "score"}; None keeps scores in memory alone.
    """

    def __init__(self, training: Training, model: str, *, cache: Path | None = None, device: str = "cpu") -> None:
        self._model = CrossEncoder(model, device=device)
        self._name = model
        self._texts = training.texts
        self._path = cache
        self._known = _read_cache(cache) if cache is not None and cache.exists() else {}

    def _key(self, query: str, document: int) -> str:
        text = "\x00".join((self._name, query, self._texts[document]))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        pairs = [(q.text, d) for q in queries for d in documents]
        keys = [self._key(*pair) for pair in pairs]
        missing = {k: p for k, p in zip(keys, pairs, strict=True) if k not in self._known}
        if missing:
            values = self._model.scores([(q, self._texts[d]) for q, d in missing.values()])
            new = {key: float(value) for key, value in zip(missing, values, strict=True)}
            self._known.update(new)
            if self._path is not None and world()[0] == 0:  # every process scores the whole batch
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as out:
                    out.writelines(json.dumps({"key": k, "score": v}) + "\n" for k, v in new.items())
        return np.array([self._known[k] for k in keys], np.float32).reshape(len(queries), len(documents))


def _read_cache(path: Path) -> dict[str, float]:
    """Scores by key. A last line that a stopped run left half written is cut off the file.

    Raises
    ------
    DataError : another line that is none of a cache.
    """
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with path.open("r+b") as file:
            file.truncate(end)
    known = {}
    for number, line in enumerate(content[:end].splitlines(), 1):
        try:
            row = json_value(line.decode())
            known[str(row["key"])] = float(row["score"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise DataError(
                f"not a line of a score cache ({error}); delete it or name another", path=path, line=number
            ) from None
    return known


class StoredScores:
    """Scores from a file, by qid and docno, or those of the triples, by the name of their file. Every asked pair must be there.

    Raises
    ------
    DataError : a row of the triples without scores, or queries that are none of theirs.
    """

    def __init__(self, training: Training, path: str) -> None:
        self._path = path
        self._docnos = training.docnos
        self._in_triples = is_triples(path, training)
        if self._in_triples and training.bare is not None:
            raise DataError("has no scores; a teacher of triples has them in every row", path=path, line=training.bare)
        if self._in_triples and not all(query.scores for query in training.queries):
            raise DataError("holds the scores of its own queries, and data.dataset brings others", path=path)
        self._known = {} if self._in_triples else read_scores(path)

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> Scores:
        out = np.zeros((len(queries), len(documents)), np.float32)
        for i, query in enumerate(queries):
            for j, document in enumerate(documents):
                known = query.scores.get(document) if self._in_triples else None
                value = known if known is not None else self._known.get((query.qid, self._docnos[document]))
                if value is None:
                    raise DataError(
                        f"no teacher score for query '{query.qid}' and document '{self._docnos[document]}'; give one per "
                        "pair that is used, or set loss.in_batch to false",
                        path=self._path,
                    )
                out[i, j] = value
        return out


def is_triples(path: str, training: Training) -> bool:
    """Whether a file of scores is the triples of the training set."""
    return training.triples is not None and Path(path) == Path(training.triples)


def load_teacher(
    name: str, training: Training, loss: LossConfig, *, device: str = "cpu", progress: Progress = silent
) -> Teacher:
    """The teacher `loss.teachers` names as kind:NAME."""
    kind, _, rest = name.partition(":")
    if kind == "bm25":
        return BM25Teacher(training)
    if kind == "dense":
        return DenseTeacher(training, rest, device=device, max_length=loss.teacher_length, progress=progress)
    if kind == "sparse":
        return SparseTeacher(training, rest, device=device)
    if kind == "cross_encoder":
        cache = None if loss.teacher_cache is None else Path(loss.teacher_cache)
        return CrossEncoderTeacher(training, rest, cache=cache, device=device)
    return StoredScores(training, rest)
