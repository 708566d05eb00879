"""Every kind of encoder: its formula, its folder, its vectors in an index."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer import SparseVectors  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.errors import ConfigError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.kinds import word_parts  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

KINDS = [
    "splade",
    "splade_doc",
    "inference_free",
    "unicoil",
    "bge_m3",
    "deepct",
    "deepimpact",
    "coil_tok",
    "coil_full",
    "csr",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("bert"))


def make(base: Path, **settings: object) -> SparseEncoder:
    return SparseEncoder.from_config(replace(ModelConfig(base=str(base), csr_k=4), **settings))


def dense(vectors: SparseVectors) -> np.ndarray:
    return vectors.to_scipy().toarray()


@pytest.mark.parametrize("kind", KINDS)
def test_kind_encodes_saves_loads_and_learns(base: Path, tmp_path: Path, kind: str) -> None:
    encoder = make(base, kind=kind)
    documents, queries = encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)
    assert documents.nnz > 0
    assert queries.nnz > 0
    for vectors in (documents, queries):  # what an index takes, checked by its own rules
        SparseVectors.from_arrays(vectors.indptr, vectors.term_ids, vectors.weights, encoder.num_terms)
        assert len(vectors.row(TEXTS.index(""))[0]) == 0
    assert len(encoder.terms()) == encoder.num_terms
    encoder.save(tmp_path / "m")
    again = SparseEncoder.load(tmp_path / "m", device="cpu")
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(dense(again.encode_documents(TEXTS)), dense(documents))
    np.testing.assert_array_equal(dense(again.encode_queries(TEXTS)), dense(queries))
    tower, features = encoder.document_tower, encoder.tokenize_documents(TEXTS[:2])
    learns = tower.vectors(features) if kind == "deepct" else tower(features)  # what deepct serves is rounded
    learns.sum().backward()
    learnt = [p for p in encoder.document_tower.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert learnt


@pytest.mark.parametrize(
    "settings",
    [{"kind": "unicoil"}, {"kind": "splade"}, {"kind": "coil_tok"}, {"kind": "splade", "top_k_document": 9}],
)
def test_separate_towers_stay_separate(base: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    encoder = make(base, shared_towers=False, **settings)
    with torch.no_grad():
        for parameter in encoder.query_tower.parameters():
            parameter.mul_(1.3)
    encoder.save(tmp_path)
    again = SparseEncoder.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(dense(again.encode_queries(TEXTS)), dense(encoder.encode_queries(TEXTS)))
    assert np.abs(dense(again.encode_queries(TEXTS)) - dense(again.encode_documents(TEXTS))).max() > 1e-3


def test_own_token_kinds_do_not_expand(base: Path) -> None:
    encoder = make(base, kind="unicoil")
    terms, _ = encoder.encode_documents(["cats cat cats"]).row(0)
    assert {encoder.terms()[t] for t in terms} == {"cats", "cat"}


def test_bge_m3_reads_the_lexical_head_beside_its_network(base: Path, tmp_path: Path) -> None:
    """A folder as BAAI's: the weight of a token is relu(u · h + c) with u and c of sparse_linear.pt."""
    folder = shutil.copytree(base, tmp_path / "bge-m3")
    rng = torch.Generator().manual_seed(1)
    size = SparseEncoder.load(base).document_tower.backbone.hidden_size
    head = {"weight": 0.1 * torch.randn(1, size, generator=rng), "bias": torch.tensor([3.0])}
    torch.save(head, folder / "sparse_linear.pt")
    encoder = SparseEncoder.load(folder, device="cpu")
    assert encoder.kind == "bge_m3"
    features = encoder.tokenize_documents(["cats"])  # [CLS] cats [SEP]
    with torch.no_grad():
        states = encoder.document_tower.context(features)
    want = torch.relu(states[0, 1] @ head["weight"][0] + 3.0).item()
    terms, weights = encoder.encode_documents(["cats"]).row(0)
    assert [encoder.terms()[t] for t in terms] == ["cats"]
    assert weights.tolist() == pytest.approx([want], rel=1e-5)
    encoder.save(tmp_path / "saved")
    again = SparseEncoder.load(tmp_path / "saved", device="cpu")
    np.testing.assert_array_equal(dense(again.encode_documents(TEXTS)), dense(encoder.encode_documents(TEXTS)))


@pytest.mark.parametrize("content", [b"no pickle", None])
def test_a_damaged_lexical_head_is_named(base: Path, tmp_path: Path, content: bytes | None) -> None:
    folder = shutil.copytree(base, tmp_path / "bge-m3")
    if content is None:
        torch.save({"weight": torch.zeros(1, 3), "bias": torch.zeros(1)}, folder / "sparse_linear.pt")
    else:
        (folder / "sparse_linear.pt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"sparse_linear\.pt: expected the weight"):
        SparseEncoder.load(folder, device="cpu")


def test_deep_impact_weighs_first_pieces_of_whole_words(base: Path, tmp_path: Path) -> None:
    """'parks' is park + ##s: its weight is read at park; 'jumped' is not in the vocabulary and weighs nothing."""
    plain = make(base, kind="deepimpact")
    encoder = SparseEncoder(word_parts(plain.config, base, ["cats", "parks", "the"]))
    assert encoder.terms() == ["cats", "parks", "the", "[UNK]"]
    got = dense(encoder.encode_documents(["The parks jumped"]))[0]
    assert got[0] == 0
    assert got[1] > 0
    assert got[2] > 0
    assert dense(encoder.encode_queries(["parks Parks dogs"]))[0].tolist() == [0, 1, 0, 0]
    encoder.save(tmp_path)
    assert SparseEncoder.load(tmp_path, device="cpu").terms() == encoder.terms()


def test_special_tokens_in_a_text_do_not_shift_its_words(base: Path) -> None:
    """'[SEP]' is one token of the network, three words by its punctuation: the words after it keep their pieces."""
    encoder = make(base, kind="deepimpact")
    with_special, without = (
        {encoder.terms()[t] for t in encoder.encode_documents([text]).row(0)[0]}
        for text in ("cat [SEP] dogs the", "cat dogs the")
    )
    assert with_special == without == {"cat", "dogs", "the"}


@pytest.mark.parametrize("kind", ["splade", "unicoil", "deepimpact", "coil_tok", "coil_full", "csr"])
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "modernbert"])
def test_texts_longer_than_the_network_are_cut(tmp_path: Path, family: str, kind: str) -> None:
    """66 learnt positions (RoBERTa: 65, it counts from padding_idx + 1); ModernBERT computes its own."""
    encoder = make(save_masked_lm(tmp_path / family, family), kind=kind)
    limits = {"bert": 66, "distilbert": 66, "roberta": 65, "modernbert": 256}
    assert encoder.document_length() == limits[family]
    long = "cat dogs " * 200
    assert encoder.encode_documents([long]).nnz > 0
    assert encoder.tokenize_documents([long])["input_ids"].shape[1] == limits[family]
