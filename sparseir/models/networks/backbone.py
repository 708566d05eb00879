"""A masked language model, split in front of its vocabulary projection."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparseir.errors import ConfigError
from sparseir.models.head.fused import dense_gradient
from sparseir.models.loading import loading, read_model_config


class Backbone(nn.Module):
    """Text features in, one vector per token out, ready for the product with the vocabulary.

    logits[t, v] = hidden[t] · weight[v] + bias[v], where hidden is the output of the model's own head up to its last
    projection (the decoder). The decoder itself never runs: the towers multiply in chunks.

    Parameters
    ----------
    model : any masked LM of transformers with a linear decoder (BERT, DistilBERT, RoBERTa, ModernBERT …).
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        decoder = model.get_output_embeddings()
        if not isinstance(decoder, nn.Linear):
            raise ConfigError(
                f"{type(model).__name__} has no linear vocabulary projection; expected a masked language model"
            )
        if decoder.bias is None:
            decoder.bias = nn.Parameter(torch.zeros(decoder.out_features, dtype=decoder.weight.dtype))
            model.config.decoder_bias = True  # ModernBERT's name for it
        # subtle: the module stays in its place, so names and tied weights of the checkpoint hold; it only passes on.
        decoder.forward = _pass_on  # type: ignore[assignment, method-assign]
        self.model = model

    @property
    def decoder(self) -> nn.Linear:
        """The vocabulary projection: weight (V, H), tied to the embeddings where the model ties them, and bias (V,)."""
        decoder = self.model.get_output_embeddings()
        assert isinstance(decoder, nn.Linear)
        return decoder

    @property
    def num_terms(self) -> int:
        return self.decoder.out_features

    @property
    def hidden_size(self) -> int:
        return self.decoder.in_features

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Hidden vectors in front of the decoder, (B, L, H); features may hold `embed`'s output in place of the ids."""
        given = "inputs_embeds" if "inputs_embeds" in features else "input_ids"
        inputs = {name: features[name] for name in (given, "attention_mask") if name in features}
        output: Tensor = self.model(**inputs).logits
        return output

    def embed(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Word embeddings of token ids, (B, L, H), before positions and normalisation, and the decoder's weight.

        Where the two are tied, their gradients meet before one of the vocabulary's size is made.
        """
        module, weight = self.model.get_input_embeddings(), self.decoder.weight
        if type(module) is not nn.Embedding or weight.device.type != "cpu":
            return module(input_ids), weight
        table = dense_gradient(weight)
        own = table if module.weight is weight else dense_gradient(module.weight)
        return nn.functional.embedding(input_ids, own, module.padding_idx, sparse=True), table


def max_tokens(model: nn.Module) -> int | None:
    """Most tokens a network has learnt positions for; None where positions are computed (rotary, relative)."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kin count positions from padding_idx + 1.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None


def _pass_on(hidden: Tensor) -> Tensor:
    return hidden


def load_backbone(folder: Path, *, fresh_head_bias: float, head_scale: float = 1.0) -> Backbone:
    """A backbone from a transformers folder.

    Weights of the head that the folder does not hold start as: square matrices the identity, the vocabulary bias
    `fresh_head_bias`, normalisations plain; the decoder is tied to the word embeddings.

    Raises
    ------
    ConfigError
        The folder holds no model transformers can read, or one without a masked-LM class.
    """
    from transformers import AutoModelForMaskedLM

    with quiet_transformers(), loading(folder, "not a masked language model transformers can load"):
        config = read_model_config(folder)
        # Dropout on attention weights keeps torch's fused attention out: measured three times the forward pass's
        # time and twice its memory in training. The dropout on hidden states stays.
        for name in ("attention_probs_dropout_prob", "attention_dropout"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
        model, report = AutoModelForMaskedLM.from_pretrained(
            str(folder), config=config, output_loading_info=True, dtype=torch.float32, trust_remote_code=False
        )
        backbone = Backbone(model)
    missing = set(report["missing_keys"])
    _refuse_missing_body(backbone, missing, folder)
    _start_fresh_head(backbone, missing, fresh_head_bias)
    if head_scale != 1.0:
        _scale_head(backbone, head_scale)
    model.eval()
    return backbone


def _refuse_missing_body(backbone: Backbone, missing: set[str], folder: Path) -> None:
    prefix = backbone.model.base_model_prefix + "."
    body = sorted(name for name in missing if name.startswith(prefix) and "pooler" not in name)
    if body:
        shown = ", ".join(body[:3]) + (" …" if len(body) > 3 else "")
        raise ConfigError(f"{folder}: {len(body)} weights of the encoder are missing ({shown})")


@torch.no_grad()
def _start_fresh_head(backbone: Backbone, missing: set[str], bias: float) -> None:
    decoder = backbone.decoder
    tied = decoder.weight is backbone.model.get_input_embeddings().weight
    for name, parameter in backbone.model.named_parameters(remove_duplicate=False):
        if name not in missing or (parameter is decoder.weight and tied):
            continue
        if parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]:
            nn.init.eye_(parameter)
        elif parameter is decoder.bias or (parameter.ndim == 1 and parameter.shape[0] == backbone.num_terms):
            parameter.fill_(bias)
        elif parameter.ndim == 1 and name.endswith("bias"):
            parameter.zero_()


@torch.no_grad()
def _scale_head(backbone: Backbone, scale: float) -> None:
    prefix = backbone.model.base_model_prefix + "."
    norms = [
        module
        for name, module in backbone.model.named_modules()
        if isinstance(module, nn.LayerNorm) and not name.startswith(prefix)
    ]
    if not norms:
        raise ConfigError("head_scale: this model's head has no normalisation to scale; leave it at 1")
    for parameter in norms[-1].parameters():
        parameter.mul_(scale)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' report of a fresh head and its progress bars off the terminal; errors still show."""
    from transformers.utils import logging as transformers_logging

    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
