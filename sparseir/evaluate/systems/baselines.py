"""Systems to compare with that have no index of ours: dense vectors, run files, and fusions of other systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparseir.data.records import Query
from sparseir.errors import DataError
from sparseir.evaluate.collections import title
from sparseir.evaluate.judged import JudgedCollection, logger
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.costs import LATENCY_K, query_costs
from sparseir.evaluate.systems.embeddings import remembered
from sparseir.evaluate.systems.fusion import convex, reciprocal_ranks, tuned_weight
from sparseir.evaluate.systems.scored import scored, scored_run
from sparseir.search.runs import Run, decreasing_run, read_run, run_of

DENSE = "dense"


def evaluate_dense(collection: JudgedCollection, options: EvaluationOptions) -> SystemResult:
    """Exact search by the cosine of dense embeddings (`sparseir.models.networks.dense`) of `options.dense_model`."""
    embedder = remembered(collection, options.dense_model, options.dense_length)
    documents = embedder.embed([d.content for d in collection.documents])
    docnos = [d.docno for d in collection.documents]

    def search(text: str, k: int) -> tuple[list[str], list[float]]:
        scores = documents @ embedder.model.embed([text], query=True)[0]
        best = np.argsort(-scores, kind="stable")[:k]
        return [docnos[i] for i in best], scores[best].tolist()

    def run(queries: list[Query], k: int) -> Run:
        hits = [search(q.text, k) for q in queries]
        return run_of([q.qid for q in queries], [n for n, _ in hits], [s for _, s in hits])

    costs = query_costs(lambda text: search(text, LATENCY_K), [q.text for q in collection.queries], at_most=100)
    return scored(
        DENSE,
        collection,
        run,
        options,
        costs,
        encode_seconds=embedder.on_documents.seconds,
        cpu_seconds=embedder.on_documents.cpu_seconds,
        index_bytes=documents.nbytes,
    )


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run that was made elsewhere.

    Parameters
    ----------
    name : of the system, that of the file.
    """

    name: str
    path: Path
    run: Run

    @classmethod
    def read(cls, path: Path) -> RunFile:
        """Read a file; errors as `sparseir.search.runs.read_run`."""
        return cls(path.name.removesuffix(".gz").removesuffix(".txt").removesuffix(".trec"), path, read_run(path))

    def check(self, collection: JudgedCollection, options: EvaluationOptions) -> None:
        """Note queries of the run that are not judged, which count for nothing, as in trec_eval.

        Raises
        ------
        DataError : none of its queries is judged; none is of the split that chooses a fusion's weight.
        """
        judged = title(collection.name, collection.split)
        unknown = [qid for qid in self.run if qid not in collection.qrels]
        if len(unknown) == len(self.run):
            raise DataError(
                f"none of its {len(unknown):,} queries, '{unknown[0]}' first, is judged in {judged}; give the judgements "
                "it was made for",
                path=self.path,
            )
        if collection.tuning is not None:
            unknown = [qid for qid in unknown if qid not in collection.tuning.qrels]
            if "convex" in options.fusions and not self.run.keys() & collection.tuning.qrels.keys():
                raise DataError(
                    f"no hits for the split '{options.tune}', which chooses the weight of its fusions; take the queries of "
                    "that split into the run, or name a weight: --fuse-weight",
                    path=self.path,
                )
        if unknown:
            line = f"{self.path}: {len(unknown):,} of its queries, '{unknown[0]}' first, are not judged and not counted"
            logger.warning("%s", line)
            collection.notes.append(line)

    def evaluate(self, collection: JudgedCollection, options: EvaluationOptions) -> SystemResult:
        """Measure its first k hits a query, by score; ties as trec_eval has them, by docno downwards."""
        tuning_run = None if collection.tuning is None else self._of(collection.tuning, options.k)
        run = self._of(collection, options.k)
        return scored_run(self.name, collection, run, options, tuning_run=tuning_run)

    def _of(self, collection: JudgedCollection, k: int) -> Run:
        """The k best hits of the queries that are judged."""
        run = {
            qid: dict(sorted(hits.items(), key=lambda item: (item[1], item[0]), reverse=True))
            for qid, hits in self.run.items()
            if qid in collection.qrels
        }
        cut = {qid: dict(list(hits.items())[: k + collection.depth_more]) for qid, hits in run.items()}
        # Not every program behind ir-measures breaks ties in that way, so none is left to break.
        return decreasing_run(collection.without_own(cut, k))


def evaluate_fusions(
    mains: Sequence[SystemResult],
    others: Sequence[SystemResult],
    collection: JudgedCollection,
    options: EvaluationOptions,
) -> list[SystemResult]:
    """Each of the first systems with each of the others, by each of `options.fusions`."""
    return [
        _fused(method, first, second, collection, options)
        for first in mains
        for second in others
        for method in options.fusions
    ]


def _fused(
    method: str,
    first: SystemResult,
    second: SystemResult,
    collection: JudgedCollection,
    options: EvaluationOptions,
) -> SystemResult:
    name, weight = f"{first.system} & {second.system} ({method})", None
    if method == "rrf":
        run = reciprocal_ranks(first.run or {}, second.run or {}, k=options.k)
    else:
        weight = options.fuse_weight
        if collection.tuning is not None:
            weight = tuned_weight(
                first.tuning_run or {},
                second.tuning_run or {},
                collection.tuning.qrels,
                measure_name=options.measures[0],
                k=options.k,
            )
        run = convex(first.run or {}, second.run or {}, weight=weight, k=options.k)
    return scored_run(name, collection, run, options, fuse_weight=weight)
