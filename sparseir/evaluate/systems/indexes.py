"""An index that stands already, in a folder or a collection of Milvus, as a system: nothing is encoded but queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from indexer.format.manifest import MANIFEST_FILE
from indexer.format.shard_list import is_sharded
from sparseir.data.passages import passages_of, windows_of
from sparseir.data.records import Query
from sparseir.errors import DataError
from sparseir.evaluate.collections import title
from sparseir.evaluate.judged import JudgedCollection, logger
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.costs import LATENCY_K, query_costs
from sparseir.evaluate.systems.scored import scored
from sparseir.lexical.channel import has_channel
from sparseir.search.feedback.options import Feedback
from sparseir.search.runs import Run, run_of
from sparseir.search.searcher import Searcher
from sparseir.search.stores.places import StorePlace, is_store

FEEDBACK = "+feedback"
"""What follows the name of a system that learns words from its first hits."""


def is_index(word: str) -> bool:
    """Whether a word names a collection of Milvus, or a folder that holds an index or the shards of one."""
    return is_store(word) or (Path(word) / MANIFEST_FILE).is_file() or is_sharded(Path(word))


@dataclass(frozen=True, slots=True)
class StandingIndex:
    """An index to be judged by the queries of a collection.

    Parameters
    ----------
    name : of the system, that of the folder or of the collection of Milvus.
    feedback : of its searches.
    """

    name: str
    path: Path | StorePlace
    searcher: Searcher
    feedback: Feedback | None = None

    @classmethod
    def open(cls, path: Path | StorePlace) -> StandingIndex:
        """Open an index and its query side.

        Raises
        ------
        SparseIRError : a damaged index; one that carries no query side, whose queries a model has to read.
        """
        searcher = Searcher.open(path)
        assert searcher.queries.encoder
        name = path.collection if isinstance(path, StorePlace) else path.resolve().name
        return cls(name, path, searcher)

    def with_feedback(self, feedback: Feedback | None) -> list[StandingIndex]:
        """This one, and where it has words with feedback as a system of its own."""
        if feedback is None or isinstance(self.path, StorePlace) or not has_channel(self.searcher.index.query_side):
            return [self]
        return [self, replace(self, name=self.name + FEEDBACK, feedback=feedback)]

    def evaluate(self, collection: JudgedCollection, options: EvaluationOptions) -> SystemResult:
        """Search every judged query at depth k and measure; latency is text to hits at k = 10 on one thread.

        Raises
        ------
        DataError : the index holds no document that is judged.
        """
        self._check(collection)
        searcher = self.searcher

        def run(queries: list[Query], k: int) -> Run:
            vectors = searcher.encode_queries([q.text for q in queries])
            if self.feedback is not None:  # a document that is no hit teaches nothing
                own = [q.qid if q.qid in collection.own else "" for q in queries]
                vectors = searcher.with_feedback(vectors, self.feedback, leave_out=searcher.index.ordinals(own))
            return run_of([q.qid for q in queries], *searcher.named(searcher.search_vectors(vectors, k)))

        texts = [q.text for q in collection.queries]
        return scored(
            self.name,
            collection,
            run,
            options,
            query_costs(lambda text: searcher.search(text, LATENCY_K, feedback=self.feedback), texts),
            query_terms=searcher.encode_queries(texts, feedback=self.feedback).nnz / max(1, len(texts)),
            document_terms=searcher.index.num_postings / max(1, searcher.index.num_docs),
            index_bytes=self._bytes(),
        )

    def _bytes(self) -> int | None:
        """On disk; nobody says what a collection takes there."""
        if isinstance(self.path, StorePlace):
            return None
        return sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file())

    def _check(self, collection: JudgedCollection) -> None:
        index = self.searcher.index
        names = list(dict.fromkeys(name for row in collection.qrels.values() for name in row))
        if windows_of(index) is None:
            absent = [name for name, at in zip(names, index.ordinals(names).tolist(), strict=True) if at < 0]
        else:
            absent = [name for name, found in zip(names, passages_of(index, names), strict=True) if not found]
        if len(absent) == len(names):
            raise DataError(
                f"holds none of the {len(names):,} documents, {names[0]!r} first, that are judged in "
                f"{title(collection.name, collection.split)}; name the collection it was built of",
                path=str(self.path),
            )
        if absent:
            line = f"{self.path}: lacks {len(absent):,} of the {len(names):,} judged documents, {absent[0]!r} first"
            logger.warning("%s", line)
            collection.notes.append(line)
