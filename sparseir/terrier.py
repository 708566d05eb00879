"""A PyTerrier transformer: topics in, results out. Pipelines need the package python-terrier, but no Java."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparseir.errors import DataError, MissingExtraError
from sparseir.search.feedback.options import Feedback
from sparseir.search.filters.filters import Filter
from sparseir.search.searcher import Searcher

try:
    import pandas as pd
except ModuleNotFoundError as error:
    raise MissingExtraError("pandas", "terrier", "sparseir.terrier") from error
try:
    from pyterrier import Transformer
except ModuleNotFoundError:  # `transform` works without it, pipelines do not
    Transformer = object


class Retriever(Transformer):
    """Retrieves from an index of this package, in pipelines of PyTerrier.

        bm25 = Retriever("words", k=100)
        pt.Experiment([bm25, Retriever("learned") % 10], topics, qrels, ["ndcg_cut_10"])

    Parameters
    ----------
    index : a folder, or a searcher (`Searcher.open`, `Index.searcher`) with an engine of one's choice.
    k : hits a topic. filter : which documents may be hits (docs/filters.md).
    feedback : search each query a second time, with words of its first hits.
    fields : stored fields that become columns, e.g. ["text"] for a reranker that follows.
    """

    def __init__(
        self,
        index: str | Path | Searcher,
        *,
        k: int = 1000,
        filter: Filter | None = None,
        feedback: Feedback | None = None,
        fields: Sequence[str] = (),
    ) -> None:
        self.searcher = index if isinstance(index, Searcher) else Searcher.open(index)
        self.k, self.filter, self.feedback, self.fields = k, filter, feedback, tuple(fields)

    def transform(self, topics: pd.DataFrame) -> pd.DataFrame:
        """Results of a frame of topics.

        Parameters
        ----------
        topics : columns qid and query; further ones are carried to the results.

        Returns
        -------
        Columns of the topics, then docid (the ordinal), docno, score, rank (from 0) and the fields: a row a hit, best first.

        Raises
        ------
        DataError : a column is missing.
        """
        missing = [name for name in ("qid", "query") if name not in topics.columns]
        if missing:
            raise DataError(
                f"topics: expected the columns qid and query; {' and '.join(missing)} missing of {', '.join(map(str, topics.columns))}"
            )
        new = ("docid", "docno", "score", "rank", *self.fields)
        carried = [name for name in topics.columns if name not in new]
        columns: dict[str, list[Any]] = {name: [] for name in (*carried, *new)}
        texts = [str(text) for text in topics["query"]]
        answers = self.searcher.search(texts, self.k, filter=self.filter, feedback=self.feedback) if texts else []
        for row, hits in zip(topics[carried].itertuples(index=False), answers, strict=True):
            for name, value in zip(carried, row, strict=True):
                columns[name] += [value] * len(hits)
            columns["docid"] += hits.ordinals.tolist()
            columns["docno"] += hits.docnos
            columns["score"] += hits.scores.tolist()
            columns["rank"] += range(len(hits))
            stored = hits.fields() if self.fields else []
            for name in self.fields:
                columns[name] += [fields.get(name) for fields in stored]
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return f"Retriever({str(self.searcher.index.path)!r}, k={self.k})"
