"""Which systems an evaluation judges beside each other, and what each is called."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparseir.encode.indexing import has_looked_up_queries
from sparseir.errors import ConfigError
from sparseir.evaluate.judged import logger
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.references import BM25
from sparseir.evaluate.systems.baselines import DENSE, RunFile
from sparseir.evaluate.systems.fitted import FITTED
from sparseir.evaluate.systems.indexes import FEEDBACK, StandingIndex
from sparseir.evaluate.systems.sparse import EXPANDED, LEXICAL
from sparseir.search.stores.places import StorePlace

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

_OF_WORDS = {"bm25": BM25, "expanded": EXPANDED}
"""Systems of the baselines that are indexes of words."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The systems of an evaluation; no two have one name.

    Parameters
    ----------
    baselines : of `sparseir.config.ablation.BASELINES`, and "expanded": BM25 with the words that its channel gives to documents.
    encoders : by the names of their systems. indexes, runs : under the names they are judged by.
    baseline_systems : of the baselines. built : of the encoders: alone, with words, fitted, with feedback.
    fusions : names of the sums of two systems.
    against : what all are compared with; None: the first one.
    """

    baselines: tuple[str, ...]
    encoders: dict[str, SparseEncoder]
    indexes: list[StandingIndex]
    runs: list[RunFile]
    baseline_systems: list[str]
    built: list[str]
    fusions: list[str]
    against: str | None

    @classmethod
    def of(
        cls,
        options: EvaluationOptions,
        encoders: Sequence[SparseEncoder],
        indexes: Sequence[StandingIndex],
        runs: Sequence[RunFile],
        *,
        baselines: bool,
        models: Sequence[str],
    ) -> Lineup:
        """Name the systems.

        Parameters
        ----------
        baselines : whether there is a collection for those that the options ask for. models : what the encoders were loaded
            from.

        Raises
        ------
        ConfigError : there is nothing to judge, or nothing of the kind that an option is about.
        """
        chosen = _baselines(options) if baselines else ()
        baseline_systems = [
            name for one in chosen for name in (_with_more([_OF_WORDS[one]], options) if one in _OF_WORDS else [DENSE])
        ]
        # A single model goes by its kind, several by the names of their folders.
        named = [encoders[0].kind] if len(encoders) == 1 else [Path(model).name or model for model in models]
        by_name = dict(zip(unique_names([*baseline_systems, *named])[len(baseline_systems) :], encoders, strict=True))
        built = _with_more(
            [name for one, encoder in by_name.items() for name in _alone(one, encoder, options)], options
        )
        _check_fit(options, by_name, builds=bool(baseline_systems or built))
        names = unique_names(
            [*baseline_systems, *built, *(index.name for index in indexes), *(run.name for run in runs)]
        )
        given = iter(names[len(baseline_systems) + len(built) :])
        lineup = cls(
            chosen,
            by_name,
            [replace(index, name=next(given)) for index in indexes],
            [replace(run, name=next(given)) for run in runs],
            baseline_systems,
            built,
            fusions=[],
            against=None,
        )
        lineup._check(options)
        lineup = replace(lineup, fusions=lineup._fused(options))
        return replace(lineup, against=lineup._compared_with(options.against))

    @property
    def systems(self) -> list[str]:
        """All but fusions, in the order they are judged."""
        return [
            *self.baseline_systems,
            *self.built,
            *(index.name for index in self.indexes),
            *(run.name for run in self.runs),
        ]

    @property
    def mains(self) -> list[str]:
        """What a fusion is made of beside one of the others: models and indexes, or the first system where there are none."""
        return [*self.built, *(index.name for index in self.indexes)] or self.systems[:1]

    @property
    def written(self) -> list[str]:
        """Systems whose runs may be kept."""
        return [*self.baseline_systems, *self.built, *(index.name for index in self.indexes), *self.fusions]

    def _check(self, options: EvaluationOptions) -> None:
        if options.feedback and not any(name.endswith(FEEDBACK) for name in self.systems):
            raise ConfigError(
                "feedback adds words of documents, and nothing here is an index with words, such as BM25's"
            )
        if not self.systems:
            raise ConfigError("nothing to evaluate: name a model, an index, a baseline or a run file")

    def _fused(self, options: EvaluationOptions) -> list[str]:
        systems, mains = self.systems, self.mains
        others = [name for name in systems if name not in mains]
        fused = [f"{a} & {b} ({m})" for a in mains for b in others for m in options.fusions]
        if options.fusions and not fused:
            raise ConfigError(
                f"--fuse {','.join(options.fusions)} adds models with baselines and run files; there "
                f"{'is' if len(systems) == 1 else 'are'} {', '.join(systems)} and nothing to add"
            )
        return fused

    def _compared_with(self, against: str | None) -> str | None:
        if against is None:
            return None
        systems = [*self.systems, *self.fusions]
        for name in systems:
            if name.casefold() == against.casefold():
                return name
        raise ConfigError(f"--against {against}: no such system; there are {', '.join(systems)}")


def loaded(models: Sequence[str], device: str) -> list[SparseEncoder]:
    """The encoders, with a warning of those that no training has made one.

    Raises
    ------
    SparseIRError : a model that cannot be read.
    """
    if not models:
        return []
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.probe import doubt

    encoders = [SparseEncoder.load(model, device=device) for model in models]
    for line in filter(None, map(doubt, encoders, models)):
        logger.warning("%s", line)
    return encoders


def has_lexical(encoder: SparseEncoder, options: EvaluationOptions) -> bool:
    """Whether a model is judged with words beside it, too."""
    return has_looked_up_queries(encoder) if options.lexical is None else options.lexical


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


def unique_names(names: Sequence[str]) -> list[str]:
    """Equal names told apart by numbers that give none of the others."""
    taken, out = set[str](), list[str]()
    for name in names:
        free = (f"{name}#{number}" for number in itertools.count(2) if f"{name}#{number}" not in names)
        out.append(next(one for one in itertools.chain([name], free) if one not in taken))
        taken.add(out[-1])
    return out


def _baselines(options: EvaluationOptions) -> tuple[str, ...]:
    """Those asked for, and beside BM25 the same with the words that its channel gives to documents, where it gives any."""
    with_words = ("bm25", "expanded") if options.channel.expands else ("bm25",)
    return tuple(name for asked in options.baselines for name in (with_words if asked == "bm25" else (asked,)))


def _alone(name: str, encoder: SparseEncoder, options: EvaluationOptions) -> list[str]:
    """Systems of a model: its learned terms, and these beside words where it gets any."""
    return [name, name + LEXICAL] if has_lexical(encoder, options) else [name]


def _with_more(names: Sequence[str], options: EvaluationOptions) -> list[str]:
    """Each name of what is built, and those of the same index fitted and, where it has words, searched with feedback."""
    more = []
    for name in names:
        words = name in (BM25, EXPANDED) or name.endswith(LEXICAL)
        for system in (name, name + FITTED) if options.fit else (name,):
            more += [system, system + FEEDBACK] if options.feedback and words else [system]
    return more


def _check_fit(options: EvaluationOptions, encoders: dict[str, SparseEncoder], *, builds: bool) -> None:
    if options.fit is None:
        return
    if not builds:
        raise ConfigError(
            "--fit fits indexes that are built here, of models and BM25; fit one that stands with 'sparseir index fit'"
        )
    run = [name for name, encoder in encoders.items() if not has_looked_up_queries(encoder)]
    if run:
        raise ConfigError(
            f"--fit {options.fit}: the queries of {', '.join(run)} run a model, whose weights cannot be fitted"
        )
