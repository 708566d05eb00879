"""`sparseir score`: a teacher's scores of all pairs of a prepared folder, computed once, ahead of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.prepared.expanded import Texts, documents_of, expansions_mark
from sparseir.data.prepared.folder import Prepared, Role, Union
from sparseir.data.stores.write_pairs import Pairs
from sparseir.errors import DataError
from sparseir.mining.parts import PartOptions, Work, positives_of


class PairScorer(Protocol):
    """Scores pairs of texts."""

    def scores(self, queries: Sequence[str], documents: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (P,). pairs : int64 (P, 2), places in `queries` and in `documents`, whose texts all differ."""
        ...


def score(
    prepared: Prepared,
    scorer: PairScorer,
    name: str,
    *,
    what: str,
    parts: PartOptions,
    negatives: Sequence[str] = (),
    expanded: bool = False,
    progress: Progress = silent,
) -> dict[str, int] | None:
    """Table `scores.NAME`: the scores of all positives and of the negatives.

    Parameters
    ----------
    what : describes the teacher; parts of another are not taken up.
    negatives : tables whose pairs are scored; empty for all of them.
    expanded : documents are read with the words of their expansions, as teachers in the training loop read them.

    Returns
    -------
    Pairs by table; None where parts of other shards are missing.

    Raises
    ------
    ConfigError, DataError : as `Work`; tables or expansions there are not. SparseIRError : a full disk; a score that is no number.
    """
    what += expansions_mark(prepared) if expanded else ""
    chosen = tuple(negatives) or tuple(prepared.names("negatives"))
    tables = [prepared.table("negatives", table) for table in chosen]
    # The number of pairs tells a table that was mined again from the one that parts of a stopped run were of.
    settings = {"teacher": what, "negatives": [[n, t.num_pairs] for n, t in zip(chosen, tables, strict=True)]}
    work = Work(prepared, name, settings, ("scores",), parts)
    part = _Part(prepared, scorer, positives_of(prepared), Union(tables), documents_of(prepared, expanded=expanded))
    if work.run(part.scored, f"scoring {name}", progress):
        return None
    return work.join(what, progress)


class _Part:
    def __init__(
        self, prepared: Prepared, scorer: PairScorer, positives: Union, negatives: Union, texts: Texts
    ) -> None:
        self._prepared, self._scorer, self._sides, self._texts = prepared, scorer, (positives, negatives), texts

    def scored(self, queries: NDArray[np.int64]) -> dict[Role, Pairs]:
        """Scores of the pairs of some queries."""
        documents = [np.unique(np.concatenate([side.documents(int(q)) for side in self._sides])) for q in queries]
        counts = [len(rows) for rows in documents]
        rows, places = np.unique(np.concatenate(documents), return_inverse=True)
        pairs = np.stack([np.repeat(np.arange(len(queries)), counts), places], axis=1)
        values = self._scorer.scores(
            [self._prepared.queries[int(row)] for row in queries],
            [self._texts[int(row)] for row in rows],
            pairs,
        )
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            query, document = queries[pairs[wrong[0], 0]], rows[pairs[wrong[0], 1]]
            raise DataError(
                f"the teacher gives {values[wrong[0]]} for query '{self._prepared.queries.name(int(query))}' and document "
                f"'{self._prepared.documents.name(int(document))}'; a score is a finite number"
            )
        return {"scores": Pairs.of(queries[pairs[:, 0]], rows[pairs[:, 1]], values)}
