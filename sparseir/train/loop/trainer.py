"""transformers' Trainer around an objective: own optimiser groups, schedule, checkpoints that are never unpickled."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments

from sparseir.config.recipe import Recipe
from sparseir.config.train import TrainConfig
from sparseir.errors import SparseIRError
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.residual import LexicalResidual
from sparseir.train.loop.checkpoint import load_state, restoring, save_state
from sparseir.train.loop.objective import Objective
from sparseir.train.loop.stopping import RunClock
from sparseir.train.material.batches import Batches

_STATE, _OPTIMIZER = "state.safetensors", "optimizer.safetensors"
_OOM_ADVICE = (
    "out of memory on the device: set train.chunk_size (GradCache, for example 16), lower data.max_document_length or "
    "train.batch_size and raise train.accumulate instead"
)


class SparseTrainer(Trainer):
    """Runs an `Objective`. Batches come whole to every process; the objective splits and gathers them."""

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        arguments: TrainingArguments,
        batches: Batches,
        callbacks: list[Any],
        clock: RunClock,
    ) -> None:
        self.objective = objective
        self.recipe = recipe
        self.optimizer: Any = None
        self.lr_scheduler: Any = None
        self.clock = clock
        super().__init__(
            model=objective,
            args=arguments,
            train_dataset=batches,
            data_collator=_only,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False  # accumulated losses are averaged

    def get_train_dataloader(self) -> DataLoader[Any]:
        """In order, and the same on every process: what differs by process is the share it encodes."""
        workers = self.recipe.data.workers
        return DataLoader(self.train_dataset, batch_size=1, shuffle=False, collate_fn=_only, num_workers=workers)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | int | None:
        return None  # transformers looks for language-model labels here

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # would look for input_ids in the batch

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Forward and backward pass of one batch.

        Raises
        ------
        SparseIRError : no memory left on the device in either, with what to do.
        """
        try:
            loss: Tensor = super().training_step(*args, **kwargs)
        except torch.OutOfMemoryError as error:
            raise SparseIRError(_OOM_ADVICE) from error
        return loss

    def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self.objective.step = self.state.global_step + 1
        self.objective.progress = self.progress(self.state.global_step)
        loss: Tensor = model(inputs)
        if not bool(torch.isfinite(loss.detach())):
            self._stop_at_nan(inputs)
        return loss

    def _stop_at_nan(self, inputs: Any) -> None:
        path = Path(self.args.output_dir).parent / "failed_batch.json"
        described = {"step": self.objective.step, "figures": self.objective.figures, **inputs.describe()}
        path.write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        raise SparseIRError(
            f"the loss of step {self.objective.step} is not finite; the batch is in {path}. Lower the learning rates, "
            "or set train.bf16 to false to see whether rounding is the cause"
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            config = self.recipe.train
            groups = parameter_groups(self.objective, config)
            self.optimizer = torch.optim.AdamW(groups, lr=0.0, eps=config.adam_epsilon)
        return self.optimizer

    def progress(self, step: int) -> float:
        """Share of the run that is over after a number of optimiser steps, at most 1: by steps or by time, whichever is more."""
        config = self.recipe.train
        share = step / config.steps
        if config.max_minutes is not None:
            share = max(share, self.clock.minutes / config.max_minutes)
        return min(1.0, share)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            config = self.recipe.train

            def share(step: int) -> float:
                rise = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
                return rise * (1.0 - self.progress(step))

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.create_optimizer(), share)
        return self.lr_scheduler

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_state(folder / _STATE, self.objective.state_dict())

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        path = Path(resume_from_checkpoint) / _STATE
        state = load_state(path)
        with restoring(path):
            self.objective.load_state_dict(state)

    # The Trainer's own files of a checkpoint are pickles, whatever they are called; these take their place.

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.args.should_save:
            state = {
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.lr_scheduler.state_dict(),
                "minutes": self.clock.minutes,
                "figures": self.objective.figures,
            }
            save_state(Path(output_dir) / _OPTIMIZER, state)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        path = Path(checkpoint) / _OPTIMIZER
        state = load_state(path)
        with restoring(path):
            self.optimizer.load_state_dict(state["optimizer"])
            self.lr_scheduler.load_state_dict(state["schedule"])
            # Absent in checkpoints of earlier versions.
            self.clock.start(before=float(state.get("minutes", 0.0)))
            self.objective.figures = dict(state.get("figures", {}))

    def _save_scaler(self, output_dir: str) -> None:
        """There is none: mixed precision is the objective's, in bfloat16."""

    def _load_scaler(self, checkpoint: str | None) -> None:
        """As `_save_scaler`."""

    def _rng_file(self, checkpoint: str) -> Path:
        return Path(checkpoint) / f"rng_state_{self.args.process_index}.safetensors"

    def _save_rng_state(self, output_dir: str) -> None:
        name, keys, *rest = np.random.get_state()
        state = {
            "python": random.getstate(),
            "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
            "torch": torch.random.get_rng_state(),
            "cuda": torch.cuda.random.get_rng_state_all() if torch.cuda.is_available() else None,
        }
        # A process may get here before the first one has made the folder.
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        save_state(self._rng_file(output_dir), state)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        path = self._rng_file(checkpoint)
        state = load_state(path)
        with restoring(path):
            random.setstate(state["python"])
            name, keys, *rest = state["numpy"]
            np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
            torch.random.set_rng_state(state["torch"])
            if state["cuda"] is not None and torch.cuda.is_available():
                torch.cuda.random.set_rng_state_all(state["cuda"])


def training_arguments(config: TrainConfig, output: Path) -> TrainingArguments:
    """What of transformers' arguments we use. Precision, logs and evaluation are ours.

    Under torchrun this joins the group of processes.
    """
    arguments = TrainingArguments(
        output_dir=str(output / "checkpoints"),
        max_steps=config.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=config.accumulate,
        max_grad_norm=config.max_grad_norm or 0.0,  # 0: never
        save_strategy="steps" if config.save_every else "no",
        save_steps=config.save_every or 500,
        save_total_limit=config.keep_checkpoints,
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=config.device == "cpu" or not torch.cuda.is_available(),
        seed=config.seed,
        data_seed=config.seed,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        ddp_find_unused_parameters=True,
        ddp_backend="gloo" if dist.is_torchelastic_launched() and not torch.cuda.is_available() else None,
    )
    assert arguments.world_size >= 1  # asking for it is what sets the group up
    return arguments


def parameter_groups(objective: Objective, config: TrainConfig) -> list[dict[str, Any]]:
    """Encoder layers, head, query weights: each with its learning rate; biases and normalisations without decay.

    Parameters that are frozen lose their gradients here.
    """
    rates: dict[int, float] = {}
    for tower in (objective.encoder.document_tower, objective.encoder.query_tower):
        if isinstance(tower, StaticQueryTower):
            rates[id(tower.weight)] = config.idf_learning_rate
        if isinstance(tower, MaskedLMTower):
            model = tower.backbone.model
            prefix = model.base_model_prefix + "."
            embeddings = model.get_input_embeddings().weight
            if config.freeze_embeddings:
                embeddings.requires_grad_(False)
            for name, parameter in model.named_parameters():
                if not name.startswith(prefix):
                    rates.setdefault(id(parameter), config.head_learning_rate)
        for module in tower.modules():
            if isinstance(module, LexicalResidual):
                rates |= {id(parameter): config.head_learning_rate for parameter in module.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in objective.parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rates.get(id(parameter), config.learning_rate), decay), []).append(parameter)
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]


def _only(rows: list[Any]) -> Any:
    return rows[0]
