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

SETTINGS = [{"kind": "inference_free", "lexical_residual": True}]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s["kind"])
@pytest.mark.filterwarnings("ignore")
def test_graph_gives_the_encoders_vectors(tmp_path: Path, settings: dict[str, object]) -> None:
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


def test_deepimpact_is_refused(tmp_path: Path) -> None:
    base = save_masked_lm(tmp_path / "base")
    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind="deepimpact"))
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
