"""`train`: from a recipe to a model folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from indexer.progress import Progress, silent
from sparseir.config.loader import to_mapping
from sparseir.config.recipe import Recipe
from sparseir.config.regulariser import RegulariserConfig
from sparseir.errors import ConfigError
from sparseir.models.encoder import SparseEncoder, pick_device
from sparseir.models.networks.attention import attend_text_by_text
from sparseir.models.networks.dropout import drop_by_bits
from sparseir.train.card import write_card
from sparseir.train.dev import DevSet
from sparseir.train.loop.callbacks import Checkpoints, DevEvaluation, RunLog, ServedSparsity, Steps
from sparseir.train.loop.folder import prepare_folder, save_recipe, saved_recipe
from sparseir.train.loop.parallel import wait_for_all, world
from sparseir.train.loop.record import Ended, RunRecord, write_finished, write_running
from sparseir.train.loop.stopping import RunClock, TrainingStopped, signals_ask
from sparseir.train.loop.trainer import SparseTrainer, training_arguments
from sparseir.train.material.words import encoder_of_words
from sparseir.train.served import ServedSample
from sparseir.train.tasks import TASKS


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run came to.

    Parameters
    ----------
    output : the model folder.
    steps : optimiser steps taken, over all resumed parts.
    seconds : wall time of this part, reading and teachers included.
    figures : of the last batch, and of the best evaluation where there was one (dev/…).
    note : what a person should know of how the run ended; empty where all its steps were taken.
    """

    output: Path
    steps: int
    seconds: float
    figures: Mapping[str, float]
    note: str = ""

    def summary(self) -> dict[str, Any]:
        """Flat, for printing and JSON."""
        return {
            "model": str(self.output),
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            **{name: round(value, 5) for name, value in self.figures.items()},
        }


def train(
    recipe: Recipe | None, output: str | Path, *, resume: bool = False, progress: Progress = silent
) -> TrainResult:
    """Train an encoder and write it to a folder, with its recipe, log, card and checkpoints.

    Parameters
    ----------
    recipe : None with `resume`: the one in the folder. A resumed run may differ from the one in the folder in
        `folder.CHANGEABLE`, as in its number of steps.
    output : a folder that is absent, empty, or left by a run that never began; with `resume`, one a run with the same
        recipe was stopped in. A finished run is left as it is, and its result returned.

    Raises
    ------
    ConfigError : the folder is in use, or holds a run of another recipe.
    DataError : faults in the data.
    SparseIRError : a loss that is not finite, or no memory left; the message says what to do.
    TrainingStopped : Ctrl-C or SIGTERM; the folder holds a checkpoint to resume from.
    """
    start = time.monotonic()
    output = Path(output)
    if recipe is None:
        if not resume:
            raise ConfigError("no recipe: a run that begins needs one")
        recipe = saved_recipe(output)
    arguments = training_arguments(recipe.train, output)
    began = prepare_folder(recipe, output, resume=resume)
    if began.finished is not None:
        note = f"{output} is finished: {_ending(began.finished, recipe)}"
        return TrainResult(output, began.finished.steps, 0.0, began.finished.figures, note)
    encoder = _starting_encoder(recipe, progress)
    prepare_for_training(encoder)
    objective, batches = TASKS[recipe.loss.objective](recipe, encoder, progress)
    main = world()[0] == 0
    log, clock = RunLog(output, enabled=main), RunClock()
    callbacks: list[Any] = [Steps(objective, recipe.train, log, progress if main else silent, clock)]
    dev = None
    if recipe.train.evaluate_every:
        if recipe.data.dev_dataset is None:
            raise ConfigError("train.evaluate_every: needs data.dev_dataset")
        dev = DevEvaluation(objective, recipe.train, DevSet(recipe.data), log, output)
        callbacks.append(dev)
    sample = None
    if recipe.regulariser.target_active_dims is not None:
        sample = ServedSample(encoder, batches.texts, size=256, seed=recipe.train.seed)
        callbacks.append(ServedSparsity(objective, sample, log))
    callbacks.append(Checkpoints(recipe.train, clock))
    trainer = SparseTrainer(objective, recipe, arguments, batches, callbacks, clock)
    wait_for_all()  # all processes have read the folder as the run before left it
    if main:
        write_running(output)
        if began.changed:
            save_recipe(recipe, output)
    with signals_ask(clock):
        trainer.train(resume_from_checkpoint=began.checkpoint and str(began.checkpoint))
    steps = int(trainer.state.global_step)
    if clock.stop and steps < recipe.train.steps:
        raise TrainingStopped(output, steps, recipe.train.steps)
    figures = dict(objective.figures)
    if dev is not None:
        dev.restore_best()
        figures |= {f"dev/{name}": value for name, value in dev.best.items()}
    objective.eval()
    if sample is not None:
        figures |= _reach_target(sample, recipe.regulariser)
    ended: Ended = "steps" if steps >= recipe.train.steps else "early_stop" if dev and dev.stopped else "time"
    record = RunRecord(ended=ended, steps=steps, minutes=clock.minutes, figures=figures)
    if main:
        encoder.save(output)
        write_card(output, recipe, num_terms=encoder.num_terms, figures=figures)
        write_finished(output, record)
    note = "" if ended == "steps" else _ending(record, recipe)
    return TrainResult(output, steps, time.monotonic() - start, figures, note)


def _ending(record: RunRecord, recipe: Recipe) -> str:
    """What ended a run, and which keys let it go on."""
    config = recipe.train
    if record.ended == "time":
        whole = record.minutes / max(1, record.steps) * config.steps
        return (
            f"train.max_minutes ended it after step {record.steps} of {config.steps}, the learning rate having fallen to 0 "
            f"with the time; all steps take about {whole:.3g} minutes. For more of them resume it with a larger "
            "train.max_minutes, or null"
        )
    if record.ended == "early_stop":
        return (
            f"train.early_stop ended it after step {record.steps} of {config.steps}, {config.early_stop} evaluations "
            "without a better nDCG@10; to go on resume it with another train.early_stop"
        )
    return f"all {record.steps} steps are taken; to train on resume it with more train.steps"


def _reach_target(sample: ServedSample, config: RegulariserConfig) -> dict[str, float]:
    """Active dims of a sample as it is encoded, and what was done to the bias about them."""
    assert config.target_active_dims is not None
    fit = sample.fit_bias(config.target_active_dims) if config.fit_bias else None
    if fit is None:
        return {"document_terms": sample.active_dims()}
    return {"document_terms": fit.after, "document_terms_before_fit": fit.before, "bias_shift": fit.shift}


def _starting_encoder(recipe: Recipe, progress: Progress) -> SparseEncoder:
    torch.manual_seed(recipe.train.seed)
    device = str(pick_device(recipe.train.device))
    if recipe.train.start_from is None:
        if recipe.model.word_vocabulary:
            return encoder_of_words(recipe, progress=progress).to(device)
        return SparseEncoder.from_config(recipe.model, device=device)
    encoder = SparseEncoder.load(recipe.train.start_from, device=device)
    mine, theirs = (to_mapping(dataclasses.replace(c, base="")) for c in (recipe.model, encoder.config))
    wrong = [f"{k}: {theirs[k]!r} there, {v!r} here" for k, v in mine.items() if theirs[k] != v]
    if wrong:
        raise ConfigError(f"train.start_from: {recipe.train.start_from} is another model ({'; '.join(wrong)})")
    return encoder


def prepare_for_training(encoder: SparseEncoder) -> None:
    """On a CPU, choose the attention and the dropout that are fast and small there; a GPU is served by torch's own."""
    if encoder.device.type == "cpu":
        attend_text_by_text(encoder.module)
        drop_by_bits(encoder.module)
