"""A cross-encoder: query and document read together by a network that gives one number for the pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparseir.errors import ConfigError
from sparseir.models.inference import native_dtype
from sparseir.models.loading import loading, read_model_config
from sparseir.models.networks.backbone import max_tokens, quiet_transformers
from sparseir.models.panics import Tokenizing
from sparseir.models.sources import resolve_source


class CrossEncoder:
    """score(q, d) = the logit of a sequence classifier with one label over "q [SEP] d"; no sigmoid is taken of it.

    Parameters
    ----------
    source : folder or hub id of a classifier that transformers has.
    max_length : tokens of a pair that are read, as far as the network's position embeddings reach; the document is cut first.
    device : torch device. bf16 : run in bfloat16 where the device has it.

    Raises
    ------
    ConfigError : no such model, one that does not load, or one with several labels.
    """

    def __init__(self, source: str | Path, *, max_length: int = 512, device: str = "cpu", bf16: bool = False) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        folder = resolve_source(source)
        dtype = native_dtype("native" if bf16 else "float32", torch.device(device))
        with quiet_transformers(), loading(source, "no cross-encoder loads from there"):
            config = read_model_config(folder)
            if config.num_labels != 1:
                raise ConfigError(f"gives {config.num_labels} numbers for a pair; a cross-encoder that ranks gives one")
            model = AutoModelForSequenceClassification.from_pretrained(
                str(folder), config=config, dtype=dtype, trust_remote_code=False
            )
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        self._model = model.to(device).eval()
        self._max_length = min(max_length, max_tokens(self._model) or max_length)
        self._device = torch.device(device)

    def scores(self, pairs: Sequence[tuple[str, str]], *, batch_size: int = 32) -> NDArray[np.float32]:
        """float32, one a pair of query and document; pairs of one length run together."""
        out = np.empty(len(pairs), np.float32)
        order = np.argsort([len(query) + len(document) for query, document in pairs], kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            queries, documents = [pairs[i][0] for i in rows], [pairs[i][1] for i in rows]
            with Tokenizing([*queries, *documents]):
                features = self._tokenizer(
                    queries,
                    documents,
                    padding=True,
                    truncation="longest_first",
                    max_length=self._max_length,
                    return_tensors="pt",
                )
            with torch.inference_mode():
                out[rows] = self._model(**features.to(self._device)).logits[:, 0].float().cpu().numpy()
        return out
