"""Models, indexes, baselines and run files beside each other, on any number of collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.progress import Progress, silent
from sparseir.data import Dataset, Query, read_qrels
from sparseir.data.lines import LineSource
from sparseir.errors import ConfigError, SparseIRError
from sparseir.evaluate.collections import FITTING, TUNING, open_judged, refuse_shared
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.lineup import Lineup, check_given, has_lexical, loaded, unique_names
from sparseir.evaluate.measures import check_measures
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.kept import check_places, index_place, keep_run
from sparseir.evaluate.report.plots import check_plots, draw_plots
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.significance import compare
from sparseir.evaluate.systems.baselines import RunFile, evaluate_dense, evaluate_fusions
from sparseir.evaluate.systems.embeddings import SharedEmbeddings
from sparseir.evaluate.systems.feedback import evaluate_feedback
from sparseir.evaluate.systems.fitted import evaluate_fitted
from sparseir.evaluate.systems.indexes import StandingIndex
from sparseir.evaluate.systems.sparse import LEXICAL, evaluate_encoder, evaluate_words, queries_by
from sparseir.search.stores.places import StorePlace

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


@dataclass(frozen=True, slots=True)
class Judged:
    """What the systems did on one collection, and the names of its queries in the order of their values."""

    results: list[SystemResult]
    qids: list[str]


class Evaluation:
    """Everything that can be wrong is found when one is made; iterating does the work.

    Parameters
    ----------
    models : folders or hub ids of encoders. datasets : for `sparseir.evaluate.collections.open_judged`.
    indexes : folders of indexes, or collections of Milvus, which carry their query side.
    runs : run files. qrels : judgements of those alone, in place of a collection.
    shared : dense embeddings of collections that other evaluations have made or will want; filled here.

    Attributes
    ----------
    faults : one line on each system that failed on a collection; the others go on.

    Raises
    ------
    SparseIRError : a collection, model or file that cannot be read, measures that cannot be computed, a place that is
        taken, a system to compare with that there is not.
    """

    def __init__(
        self,
        models: Sequence[str],
        datasets: Sequence[str],
        options: EvaluationOptions,
        *,
        indexes: Sequence[Path | StorePlace] = (),
        runs: Sequence[Path] = (),
        qrels: Path | None = None,
        shared: SharedEmbeddings | None = None,
        progress: Progress = silent,
    ) -> None:
        self.options, self.faults = options, list[str]()
        self._shared = shared
        self._progress = progress
        check_given(models, datasets, runs, qrels, indexes)
        check_measures(options.measures)
        if options.plots is not None:
            check_plots()
        self._datasets = _opened(datasets, options)
        self._qrels = qrels
        if runs and qrels is None and len(self._datasets) != 1:
            raise ConfigError("a run file belongs to one collection; judge it apart from the others")
        files = [RunFile.read(path) for path in runs]
        standing = [i for path in indexes for i in StandingIndex.open(path).with_feedback(options.feedback)]
        self._lineup = Lineup.of(
            options, loaded(models, options.device), standing, files, baselines=bool(datasets), models=models
        )
        check_places(options, [d.name for d, _ in self._datasets], self._lineup.written, self._lineup.built)

    @property
    def systems(self) -> list[str]:
        """Names of what is judged, fusions aside."""
        return self._lineup.systems

    def __iter__(self) -> Iterator[Judged]:
        for collection in self._collections():
            for file in self._lineup.runs:
                file.check(collection, self.options)
            results = self._results(collection)
            if len(results) > 1 and self.options.fusions:
                mains = [r for r in results if r.system in self._lineup.mains]
                others = [r for r in results if r.system not in self._lineup.mains]
                results += evaluate_fusions(mains, others, collection, self.options)
            results = self._compared(results)
            for result in results:
                if result.system not in {file.name for file in self._lineup.runs}:
                    keep_run(result, self.options)
            if self.options.plots is not None:
                draw_plots(results, self.options.plots, self.options.measures[0])
            yield Judged(results, list(collection.qrels))

    def _collections(self) -> Iterator[JudgedCollection]:
        if self._qrels is not None:
            qrels = read_qrels(self._qrels)
            own = frozenset(qrels if self.options.same_id == "drop" else ())
            queries = [Query(qid, "") for qid in qrels]
            yield JudgedCollection(self._qrels.name.partition(".")[0], "", [], queries, qrels, own=own)
        for dataset, split in self._datasets:
            try:
                collection = JudgedCollection.read(
                    dataset, split, same_id=self.options.same_id, tune=self.options.tune, fit=self.options.fit
                )
                shared = {} if self._shared is None else self._shared.setdefault(dataset.name, {})
                yield replace(collection, embeddings=shared)
            except SparseIRError as error:
                if len(self._datasets) == 1:
                    raise
                self.faults.append(f"{dataset.name}: {error}")

    def _results(self, collection: JudgedCollection) -> list[SystemResult]:
        """What each system did; a fault of one is not that of the others."""
        standing: list[StandingIndex | RunFile] = [*self._lineup.indexes, *self._lineup.runs]
        works: list[tuple[str, Callable[[], Iterator[SystemResult]]]] = [
            *((name, partial(self._baseline, name, collection)) for name in self._lineup.baselines),
            *(
                (name, partial(self._model, name, encoder, collection))
                for name, encoder in self._lineup.encoders.items()
            ),
            *((part.name, partial(_made, part, collection, self.options)) for part in standing),
        ]
        results: list[SystemResult] = []
        for name, work in works:
            try:
                for result in work():
                    results.append(result)  # noqa: PERF402 (what came before a fault is kept)
            except SparseIRError as error:
                self.faults.append(f"{collection.name}, {name}: {error}")
        return results

    def _baseline(self, name: str, collection: JudgedCollection) -> Iterator[SystemResult]:
        if name == "dense":
            yield evaluate_dense(collection, self.options)
            return
        expanded, fault = name == "expanded", self.faults.append
        yield from evaluate_words(collection, self.options, fault=fault, expanded=expanded, progress=self._progress)

    def _fitted(self, result: SystemResult, path: Path, collection: JudgedCollection) -> Iterator[SystemResult]:
        yield from evaluate_fitted(
            result, path, collection, self.options, fault=self.faults.append, progress=self._progress
        )

    def _model(self, name: str, encoder: SparseEncoder, collection: JudgedCollection) -> Iterator[SystemResult]:
        """The model alone and, if asked for, beside a lexical channel, from one encoding of the documents."""
        if not has_lexical(encoder, self.options):
            with index_place(self.options, collection.name, name, several=len(self._lineup.built) > 1) as path:
                result = evaluate_encoder(encoder, collection, path, self.options, name=name, progress=self._progress)
                yield result
                yield from self._fitted(result, path, collection)
            return
        from sparseir.evaluate.systems.once import EncodedOnce

        with EncodedOnce(encoder) as once:
            for lexical in (False, True):
                system = name + (LEXICAL if lexical else "")
                with index_place(self.options, collection.name, system, several=True) as path:
                    result = evaluate_encoder(
                        once, collection, path, self.options, name=name, lexical=lexical, progress=self._progress
                    )
                    # The second index reads the vectors that the first was made of, and both had to be encoded for it.
                    cpu = (result.cpu_seconds or 0.0) + (once.cpu_seconds if lexical else 0.0)
                    result = replace(result, encode_seconds=once.seconds, cpu_seconds=cpu)
                    yield result
                    yield from evaluate_feedback(result, path, collection, self.options, model=queries_by(encoder))
                    yield from self._fitted(result, path, collection)

    def _compared(self, results: list[SystemResult]) -> list[SystemResult]:
        names = [r.system for r in results]
        against = self._lineup.against or (names[0] if names else None)
        if len(results) < 2 or against not in names:
            return results
        found = {
            measure: compare(
                {r.system: r.per_query[measure] for r in results},
                against,
                test=self.options.test,
                resamples=self.options.resamples,
                seed=self.options.seed,
            )
            for measure in self.options.measures
        }
        return [replace(r, comparisons={m: of[r.system] for m, of in found.items() if r.system in of}) for r in results]


def _opened(given: Sequence[str], options: EvaluationOptions) -> list[tuple[Dataset, str]]:
    """The collections and the split that judges each, under names of their own; all splits are there."""
    opened = [
        part
        for name in given
        for part in open_judged(
            name, options.split, data_dir=options.data_dir, form=options.form, fields=options.fields
        )
    ]
    if options.expansions is not None:
        if len(opened) != 1:
            raise ConfigError("expansions belong to one collection; evaluate it apart from the others")
        opened = [(replace(opened[0][0], expansions=LineSource(options.expansions)), opened[0][1])]
    for dataset, judged in opened:
        for option, split, purpose in (("tune", options.tune, TUNING), ("fit", options.fit, FITTING)):
            if split == judged:
                raise ConfigError(f"{option} is {split!r}, the split of {dataset.name} that is judged; name another")
            if split is not None:
                dataset.check_judged(split)
                refuse_shared(dataset.name, judged, split, purpose, dataset.qrels(judged), dataset.qrels(split))
    names = unique_names([dataset.name for dataset, _ in opened])
    return [(replace(dataset, name=name), split) for (dataset, split), name in zip(opened, names, strict=True)]


def _made(
    part: StandingIndex | RunFile, collection: JudgedCollection, options: EvaluationOptions
) -> Iterator[SystemResult]:
    """What stands already."""
    yield part.evaluate(collection, options)
