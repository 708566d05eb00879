"""Every kind of encoder through train → encode → index → search → evaluate on the command line, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.search.runs import read_run
from tests.integration.test_text_chain import ROOT, collection, sparseir  # noqa: F401
from tests.tiny_models import save_masked_lm

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

CHAINS = {
    "splade_sum": {"kind": "splade", "pooling": "sum"},
    "splade_towers": {"kind": "splade", "shared_towers": False, "top_k_query": 8},
    "splade_doc": {"kind": "splade_doc"},
    "inference_free": {"kind": "inference_free", "trainable_idf": True, "top_k_document": 12},
    "l0": {"kind": "inference_free", "activation": "double_log1p", "lexical_residual": True},
    "unicoil": {"kind": "unicoil"},
    "bge_m3": {"kind": "bge_m3", "shared_towers": False},
    "deepct": {"kind": "deepct"},
    "deepimpact": {"kind": "deepimpact"},
    "coil_tok": {"kind": "coil_tok", "token_dim": 8},
    "coil_full": {"kind": "coil_full", "token_dim": 8, "cls_dim": 6},
    "csr": {"kind": "csr", "csr_k": 6},
}
LOOKED_UP = {"splade_doc", "inference_free", "l0", "deepct", "deepimpact"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_of_a_kind(name: str, base: Path, collection: Path, tmp_path: Path) -> None:  # noqa: F811
    model, vectors, index = tmp_path / "model", tmp_path / "docs.npz", tmp_path / "index"
    values = {f"model.{key}": value for key, value in CHAINS[name].items()} | {
        "model.base": str(base),
        "model.max_document_length": 32,
        "data.dataset": str(collection),
        "data.negatives": [],
        "data.max_document_length": 32,
        "loss.objective": "recall" if name == "deepct" else "ranking",
        "regulariser.kind": "none" if name == "deepct" else "flops",
        "loss.reconstruction": 1.0 if name == "csr" else 0.0,
        "regulariser.lambda_query": 0.001,
        "train.steps": 2,
        "train.batch_size": 4,
        "train.device": "cpu",
        "train.bf16": False,
        "train.evaluate_every": 2,
        "data.dev_dataset": str(collection),
        "data.dev_split": "test",
    }
    overrides = [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    trained = json.loads(
        sparseir("train", ROOT / "configs/reference.yaml", *overrides, "--output", model, "--json").stdout
    )
    assert 0 <= trained["dev/ndcg_10"] <= 1

    sparseir("encode", model, collection, "--output", vectors)
    sparseir("index", "build", tmp_path / "from-vectors", "--vectors", vectors, "--model", model)
    sparseir("index", "build", index, "--model", model, "--corpus", collection, "--no-lexical")
    query_side = [] if name in LOOKED_UP else ["--model", model]
    query = json.loads((collection / "queries.jsonl").read_text().splitlines()[3])["text"]
    rows = sparseir("search", index, query, "-k", 5, "--json", *query_side).stdout.splitlines()
    assert rows
    both = []
    for place in (index, tmp_path / "from-vectors"):
        run = tmp_path / f"{place.name}.trec"
        sparseir("search", place, "--queries", collection / "queries.jsonl", "--output", run, "-k", 20, *query_side)
        both.append(read_run(run))
    assert both[0].keys() == both[1].keys()
    assert [json.loads(row)["docno"] for row in rows] == list(both[0]["q3"])[:5]
    figures = json.loads(sparseir("evaluate", model, collection, "--no-lexical", "--baselines", "", "--json").stdout)
    assert figures["system"] == CHAINS[name]["kind"]
    assert 0 <= figures["measures"]["nDCG@10"] <= 1
    assert figures["document_terms"] > 0


def test_hits_of_coil_are_reranked(base: Path, collection: Path, tmp_path: Path) -> None:  # noqa: F811
    """The run that `evaluate` measures is the one `search --rerank exact` writes; other kinds and vector queries are refused."""
    from sparseir.config.model import ModelConfig
    from sparseir.models import SparseEncoder

    for kind in ("coil_tok", "unicoil"):
        SparseEncoder.from_config(ModelConfig(base=str(base), kind=kind, max_document_length=32)).save(tmp_path / kind)
    model, index, queries = tmp_path / "coil_tok", tmp_path / "index", collection / "queries.jsonl"
    sparseir("index", "build", index, "--model", model, "--corpus", collection, "--token-vectors")
    out = tmp_path / "run.trec"
    sparseir("search", index, "--queries", queries, "--output", out, "--model", model, "--rerank", "exact")
    sparseir("evaluate", model, collection, "--runs", tmp_path / "runs", "--baselines", "")
    judged = read_run(tmp_path / "runs" / "tiny.coil_tok.trec")
    written = read_run(out)
    for qid, hits in judged.items():
        assert list(hits) == list(written[qid])
        assert list(hits.values()) == pytest.approx(list(written[qid].values()), rel=1e-5)
    plain = tmp_path / "plain.trec"
    sparseir("search", index, "--queries", queries, "--output", plain, "--model", model)
    assert any(list(read_run(plain)[qid]) != list(hits) for qid, hits in written.items())

    other = tmp_path / "other"
    sparseir("index", "build", other, "--model", tmp_path / "unicoil", "--corpus", collection)
    refused = sparseir("search", other, "cat", "--model", tmp_path / "unicoil", "--rerank", 10, code=1)
    assert "coil_tok" in refused.stderr
    assert "--queries" in sparseir("search", index, "--query-vectors", out, "--rerank", 10, code=2).stderr
