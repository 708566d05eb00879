"""The exported graph gives the vectors of the encoder, at batch sizes and lengths it was not made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.errors import ConfigError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.onnx_export import export_onnx  # noqa: E402
from tests.integration.conftest import Outcome  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

SETTINGS = [
    {"kind": "inference_free", "lexical_residual": True, "activation": "double_log1p"},
    {"kind": "unicoil"},
    {"kind": "splade"},
    {"kind": "splade", "pooling": "sum"},
    {"kind": "splade_doc", "top_k_document": 5},
    {"kind": "bge_m3"},
    {"kind": "coil_tok"},
    {"kind": "csr", "csr_k": 4},
]
FAST = 2
"""Settings tried at every run; the others, which the exporter takes two seconds each for, are slow tests."""


@pytest.mark.parametrize(
    "settings",
    [pytest.param(s, marks=[] if i < FAST else [pytest.mark.slow]) for i, s in enumerate(SETTINGS)],
    ids=lambda s: "-".join(map(str, s.values())),
)
@pytest.mark.filterwarnings("ignore")
def test_graph_gives_the_encoders_vectors(tmp_path: Path, settings: dict[str, object]) -> None:
    """To 1e-4 of each weight: the same formula in another runtime's order of sums."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    base = save_masked_lm(tmp_path / "base")
    encoder = SparseEncoder.from_config(replace(ModelConfig(base=str(base)), **settings))
    session = runtime.InferenceSession(str(export_onnx(encoder, tmp_path / "document.onnx")))
    texts = [text for text in TEXTS if text]
    features = {name: x.numpy() for name, x in encoder.tokenize_documents(texts).items()}
    (weights,) = session.run(["weights"], features)
    want = encoder.encode_documents(texts).to_scipy().toarray()
    np.testing.assert_allclose(weights, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["deepimpact", "deepct"])
def test_encoders_of_words_are_refused(tmp_path: Path, kind: str) -> None:
    base = save_masked_lm(tmp_path / "base")
    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind=kind))
    with pytest.raises(ConfigError, match="cannot be exported"):
        export_onnx(encoder, tmp_path / "document.onnx")


@pytest.mark.filterwarnings("ignore")
def test_command(tmp_path: Path, run: Callable[..., Outcome]) -> None:
    pytest.importorskip("onnxscript")
    model, target = tmp_path / "model", tmp_path / "document.onnx"
    SparseEncoder.from_config(ModelConfig(base=str(save_masked_lm(tmp_path / "base")))).save(model)
    assert run("model", "export", model, "--output", tmp_path / "document.bin").code == 2
    assert run("model", "export", model, "--output", target).code == 0
    assert target.stat().st_size > 0
    again = run("model", "export", model, "--output", target)
    assert again.code == 1
    assert "--overwrite" in again.err
