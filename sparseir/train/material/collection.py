"""What ranking learns from: documents, queries and which documents answer them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sparseir.config.data import DataConfig
from sparseir.data import Dataset, open_dataset
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.formats import check_format
from sparseir.data.pairs import read_triples
from sparseir.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """One question of the training set.

    Parameters
    ----------
    positives : positions of the documents that answer it, at least one.
    negatives : positions given by a triples file; empty where negatives are mined.
    scores : stored teacher scores by document position.
    collection : which collection it belongs to; its negatives come from there.
    elsewhere : positions that answer it by other rows of a triples file.
    """

    qid: str
    text: str
    positives: tuple[int, ...]
    collection: int
    negatives: tuple[int, ...] = ()
    scores: Mapping[int, float] = field(default_factory=dict)
    elsewhere: frozenset[int] = frozenset()

    @property
    def answers(self) -> frozenset[int]:
        """All that is known to answer it."""
        return self.elsewhere.union(self.positives)


class Training(Protocol):
    """What ranking learns from, in memory (`TrainingSet`) or on disk (`PreparedTraining`).

    texts, docnos : of every document. encoded : the texts as the encoder reads them. ranges : (first, end) of each
    collection. queries : with what answers them.
    title_queries : titles, whose document is the positive. triples, scored, bare : see `TrainingSet`.
    """

    @property
    def texts(self) -> Sequence[str]: ...
    @property
    def encoded(self) -> Sequence[str]: ...
    @property
    def docnos(self) -> Sequence[str]: ...
    @property
    def ranges(self) -> Sequence[tuple[int, int]]: ...
    @property
    def queries(self) -> Sequence[TrainingQuery]: ...
    @property
    def title_queries(self) -> Sequence[TrainingQuery]: ...
    @property
    def triples(self) -> str | None: ...
    @property
    def scored(self) -> int | None: ...
    @property
    def bare(self) -> int | None: ...


@dataclass(slots=True)
class TrainingSet:
    """All documents in one list; a collection is a range of it.

    Parameters
    ----------
    texts, docnos : of every document.
    separated : the texts with the encoder's separator before the words of their expansions; None where they have none.
    ranges : (first, end) of each collection.
    queries : judged queries, or those of a triples file.
    title_queries : titles, whose document is the positive.
    triples : the file of `data.triples`. scored, bare : its first line with scores, and without; None where there is none.
    """

    texts: list[str] = field(default_factory=list)
    docnos: list[str] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    queries: list[TrainingQuery] = field(default_factory=list)
    title_queries: list[TrainingQuery] = field(default_factory=list)
    triples: str | None = None
    scored: int | None = None
    bare: int | None = None
    separated: list[str] | None = None

    @property
    def encoded(self) -> Sequence[str]:
        """The texts as the encoder reads them."""
        return self.texts if self.separated is None else self.separated

    @classmethod
    def read(cls, config: DataConfig, *, expanded: bool = False, separator: str = " ") -> TrainingSet:
        """Everything the section names.

        Parameters
        ----------
        expanded : documents have the words of their expansions after their text.
        separator : what stands between the two for the encoder (`EncoderParts.separator`); all else reads a space there.

        Raises
        ------
        DataError : nothing to learn from, besides what the readers raise.
        ConfigError : a prepared folder, which is never read into memory.
        """
        if config.prepared is not None:
            raise ConfigError(
                "data.prepared: is read by the objective ranking alone; name data.dataset or data.triples"
            )
        out = cls(separated=[] if expanded and separator != " " else None)
        for name in config.datasets:
            out._add(open_collection(name, config), config, expanded=expanded, separator=separator)
        if config.triples is not None:
            out._add_triples(config.triples)
        if not out.texts:
            raise DataError("data: no document to learn from; name data.dataset or data.triples")
        if config.title_queries > 0 and not out.title_queries:
            raise DataError("data.title_queries: no document has a title; set it to 0")
        return out

    def _add(self, dataset: Dataset, config: DataConfig, *, expanded: bool, separator: str) -> None:
        first = len(self.texts)
        number = len(self.ranges)
        positions: dict[str, int] = {}
        for document in itertools.islice(dataset.corpus(), config.max_documents):
            here = positions[document.docno] = len(self.texts)
            self.docnos.append(document.docno)
            # A title that asks for its document is kept out of the document, or it would only have to be copied.
            title = document.title
            document = replace(document, title="") if config.title_queries >= 1 else document
            self.texts.append(document.expanded if expanded else document.content)
            if self.separated is not None:
                self.separated.append(document.expanded_after(separator) if document.expansion else self.texts[-1])
            if config.title_queries > 0 and title.strip() and document.text.strip():
                self.title_queries.append(TrainingQuery(f"title:{document.docno}", title, (here,), number))
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
                if self.separated is not None:
                    self.separated.append(text)
            return positions[text]

        rows: list[TrainingQuery] = []
        answers: dict[str, frozenset[int]] = {}
        for triple in read_triples(path):
            positives = tuple(place(text) for text in triple.positives)
            negatives = tuple(place(text) for text in triple.negatives)
            scores = dict(zip((*positives, *negatives), triple.scores, strict=True)) if triple.scores else {}
            if triple.scores and self.scored is None:
                self.scored = triple.line
            if not triple.scores and self.bare is None:
                self.bare = triple.line
            answers[triple.query] = answers.get(triple.query, frozenset()).union(positives)
            rows.append(TrainingQuery(str(triple.line), triple.query, positives, number, negatives, scores))
        self.triples = path
        self.ranges.append((first, len(self.texts)))
        self.queries += [_knowing(row, answers[row.text]) for row in rows]
        lost = sum(len(row.negatives) for row in rows) - sum(len(q.negatives) for q in self.queries[-len(rows) :])
        if lost:
            logger.warning(
                "%s: %d negatives are positives of the same query in other rows and are left out", path, lost
            )


def open_collection(name: str, config: DataConfig) -> Dataset:
    """A collection that the section names, read as it says.

    Raises
    ------
    DataError, ConfigError : as `sparseir.data.open_dataset`.
    """
    check_format(config.format, name="data.format")
    fields = None if config.fields is None else FieldMap.parse(config.fields, name="data.fields")
    expansions = config.expansions if name in config.datasets else None  # not of the collection that watches
    if expansions is not None and len(config.datasets) > 1:
        raise ConfigError("data.expansions: belongs to one collection; put expansions.jsonl beside each corpus")
    return open_dataset(name, config.data_dir, form=config.format, fields=fields, expansions=expansions)


def _knowing(row: TrainingQuery, answers: frozenset[int]) -> TrainingQuery:
    """A row that knows what other rows say of its query."""
    if answers == frozenset(row.positives):
        return row
    return replace(row, elsewhere=answers, negatives=tuple(n for n in row.negatives if n not in answers))
