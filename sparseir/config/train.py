"""The `train` section: the optimiser and the run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sparseir.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How long, how large, how fast; what is written and when."""

    start_from: str | None = None
    """Model folder a stage before wrote, to go on from; null: fresh from model.base."""

    steps: int = 1000
    """Optimiser steps."""

    max_minutes: float | None = None
    """Stop after this time at the latest, the learning rate falling in step with it; null: no limit. A run that time
    ends is not repeatable to the bit."""

    batch_size: int = 32
    """Queries (or texts) of one forward pass, over all processes together."""

    accumulate: int = 1
    """Forward passes of one optimiser step."""

    chunk_size: int | None = None
    """GradCache: keep the network's activations of this many texts at a time and compute them again in the backward
    pass, with the same dropout; the batch may then be much larger than memory for its activations allows. 0: keep
    the whole batch's. null: chunks of 1024 tokens on a CPU, a third of the memory for a quarter more time; 0 on a GPU."""

    sampled_terms: int | None = None
    """Compute logits only for the terms of the batch's queries and this many drawn at random, which represent the rest
    in the regulariser. Exact ranking losses at a fraction of the head's cost; inference_free and splade_doc only. With
    objective vectors, the teacher's terms and this many others. null: the whole vocabulary."""

    revive_terms: bool = False
    """Terms a text's logits put below zero get a gradient where the loss wants them larger, so that expansions can grow
    and not only be lost. Needs sampled_terms."""

    learning_rate: float = 2e-5
    """Of the encoder's layers (AdamW), falling linearly to 0."""

    head_learning_rate: float = 1e-4
    """Of a masked-LM head, its vocabulary bias and the lexical residual."""

    idf_learning_rate: float = 1e-3
    """Of trainable query weights."""

    warmup_steps: int = 0
    """Optimiser steps over which the learning rates rise from 0."""

    weight_decay: float = 0.01
    """On matrices; biases and normalisations take none."""

    adam_epsilon: float = 1e-8
    """ε of AdamW's denominator."""

    max_grad_norm: float | None = 1.0
    """Gradients are clipped at this norm; null: never."""

    freeze_embeddings: bool = False
    """Keep the word embeddings, and the vocabulary projection tied to them, as they are."""

    dropout: bool = True
    """Whether the network's own dropout is on."""

    bf16: bool = True
    """Autocast to bfloat16 where the device has it in hardware; weights, scores and losses stay float32."""

    device: str = "auto"
    """auto, cpu or cuda."""

    seed: int = 0
    """Of initialisation, order of data, negatives and dropout."""

    log_every: int = 10
    """Optimiser steps between lines of train.jsonl."""

    evaluate_every: int = 0
    """Optimiser steps between evaluations on data.dev_dataset; 0: none."""

    save_every: int = 0
    """Optimiser steps between checkpoints, which resume bit for bit on a CPU; 0: by time alone."""

    save_minutes: float = 5.0
    """Minutes between checkpoints; 0: by steps alone. Where either is above 0 the end of a run is kept as well, so that more
    steps can follow it."""

    keep_checkpoints: int = 2
    """Older ones are deleted; the best one stays."""

    early_stop: int = 0
    """Evaluations without a better nDCG@10 before training stops; 0: never."""

    idf: Literal["corpus", "keep"] = "corpus"
    """Query weights of a fresh inference_free encoder: idf of the training documents, or those of start_from."""

    @property
    def num_batches(self) -> int:
        """Forward passes of the run."""
        return self.steps * self.accumulate

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least {low}, found {value}"
            for name, low in (
                ("steps", 1), ("batch_size", 1), ("accumulate", 1), ("chunk_size", 0), ("warmup_steps", 0),
                ("log_every", 1), ("evaluate_every", 0), ("save_every", 0),
                ("keep_checkpoints", 1), ("early_stop", 0),
            )
            if (value := getattr(self, name)) is not None and value < low
        ]  # fmt: skip
        faults += [
            f"{name}: expected a positive number, found {getattr(self, name)}"
            for name in ("learning_rate", "head_learning_rate", "idf_learning_rate", "adam_epsilon")
            if not getattr(self, name) > 0
        ]
        if not self.weight_decay >= 0:
            faults.append(f"weight_decay: expected a number of at least 0, found {self.weight_decay}")
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            faults.append(f"max_grad_norm: expected a positive number or null, found {self.max_grad_norm}")
        if not self.save_minutes >= 0:
            faults.append(f"save_minutes: expected a number of at least 0, found {self.save_minutes}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            faults.append(f"max_minutes: expected a positive number or null, found {self.max_minutes}")
        if self.sampled_terms is not None and self.sampled_terms < 1:
            faults.append(f"sampled_terms: expected at least 1 or null, found {self.sampled_terms}")
        if self.revive_terms and self.sampled_terms is None:
            faults.append("revive_terms: needs sampled_terms")
        if re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is None:
            faults.append(f"device: expected auto, cpu, cuda or cuda:NUMBER, found {self.device!r}")
        if self.early_stop and not self.evaluate_every:
            faults.append("early_stop: needs evaluate_every above 0")
        if faults:
            raise ConfigError("\n".join(faults))
