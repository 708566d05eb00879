"""`train`: from a recipe to a model folder."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.progress import Progress, silent
from sparseir.config.loader import read_yaml, to_mapping, to_yaml
from sparseir.config.recipe import Recipe, differences
from sparseir.config.recipes import RECIPE_FILE
from sparseir.config.regulariser import RegulariserConfig
from sparseir.data.pairs import read_text_vectors
from sparseir.errors import ConfigError, DataError
from sparseir.models.attention import attend_text_by_text
from sparseir.models.dropout import drop_by_bits
from sparseir.models.encoder import SparseEncoder, pick_device
from sparseir.models.query_table import idf_weights
from sparseir.models.towers import MaskedLMTower
from sparseir.train.batches import RankingBatches, TextBatches
from sparseir.train.callbacks import DevEvaluation, RunLog, ServedSparsity, Steps
from sparseir.train.card import write_card
from sparseir.train.collection import TrainingSet
from sparseir.train.dev import DevSet
from sparseir.train.negatives import Negatives
from sparseir.train.objectives import MaskedLM, Objective, Ranking, TokenRanking, Vectors
from sparseir.train.parallel import world
from sparseir.train.served import ServedSample
from sparseir.train.teachers import BM25Teacher, DenseTeacher, load_teacher
from sparseir.train.trainer import SparseTrainer, training_arguments

logger = logging.getLogger(__name__)

_TEACHER_PEAK = 1.35
"""Mean largest weight every file of teacher vectors is brought to: SPLADE-v3's, in units of log1p."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run came to.

    Parameters
    ----------
    output : the model folder.
    steps : optimiser steps taken, over all resumed parts.
    seconds : wall time of this part, reading and teachers included.
    figures : of the last batch, and of the best evaluation where there was one (dev/…).
    """

    output: Path
    steps: int
    seconds: float
    figures: Mapping[str, float]

    def summary(self) -> dict[str, Any]:
        """Flat, for printing and JSON."""
        return {
            "model": str(self.output),
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            **{name: round(value, 5) for name, value in self.figures.items()},
        }


def train(recipe: Recipe, output: str | Path, *, resume: bool = False, progress: Progress = silent) -> TrainResult:
    """Train an encoder and write it to a folder, with its recipe, log, card and checkpoints.

    Parameters
    ----------
    output : a folder that is absent, empty, or left by a run that never began; with `resume`, one a run with the same
        recipe was stopped in.

    Raises
    ------
    ConfigError : the folder is in use, or holds a run of another recipe.
    DataError : faults in the data.
    SparseIRError : a loss that is not finite, or no memory left; the message says what to do.
    """
    start = time.monotonic()
    output = Path(output)
    arguments = training_arguments(recipe.train, output)
    checkpoint = _prepare_folder(recipe, output, resume=resume)
    encoder = _starting_encoder(recipe)
    prepare_for_training(encoder)
    objective, batches = _objective(recipe, encoder, progress)
    main = world()[0] == 0
    log = RunLog(output, enabled=main)
    callbacks: list[Any] = [Steps(objective, recipe.train, log, progress if main else silent)]
    dev = None
    if recipe.train.evaluate_every:
        if recipe.data.dev_dataset is None:
            raise ConfigError("train.evaluate_every: needs data.dev_dataset")
        dev = DevEvaluation(objective, recipe.train, DevSet(recipe.data), log, output)
        callbacks.append(dev)
    sample = None
    if recipe.regulariser.target_active_dims is not None:
        sample = ServedSample(
            encoder, batches.texts, size=256, seed=recipe.train.seed, max_active_dims=recipe.encode.max_active_dims
        )
        callbacks.append(ServedSparsity(objective, sample, log))
    trainer = SparseTrainer(objective, recipe, arguments, batches, callbacks)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    figures = dict(objective.figures)
    if dev is not None:
        dev.restore_best()
        figures |= {f"dev/{name}": value for name, value in dev.best.items()}
    objective.eval()
    if sample is not None:
        figures |= _reach_target(sample, recipe.regulariser)
    if world()[0] == 0:
        encoder.save(output)
        write_card(output, recipe, num_terms=encoder.num_terms, figures=figures)
    return TrainResult(output, int(trainer.state.global_step), time.monotonic() - start, figures)


def _reach_target(sample: ServedSample, config: RegulariserConfig) -> dict[str, float]:
    """Active dims of a sample as it is encoded, and what was done to the bias about them."""
    assert config.target_active_dims is not None
    fit = sample.fit_bias(config.target_active_dims) if config.fit_bias else None
    if fit is None:
        return {"document_terms": sample.active_dims()}
    return {"document_terms": fit.after, "document_terms_before_fit": fit.before, "bias_shift": fit.shift}


def _prepare_folder(recipe: Recipe, output: Path, *, resume: bool) -> Path | None:
    """The checkpoint to go on from, or None for a fresh start in a clean folder."""
    saved = output / RECIPE_FILE
    if not resume:
        if world()[0] == 0:
            # A recipe alone is what a run leaves that failed before its first step: on its data, say, since mended.
            if output.exists() and any(path.name != RECIPE_FILE for path in output.iterdir()):
                raise ConfigError(f"output folder {output} is not empty; name another one, or go on with --resume")
            output.mkdir(parents=True, exist_ok=True)
            saved.write_text(to_yaml(recipe), encoding="utf-8")
        return None
    if not saved.exists():
        raise ConfigError(f"nothing to resume in {output}: it holds no {RECIPE_FILE}")
    found = differences(read_yaml(saved), to_mapping(recipe))
    changed = [
        f"{key}: {old!r} → {new!r}"
        for key, (old, new) in found.items()
        if key.partition(".")[0] not in ("encode", "index", "evaluate")
    ]
    if changed:
        raise ConfigError(
            f"{output} was started with another recipe; a resumed run needs the same one. Changed: {'; '.join(changed)}"
        )
    checkpoints = sorted((output / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    if not checkpoints:
        logger.warning("%s holds no checkpoint (train.save_every is 0, or none was reached): starting over", output)
        return None
    return checkpoints[-1]


def _starting_encoder(recipe: Recipe) -> SparseEncoder:
    torch.manual_seed(recipe.train.seed)
    device = str(pick_device(recipe.train.device))
    if recipe.train.start_from is None:
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


def _objective(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[Objective, Any]:
    """The module that computes the loss, and its batches."""
    config = recipe.train
    num_batches = config.steps * config.accumulate
    if recipe.loss.objective == "vectors":
        texts, vectors = _teacher_vectors(recipe.data.vectors, encoder)
        idf = _set_idf(recipe, encoder, texts)
        batches: Any = TextBatches(
            texts,
            batch_size=config.batch_size,
            num_batches=num_batches,
            seed=config.seed,
            vectors=vectors,
            num_terms=encoder.num_terms,
        )
        return Vectors(encoder, recipe, idf), batches
    training = TrainingSet.read(recipe.data)
    idf = _set_idf(recipe, encoder, training.texts)
    if recipe.loss.objective == "masked_lm":
        _check_masked_lm(encoder)
        texts = [text for text in training.texts if text.strip()]
        batches = TextBatches(texts, batch_size=config.batch_size, num_batches=num_batches, seed=config.seed)
        return MaskedLM(encoder, recipe, idf), batches
    if config.sampled_terms is not None and encoder.kind not in ("inference_free", "splade_doc"):
        raise ConfigError("train.sampled_terms: needs queries that are looked up (inference_free, splade_doc)")
    objective = TokenRanking if encoder.kind == "coil_tok" else Ranking
    return objective(encoder, recipe, idf), _ranking_batches(recipe, training, encoder, progress)


def _check_masked_lm(encoder: SparseEncoder) -> None:
    if not isinstance(encoder.document_tower, MaskedLMTower):
        raise ConfigError(f"loss.objective: masked_lm trains a masked-LM head, which a {encoder.kind} encoder has not")
    if encoder.tokenizer.tokenizer.mask_token_id is None:
        raise ConfigError(
            f"loss.objective: masked_lm needs a mask token, which the tokenizer of {encoder.config.base} lacks"
        )


def _ranking_batches(
    recipe: Recipe, training: TrainingSet, encoder: SparseEncoder, progress: Progress
) -> RankingBatches:
    if not training.queries and not training.title_queries:
        raise DataError("data: no query to learn from; give data.split judgements, data.triples or title_queries")
    progress("teachers", 0, None)
    device = str(encoder.device)
    names = {*recipe.loss.teachers, *(("bm25",) if "bm25" in recipe.data.negatives else ())}
    teachers = {name: load_teacher(name, training, recipe.loss, device=device) for name in sorted(names)}
    dense = next((t for t in teachers.values() if isinstance(t, DenseTeacher)), None)
    if dense is None and ("dense" in recipe.data.negatives or recipe.data.neighbour_batches):
        dense = DenseTeacher(training, recipe.model.base, device=device, max_length=recipe.loss.teacher_length)
    bm25 = teachers.get("bm25") if "bm25" in recipe.data.negatives else None
    assert bm25 is None or isinstance(bm25, BM25Teacher)
    return RankingBatches(
        training,
        recipe.data,
        recipe.loss,
        batch_size=recipe.train.batch_size,
        num_batches=recipe.train.steps * recipe.train.accumulate,
        seed=recipe.train.seed,
        teachers=[teachers[name] for name in recipe.loss.teachers],
        negatives=Negatives(
            training, recipe.data, bm25=bm25, dense=dense if "dense" in recipe.data.negatives else None
        ),
        neighbours=dense if recipe.data.neighbour_batches else None,
    )


def _set_idf(recipe: Recipe, encoder: SparseEncoder, texts: Sequence[str]) -> Tensor | None:
    """idf of the training texts, (V,), where the regulariser reads it; the query weights of a fresh inference-free encoder.

    Raises
    ------
    ConfigError : idf_flops for latents, which no text holds.
    """
    penalised = recipe.regulariser.kind == "idf_flops"
    if penalised and encoder.kind == "csr":
        raise ConfigError(
            "regulariser.kind: idf_flops weighs words; the terms of csr are latents. Take flops, l1 or none"
        )
    asked = encoder.kind == "inference_free" and recipe.train.idf == "corpus"
    if not penalised and not asked:
        return None
    idf = idf_weights(encoder.document_frequency(texts), len(texts))
    if asked:
        encoder.set_query_weights(idf)
    out = torch.from_numpy(idf)
    out[list(encoder.tokenizer.silent_terms)] = 0.0
    return out


def _teacher_vectors(
    files: Sequence[str], encoder: SparseEncoder
) -> tuple[list[str], list[tuple[NDArray[np.int64], NDArray[np.float32]]]]:
    """Texts and vectors of all files, each file's scale brought to a mean largest weight of `_TEACHER_PEAK`."""
    if not files:
        raise DataError("data.vectors: objective vectors needs at least one file of texts with vectors")
    known = {token: i for i, token in enumerate(encoder.terms())}
    texts: list[str] = []
    vectors: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    for file in files:
        rows = [(text, vector) for text, vector in read_text_vectors(file) if vector and text.strip()]
        if not rows:
            raise DataError("holds no vectors", path=file)
        missing = sum(token not in known for _, vector in rows for token in vector)
        total = sum(len(vector) for _, vector in rows)
        if missing > 0.05 * total:
            raise DataError(
                f"{missing} of {total} tokens are not in the model's vocabulary; the teacher must share it", path=file
            )
        scale = _TEACHER_PEAK / float(np.mean([max(vector.values()) for _, vector in rows]))
        for text, vector in rows:
            kept = {known[token]: weight * scale for token, weight in vector.items() if token in known}
            texts.append(text)
            vectors.append((np.fromiter(kept, np.int64), np.fromiter(kept.values(), np.float32)))
    return texts, vectors
