"""A transformer without a vocabulary head: one contextual vector per token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparseir.errors import ConfigError
from sparseir.models.loading import loading, read_model_config
from sparseir.models.networks.backbone import quiet_transformers


class ContextEncoder(nn.Module):
    """Token features to last hidden states, (B, L, H).

    Parameters
    ----------
    model : a transformers base model (BertModel, DistilBertModel, …).
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # never runs; left in, its weights would train on no gradient
        self.model = model

    @property
    def hidden_size(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def num_terms(self) -> int:
        return int(self.model.get_input_embeddings().num_embeddings)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        states: Tensor = self.model(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"]
        ).last_hidden_state
        return states


def load_context_encoder(folder: Path) -> ContextEncoder:
    """From a transformers folder; a masked-LM head in it is left out.

    Raises
    ------
    ConfigError
        The folder holds no model transformers can read, or weights of the encoder are missing.
    """
    from transformers import AutoModel

    with quiet_transformers(), loading(folder, "not a model transformers can load"):
        config = read_model_config(folder)
        model, report = AutoModel.from_pretrained(
            str(folder), config=config, output_loading_info=True, dtype=torch.float32, trust_remote_code=False
        )
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise ConfigError(f"{folder}: {len(missing)} weights of the encoder are missing ({', '.join(missing[:3])})")
    return ContextEncoder(model.eval())
