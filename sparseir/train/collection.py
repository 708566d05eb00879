"""What ranking learns from: documents, queries and which documents answer them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from sparseir.config.data import DataConfig
from sparseir.data import Dataset, open_dataset
from sparseir.data.pairs import read_triples
from sparseir.errors import DataError


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """One question of the training set.

    Parameters
    ----------
    positives : positions of the documents that answer it, at least one.
    negatives : positions given by a triples file; empty where negatives are mined.
    scores : stored teacher scores by document position.
    collection : which collection it belongs to; its negatives come from there.
    """

    qid: str
    text: str
    positives: tuple[int, ...]
    collection: int
    negatives: tuple[int, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class TrainingSet:
    """All documents in one list; a collection is a range of it.

    Parameters
    ----------
    texts, docnos : of every document.
    ranges : (first, end) of each collection.
    queries : judged queries, or those of a triples file.
    title_queries : titles, whose document is the positive.
    """

    texts: list[str] = field(default_factory=list)
    docnos: list[str] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    queries: list[TrainingQuery] = field(default_factory=list)
    title_queries: list[TrainingQuery] = field(default_factory=list)

    @classmethod
    def read(cls, config: DataConfig) -> TrainingSet:
        """Everything the section names.

        Raises
        ------
        DataError : nothing to learn from, besides what the readers raise.
        """
        out = cls()
        for name in config.datasets:
            out._add(open_dataset(name, config.data_dir), config)
        if config.triples is not None:
            out._add_triples(config.triples)
        if not out.texts:
            raise DataError("data: no document to learn from; name data.dataset or data.triples")
        if config.title_queries > 0 and not out.title_queries:
            raise DataError("data.title_queries: no document has a title; set it to 0")
        return out

    def _add(self, dataset: Dataset, config: DataConfig) -> None:
        first = len(self.texts)
        number = len(self.ranges)
        positions: dict[str, int] = {}
        for document in itertools.islice(dataset.corpus(), config.max_documents):
            here = positions[document.docno] = len(self.texts)
            self.docnos.append(document.docno)
            # A title that asks for its document is kept out of the document, or it would only have to be copied.
            self.texts.append(document.text if config.title_queries >= 1 else document.content)
            if config.title_queries > 0 and document.title.strip() and document.text.strip():
                self.title_queries.append(TrainingQuery(f"title:{document.docno}", document.title, (here,), number))
        self.ranges.append((first, len(self.texts)))
        if not config.split:
            return
        whole = config.max_documents is None
        qrels = dataset.qrels(config.split, docnos=positions if whole else None)
        before = len(self.queries)
        for query in dataset.queries(config.split):
            if config.max_queries is not None and len(self.queries) - before >= config.max_queries:
                break
            judged = qrels[query.qid].items()
            positives = tuple(positions[d] for d, grade in judged if grade >= config.min_relevance and d in positions)
            if positives:
                self.queries.append(TrainingQuery(query.qid, query.text, positives, number))

    def _add_triples(self, path: str) -> None:
        number, first = len(self.ranges), len(self.texts)
        positions: dict[str, int] = {}

        def place(text: str) -> int:
            if text not in positions:
                positions[text] = len(self.texts)
                self.texts.append(text)
                self.docnos.append(f"{path}:{len(positions)}")
            return positions[text]

        for row, triple in enumerate(read_triples(path), 1):
            documents = [place(text) for text in (triple.positive, *triple.negatives)]
            scores = dict(zip(documents, triple.scores, strict=True)) if triple.scores else {}
            self.queries.append(
                TrainingQuery(str(row), triple.query, (documents[0],), number, tuple(documents[1:]), scores)
            )
        self.ranges.append((first, len(self.texts)))
