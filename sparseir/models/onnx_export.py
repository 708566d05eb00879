"""The document encoder as an ONNX graph: token ids in, term weights out, for runtimes without torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from sparseir.errors import ConfigError, MissingExtraError
from sparseir.models.encoder import SparseEncoder
from sparseir.models.inference import evaluating
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.own_tokens import WordTokenizer
from sparseir.models.towers.tower import Tower

OPSET = 18


def export_onnx(encoder: SparseEncoder, path: str | Path) -> Path:
    """Write the document tower of an encoder as one ONNX file.

    The graph takes input_ids and attention_mask, int64 (batch, tokens), both of any size, and gives `weights`, float32
    (batch, num_terms) ≥ 0: what `encode_documents` gives in float32, as a full matrix.

    Raises
    ------
    ConfigError
        A kind whose features are more than token ids (deepimpact, deepct).
    MissingExtraError
        onnx or onnxscript is not installed.
    """
    if isinstance(encoder.tokenizer, WordTokenizer):
        raise ConfigError(
            f"a {encoder.kind} encoder also reads word numbers and cannot be exported; encode with sparseir"
        )
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "onnx", "exporting to ONNX") from None
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 8]])
    device = encoder.device
    graph = _PlainTower(encoder.document_tower.cpu())
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    shape = {0: batch, 1: tokens}
    try:
        with torch.no_grad(), evaluating(graph), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
            torch.onnx.export(
                graph,
                (ids, torch.ones_like(ids)),
                str(target),
                input_names=["input_ids", "attention_mask"],
                output_names=["weights"],
                dynamic_shapes=(shape, shape),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        encoder.document_tower.to(device)
    return target


class _PlainTower(nn.Module):
    """A tower written with operations ONNX has: the head's maximum as the plain formula."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if isinstance(self.tower, MaskedLMTower):
            return self.tower.plain_forward(features)
        weights: Tensor = self.tower(features)
        return weights
