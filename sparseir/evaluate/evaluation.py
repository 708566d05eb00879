"""A model and its baselines on any number of collections."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from indexer.progress import Progress, silent
from sparseir.data import open_dataset
from sparseir.errors import SparseIRError
from sparseir.evaluate.baselines import evaluate_dense, evaluate_hybrid
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report import SystemResult
from sparseir.evaluate.sparse import evaluate_bm25, evaluate_encoder
from sparseir.search.runs import RunWriter


def evaluate(
    model: str, datasets: Sequence[str], options: EvaluationOptions, *, progress: Progress = silent
) -> Iterator[SystemResult]:
    """Results in the order they are ready: for each collection the baselines, then the model.

    Raises
    ------
    SparseIRError : a collection or model that cannot be read, an unknown measure, a place that is taken.
    """
    from sparseir.models.encoder import SparseEncoder

    collections = [open_dataset(name, options.data_dir) for name in datasets]  # a wrong name is found before any work
    encoder = SparseEncoder.load(model, device=options.device)
    for dataset in collections:
        collection = JudgedCollection.read(dataset, options.split)
        results: dict[str, SystemResult] = {}
        if "bm25" in options.baselines:
            results["bm25"] = evaluate_bm25(collection, options)
            yield _kept(results["bm25"], options)
        if "dense" in options.baselines:
            yield _kept(evaluate_dense(collection, options), options)
        with ExitStack() as stack:
            sparse = evaluate_encoder(
                encoder,
                collection,
                _index_path(collection, options, stack),
                options,
                progress=progress,
            )
        yield _kept(sparse, options)
        if "hybrid" in options.baselines:
            other = results.get("bm25") or evaluate_bm25(collection, options)
            yield _kept(evaluate_hybrid(sparse, other, collection, options), options)


def _index_path(collection: JudgedCollection, options: EvaluationOptions, stack: ExitStack) -> Path:
    if options.indexes is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparseir-evaluate-"))) / "index"
    options.indexes.mkdir(parents=True, exist_ok=True)
    path = options.indexes / collection.name
    if path.exists() and not options.overwrite:
        raise SparseIRError(f"{path} exists already; name another folder with --indexes or say --overwrite")
    return path


def _kept(result: SystemResult, options: EvaluationOptions) -> SystemResult:
    """Write the run where one is asked for."""
    if options.runs is not None and result.run is not None:
        options.runs.mkdir(parents=True, exist_ok=True)
        path = options.runs / f"{result.dataset}.{result.system.lower().replace('/', '_')}.trec"
        if path.exists() and not options.overwrite:
            raise SparseIRError(f"{path} exists already; name another folder with --runs or say --overwrite")
        with RunWriter(path, tag=result.system.replace(" ", "-")) as writer:
            for qid, hits in result.run.items():
                writer.write(qid, list(hits), list(hits.values()))
    return result
