"""What of a grid would fail only after hours of training, found before."""

from __future__ import annotations

from dataclasses import replace

from sparseir.config.ablation import Ablation
from sparseir.config.model import LOOKED_UP_KINDS
from sparseir.data import open_dataset
from sparseir.errors import ConfigError
from sparseir.evaluate.collections import open_judged
from sparseir.evaluate.evaluation import Evaluation
from sparseir.evaluate.measures import check_measures
from sparseir.evaluate.options import EvaluationOptions
from sparseir.lexical.analysis import check_language


def check_grid(ablation: Ablation, options: EvaluationOptions) -> None:
    """Everything that can be known of a grid before its first cell trains.

    Parameters
    ----------
    options : of the evaluation of its baselines.

    Raises
    ------
    SparseIRError : the first thing that would fail.
    """
    check_language(options.channel.language)
    check_measures(ablation.measures)
    _check_judged(ablation, options)
    _check_kinds(ablation)
    _check_dense(options)
    _check_training(ablation)


def _check_judged(ablation: Ablation, options: EvaluationOptions) -> None:
    """Collections to judge on are there, with their judgements, under names of their own."""
    # What evaluations refuse shows with the cheapest of them.
    Evaluation([], ablation.datasets, replace(options, baselines=("bm25",), feedback=None))
    named: dict[str, str] = {}
    for given in ablation.datasets:
        for dataset, _ in open_judged(given, ablation.split, data_dir=options.data_dir):
            if (other := named.setdefault(dataset.name, given)) != given:
                raise ConfigError(
                    f"{other} and {given} are both named {dataset.name}, and tables would mix them; give one of the files "
                    "another name"
                )


def _check_kinds(ablation: Ablation) -> None:
    """What is asked of all models can be done with each."""
    for cell in ablation.cells:
        kind = cell.recipe.model.kind
        if ablation.fit is not None and kind not in LOOKED_UP_KINDS:
            raise ConfigError(
                f"fit: {cell.label} is a {kind} encoder, whose queries run a network and cannot be fitted; leave it out"
            )
        if ablation.max_active_dims is not None and kind in ("coil_tok", "coil_full"):
            raise ConfigError(
                f"max_active_dims: {cell.label} is a {kind} encoder, whose exact scores need all terms; leave it out"
            )


def _check_dense(options: EvaluationOptions) -> None:
    """Dense models are there, for words and for the baseline."""
    wanted = (options.channel.expansion_model, options.dense_model if "dense" in options.baselines else None)
    for model in filter(None, wanted):
        from sparseir.models.sources import resolve_source

        resolve_source(model)


def _check_training(ablation: Ablation) -> None:
    """What the recipes learn from can be opened, and has the split."""
    needed = {(name, c.recipe.data) for c in ablation.cells for name in c.recipe.data.datasets}
    for name, data in sorted(needed, key=lambda pair: pair[0]):
        dataset = open_dataset(name, data.data_dir)
        if data.split:
            dataset.check_judged(data.split)
