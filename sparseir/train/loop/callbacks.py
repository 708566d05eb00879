"""What happens between steps: logs, evaluation, early stop, the clock."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from indexer.progress import Progress
from sparseir.config.train import TrainConfig
from sparseir.train.dev import DevSet
from sparseir.train.loop.checkpoint import load_state, restoring, save_state
from sparseir.train.loop.objective import Objective
from sparseir.train.loop.stopping import RunClock
from sparseir.train.served import ServedSample
from sparseir.train.sparsity import CollapseWatch

logger = logging.getLogger(__name__)


class RunLog:
    """Figures by step, as lines of train.jsonl and, where tensorboard is installed, as its events."""

    def __init__(self, folder: Path, *, enabled: bool) -> None:
        self._folder = folder
        self._enabled = enabled
        self._writer: Any = None

    def open(self) -> None:
        """Once steps begin: a run that fails before them leaves nothing in the folder."""
        if self._enabled:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                logger.info("tensorboard is not installed; the log is train.jsonl alone")
            else:
                self._writer = SummaryWriter(str(self._folder / "tensorboard"))

    def write(self, step: int, figures: dict[str, float]) -> None:
        """One line, and one event a figure."""
        if self._enabled:
            with (self._folder / "train.jsonl").open("a", encoding="utf-8") as out:
                out.write(json.dumps({"step": step, **figures}) + "\n")
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Steps(TrainerCallback):
    """After each step: λ, log, progress, collapse watch, time limit, and the specials' bias put back in its place."""

    def __init__(
        self, objective: Objective, config: TrainConfig, log: RunLog, progress: Progress, clock: RunClock
    ) -> None:
        self._objective = objective
        self._config = config
        self._log = log
        self._progress = progress
        self._clock = clock
        self._watch = CollapseWatch(objective.encoder.num_terms)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._log.open()
        self._clock.start()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._clock.tick()  # before the schedule reads it

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for tower in (self._objective.encoder.document_tower, self._objective.encoder.query_tower):
            silence = getattr(tower, "silence_specials", None)
            if silence is not None:
                silence()
        self._objective.end_step()
        figures = self._objective.figures
        if "active_dims" in figures:
            self._watch.look(figures["active_dims"])
        minutes = self._clock.minutes
        late = self._config.max_minutes is not None and minutes >= self._config.max_minutes
        if state.global_step % self._config.log_every == 0 or state.global_step == args.max_steps or late:
            rates = {"learning_rate": kwargs["lr_scheduler"].get_last_lr()[0]} if "lr_scheduler" in kwargs else {}
            self._log.write(state.global_step, {**figures, **rates, "minutes": minutes})
        share = 0.0 if self._config.max_minutes is None else minutes / self._config.max_minutes
        done = max(state.global_step, int(share * args.max_steps))
        self._progress("training", min(done, args.max_steps), args.max_steps)
        if late or self._clock.stop:
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self._clock.stop:
            self._progress("training", args.max_steps, args.max_steps)
        self._log.close()


class Checkpoints(TrainerCallback):
    """A checkpoint each so many minutes, where the run is asked to stop, and at its end. After all other callbacks."""

    def __init__(self, config: TrainConfig, clock: RunClock) -> None:
        self._config = config
        self._clock = clock
        self._saved = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = self._clock.minutes

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = self._config.save_minutes
        ends = control.should_training_stop or state.global_step >= args.max_steps
        due = bool(every) and self._clock.minutes - self._saved >= every
        if due or self._clock.stop or (ends and (every or self._config.save_every)):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = self._clock.minutes


class ServedSparsity(TrainerCallback):
    """Tells the sparsity controller, ten times a run, how many terms texts have as they are encoded."""

    TEXTS, TIMES = 128, 10

    def __init__(self, objective: Objective, sample: ServedSample, log: RunLog) -> None:
        self._objective = objective
        self._sample = sample
        self._log = log

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % max(1, args.max_steps // self.TIMES) == 0:
            served = self._sample.active_dims(self.TEXTS)
            self._objective.sparsity.calibrate(served)
            self._log.write(state.global_step, {"served_active_dims": served})


class DevEvaluation(TrainerCallback):
    """nDCG@10, active dims and FLOPS on the dev set every `evaluate_every` steps; the best weights are kept in best.safetensors."""

    def __init__(self, objective: Objective, config: TrainConfig, dev: DevSet, log: RunLog, output: Path) -> None:
        self._objective = objective
        self._config = config
        self._dev = dev
        self._log = log
        self._path = output / "best.safetensors"
        self.best: dict[str, float] = {}
        self.stopped = False
        self._since = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a resume, go on from the best so far."""
        if state.global_step and self._path.exists():
            kept = load_state(self._path)
            with restoring(self._path):
                self.best = {name: float(value) for name, value in kept["figures"].items()}
                self._since = int((state.global_step - self.best["step"]) // self._config.evaluate_every)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._config.evaluate_every and state.global_step != args.max_steps:
            return
        figures = {"step": float(state.global_step), **self._dev.evaluate(self._objective.encoder)}
        self._log.write(state.global_step, {f"dev/{k}": v for k, v in figures.items() if k != "step"})
        if not self.best or figures["ndcg_10"] > self.best["ndcg_10"]:
            self.best, self._since = figures, 0
            if state.is_world_process_zero:
                save_state(self._path, {"figures": figures, "towers": self._objective.towers.state_dict()})
        else:
            self._since += 1
            if self._config.early_stop and self._since >= self._config.early_stop:
                self.stopped = control.should_training_stop = True

    def restore_best(self) -> None:
        """Put the best weights back into the encoder."""
        if self.best and self._path.exists():
            kept = load_state(self._path)
            with restoring(self._path):
                self._objective.towers.load_state_dict(kept["towers"])
