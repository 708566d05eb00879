"""A collection with the judgements of one split, read once for all systems."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparseir.data.dataset import Dataset
from sparseir.data.records import Document, Qrels, Query
from sparseir.evaluate.collections import FITTING, TUNING, refuse_shared
from sparseir.evaluate.options import SameId
from sparseir.search.runs import Run

if TYPE_CHECKING:
    from sparseir.models.networks.dense import RememberedEmbeddings

logger = logging.getLogger(__name__)

_SAME_WORDS = 0.8
"""Share of a query's different words that a document holds whose text it is."""


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """Documents in corpus order, the judged queries in file order, and their judgements.

    Parameters
    ----------
    name, split : of the collection.
    documents : empty where only runs are judged.
    queries, qrels : the same queries in the same order.
    group : the collection this is a part of, "" for none.
    own : queries whose own document, which bears their name, is left out of every run.
    tuning : the queries and judgements of the split that chooses weights of fusions. fitting : of the split that query
        weights are fitted to.
    notes : one line on each thing to know.
    embeddings : dense ones of its documents, by model and tokens; see `systems.embeddings`.
    """

    name: str
    split: str
    documents: list[Document]
    queries: list[Query]
    qrels: Qrels
    group: str = ""
    own: frozenset[str] = frozenset()
    tuning: JudgedCollection | None = None
    fitting: JudgedCollection | None = None
    notes: list[str] = field(default_factory=list)
    embeddings: dict[tuple[str, int], RememberedEmbeddings] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(
        cls,
        dataset: Dataset,
        split: str,
        *,
        same_id: SameId = "text",
        tune: str | None = None,
        fit: str | None = None,
    ) -> JudgedCollection:
        """Read a collection.

        Raises
        ------
        DataError
            Malformed lines, an unknown split, judgements most of which name unknown documents or queries; a `tune` or
            `fit` that has judged queries in it.
        """
        notes: list[str] = []

        def note(line: str) -> None:
            logger.warning("%s", line)
            notes.append(line)

        def of_this(line: str) -> None:
            note(f"{dataset.name}: {line}")

        documents = list(dataset.corpus())
        queries, qrels = _judged(dataset, split, documents, note)
        own = _own(queries, documents, same_id, note=of_this)

        def other(name: str | None, purpose: str) -> JudgedCollection | None:
            if name is None:
                return None
            asked, judged = _judged(dataset, name, documents, note)
            refuse_shared(dataset.name, split, name, purpose, qrels, judged)
            own_of_other = _own(asked, documents, same_id, note=lambda _: None)
            return cls(dataset.name, name, documents, asked, judged, own=own_of_other)

        return cls(
            dataset.name,
            split,
            documents,
            queries,
            qrels,
            dataset.group,
            own,
            other(tune, TUNING),
            other(fit, FITTING),
            notes,
        )

    @property
    def depth_more(self) -> int:
        """How many hits more a search must give, so that k are left without the query's own document."""
        return int(bool(self.own))

    def without_own(self, run: Run, k: int) -> Run:
        """The run without the queries' own documents, k hits a query."""
        if not self.own:
            return run
        return {
            qid: dict([item for item in hits.items() if qid not in self.own or item[0] != qid][:k])
            for qid, hits in run.items()
        }


def _judged(
    dataset: Dataset, split: str, documents: list[Document], note: Callable[[str], None]
) -> tuple[list[Query], Qrels]:
    qrels = dataset.qrels(split, docnos={d.docno for d in documents}, note=note)
    queries = [query for query in dataset.queries(split, note=note) if query.qid in qrels]
    return queries, {query.qid: qrels[query.qid] for query in queries}


def _own(
    queries: list[Query],
    documents: list[Document],
    same_id: SameId,
    *,
    note: Callable[[str], None],
) -> frozenset[str]:
    """Queries that are documents themselves, by their names.

    In some collections (ArguAna, Quora) a name means one thing; in others queries and documents are numbered from 1 each,
    and equal names mean nothing. So the texts decide, for the collection as a whole.
    """
    texts = {query.qid: query.text for query in queries}
    contents = {d.docno: d.content for d in documents if d.docno in texts}
    if not contents or same_id == "keep":
        return frozenset()
    same = sum(_is_text_of(texts[qid], content) for qid, content in contents.items())
    first = next(iter(contents))
    if same_id == "drop" or 2 * same >= len(contents):
        note(f"queries that are documents too, {len(contents):,}, '{first}' first: theirs are left out of the hits")
        return frozenset(contents)
    note(
        f"queries named as documents of other text, {len(contents):,}, '{first}' first: those stay among the hits "
        "(--same-id drop leaves them out)"
    )
    return frozenset()


def _is_text_of(query: str, content: str) -> bool:
    words = set(re.findall(r"\w+", query.casefold()))
    found = words & set(re.findall(r"\w+", content.casefold()))
    return bool(words) and len(found) >= _SAME_WORDS * len(words)
