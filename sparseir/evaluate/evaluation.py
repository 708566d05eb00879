"""Models, indexes, baselines and run files beside each other, on any number of collections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.progress import Progress, silent
from sparseir.data import Dataset, Query, read_qrels
from sparseir.data.lines import LineSource
from sparseir.encode.indexing import has_looked_up_queries
from sparseir.errors import ConfigError, SparseIRError
from sparseir.evaluate.collections import FITTING, TUNING, open_judged, refuse_shared
from sparseir.evaluate.judged import JudgedCollection, logger
from sparseir.evaluate.measures import check_measures
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.references import BM25
from sparseir.evaluate.report.kept import check_places, index_place, keep_run
from sparseir.evaluate.report.plots import check_plots, draw_plots
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.significance import compare
from sparseir.evaluate.systems.baselines import DENSE, RunFile, evaluate_dense, evaluate_fusions
from sparseir.evaluate.systems.embeddings import SharedEmbeddings
from sparseir.evaluate.systems.feedback import evaluate_feedback
from sparseir.evaluate.systems.fitted import FITTED, evaluate_fitted
from sparseir.evaluate.systems.indexes import FEEDBACK, StandingIndex
from sparseir.evaluate.systems.sparse import EXPANDED, LEXICAL, evaluate_encoder, evaluate_words, queries_by
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
        opened_indexes = [i for path in indexes for i in StandingIndex.open(path).with_feedback(options.feedback)]
        encoders = self._loaded(models)
        # A single model goes by its kind, several by the names of their folders.
        named = [encoders[0].kind] if len(encoders) == 1 else [Path(model).name or model for model in models]
        self._baselines = _baselines(options) if datasets else ()
        words = {"bm25": BM25, "expanded": EXPANDED}
        others = [
            name for b in self._baselines for name in (_with_more([words[b]], options) if b in words else [DENSE])
        ]
        names = _unique([*others, *named])[len(others) :]
        self._encoders = dict(zip(names, encoders, strict=True))
        alone = [
            name + end
            for name, encoder in self._encoders.items()
            for end in (("", LEXICAL) if self._has_lexical(encoder) else ("",))
        ]
        mains = _with_more(alone, options)
        self._several = len(mains) > 1
        self._check_fit(bool(others or mains))
        self.systems = _unique([*others, *mains, *(i.name for i in opened_indexes), *(f.name for f in files)])
        given = iter(self.systems[len(others) + len(mains) :])
        self._indexes = [replace(index, name=next(given)) for index in opened_indexes]
        self._runs = [replace(file, name=next(given)) for file in files]
        if options.feedback and not any(name.endswith(FEEDBACK) for name in self.systems):
            raise ConfigError(
                "feedback adds words of documents, and nothing here is an index with words, such as BM25's"
            )
        if not self.systems:
            raise ConfigError("nothing to evaluate: name a model, an index, a baseline or a run file")
        standing = [index.name for index in self._indexes]
        self._mains = [*mains, *standing] or self.systems[:1]
        fused = [] if len(self.systems) == 1 else self._fusion_names()
        if options.fusions and not fused:
            raise ConfigError(
                f"--fuse {','.join(options.fusions)} adds models with baselines and run files; there "
                f"{'is' if len(self.systems) == 1 else 'are'} {', '.join(self.systems)} and nothing to add"
            )
        self._against = self._compared_with([*self.systems, *fused])
        written = [*others, *mains, *standing, *fused]
        check_places(options, [d.name for d, _ in self._datasets], written, mains)

    def __iter__(self) -> Iterator[Judged]:
        for collection in self._collections():
            for file in self._runs:
                file.check(collection, self.options)
            results = self._results(collection)
            if len(results) > 1 and self.options.fusions:
                mains = [r for r in results if r.system in self._mains]
                others = [r for r in results if r.system not in self._mains]
                results += evaluate_fusions(mains, others, collection, self.options)
            results = self._compared(results)
            for result in results:
                if result.system not in {file.name for file in self._runs}:
                    keep_run(result, self.options)
            if self.options.plots is not None:
                draw_plots(results, self.options.plots, self.options.measures[0])
            yield Judged(results, list(collection.qrels))

    def _loaded(self, models: Sequence[str]) -> list[SparseEncoder]:
        if not models:
            return []
        from sparseir.models.encoder import SparseEncoder
        from sparseir.models.probe import doubt

        encoders = [SparseEncoder.load(model, device=self.options.device) for model in models]
        for line in filter(None, map(doubt, encoders, models)):
            logger.warning("%s", line)
        return encoders

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
        standing: list[StandingIndex | RunFile] = [*self._indexes, *self._runs]
        works: list[tuple[str, Callable[[], Iterator[SystemResult]]]] = [
            *((name, partial(self._baseline, name, collection)) for name in self._baselines),
            *((name, partial(self._model, name, encoder, collection)) for name, encoder in self._encoders.items()),
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
        if not self._has_lexical(encoder):
            with index_place(self.options, collection.name, name, several=self._several) as path:
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

    def _check_fit(self, builds: bool) -> None:
        if self.options.fit is None:
            return
        if not builds:
            raise ConfigError(
                "--fit fits indexes that are built here, of models and BM25; fit one that stands with 'sparseir index fit'"
            )
        run = [name for name, encoder in self._encoders.items() if not has_looked_up_queries(encoder)]
        if run:
            raise ConfigError(
                f"--fit {self.options.fit}: the queries of {', '.join(run)} run a model, whose weights cannot be fitted"
            )

    def _has_lexical(self, encoder: SparseEncoder) -> bool:
        return has_looked_up_queries(encoder) if self.options.lexical is None else self.options.lexical

    def _compared(self, results: list[SystemResult]) -> list[SystemResult]:
        names = [r.system for r in results]
        against = self._against or (names[0] if names else None)
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

    def _fusion_names(self) -> list[str]:
        others = [name for name in self.systems if name not in self._mains]
        return [f"{a} & {b} ({m})" for a in self._mains for b in others for m in self.options.fusions]

    def _compared_with(self, systems: Sequence[str]) -> str | None:
        if self.options.against is None:
            return None
        for name in systems:
            if name.casefold() == self.options.against.casefold():
                return name
        raise ConfigError(f"--against {self.options.against}: no such system; there are {', '.join(systems)}")


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
    names = _unique([dataset.name for dataset, _ in opened])
    return [(replace(dataset, name=name), split) for (dataset, split), name in zip(opened, names, strict=True)]


def _baselines(options: EvaluationOptions) -> tuple[str, ...]:
    """Those asked for, and beside BM25 the same with the words that its channel gives to documents, where it gives any."""
    with_words = ("bm25", "expanded") if options.channel.expands else ("bm25",)
    return tuple(name for asked in options.baselines for name in (with_words if asked == "bm25" else (asked,)))


def _with_more(names: Sequence[str], options: EvaluationOptions) -> list[str]:
    """Each name of what is built, and those of the same index fitted and, where it has words, searched with feedback."""
    more = []
    for name in names:
        words = name in (BM25, EXPANDED) or name.endswith(LEXICAL)
        for system in (name, name + FITTED) if options.fit else (name,):
            more += [system, system + FEEDBACK] if options.feedback and words else [system]
    return more


def _made(
    part: StandingIndex | RunFile, collection: JudgedCollection, options: EvaluationOptions
) -> Iterator[SystemResult]:
    """What stands already."""
    yield part.evaluate(collection, options)


def check_given(
    models: Sequence[str],
    datasets: Sequence[str],
    runs: Sequence[Path],
    qrels: Path | None,
    indexes: Sequence[Path | StorePlace] = (),
) -> None:
    """Refuse what cannot be judged together.

    Raises
    ------
    ConfigError : judgements with models, judgements without runs, neither judgements nor a collection.
    """
    if qrels is not None and (models or datasets or indexes):
        raise ConfigError(
            f"--qrels {qrels} judges run files alone; models and indexes need a collection, which has queries and judgements"
        )
    if indexes and not datasets:
        raise ConfigError(
            f"{indexes[0]} is an index; name the collection whose queries and judgements it is judged by: "
            f"sparseir evaluate {indexes[0]} DATASET"
        )
    if qrels is not None and not runs:
        raise ConfigError(f"{qrels} holds judgements and there is no run to judge; name one: --run FILE")
    if qrels is None and not datasets:
        given = f"{runs[0]} needs judgements: --qrels FILE, or a collection" if runs else "name a collection"
        raise ConfigError(given)


def _unique(names: Sequence[str]) -> list[str]:
    """Equal names told apart by numbers that give none of the others."""
    taken, out = set[str](), list[str]()
    for name in names:
        free = (f"{name}#{number}" for number in itertools.count(2) if f"{name}#{number}" not in names)
        out.append(next(one for one in itertools.chain([name], free) if one not in taken))
        taken.add(out[-1])
    return out
