"""bench.search.coil on an index small enough to check: all three ways find the same, and fewer documents are scored than there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bench.search import coil  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_collections import write_collection  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402


@pytest.mark.parametrize("kind", ["coil_tok", "coil_full"])
def test_all_ways_agree(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    base = save_masked_lm(tmp_path / "base")
    config = ModelConfig(base=str(base), kind=kind, token_dim=8, cls_dim=5, max_document_length=32)  # type: ignore[arg-type]
    SparseEncoder.from_config(config).save(tmp_path / "m")
    texts = [f"{a} {b} {c}" for a in TEXTS for b in TEXTS for c in TEXTS]
    documents = [Document(f"d{i}", text) for i, text in enumerate(texts)]
    options = IndexingOptions(token_vectors=True)
    index_documents(tmp_path / "i", SparseEncoder.load(tmp_path / "m", device="cpu"), documents, options=options)
    collection = write_collection(tmp_path / "c")
    command = [
        str(tmp_path / "i"),
        str(collection),
        "--model",
        str(tmp_path / "m"),
        "--split",
        "train",
        "--rounds",
        "1",
        "--k",
        "3",
    ]
    monkeypatch.setattr("sys.argv", ["coil", *command, "--json", str(tmp_path / "out.json")])
    coil.main()
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["different"] == {"all": 0, "lists": 0}
    assert found["documents"] == len(texts)
    assert 0 < found["scored"]["mean"] < len(texts)
    assert "| lists | all |" in capsys.readouterr().out
