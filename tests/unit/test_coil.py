"""COIL-tok: one score in training and in serving, reranking of an index's hits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.encode.vectors import index_vectors  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.towers.coil import TokenBatch, coil_scores  # noqa: E402
from sparseir.search.query_encoder import ModelQueryEncoder  # noqa: E402
from sparseir.search.rerank import CoilReranker  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

QUERIES = ["cats in the park and cats", "heat of a wing"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    torch.manual_seed(1)
    return SparseEncoder.from_config(ModelConfig(base=str(base), kind="coil_tok", token_dim=8, max_document_length=32))


def batch(*texts: dict[int, list[list[float]]]) -> TokenBatch:
    """Texts given as {term: [vector, …]}."""
    rows = [(n, term, v) for n, text in enumerate(texts) for term, vectors in text.items() for v in vectors]
    return TokenBatch(
        torch.tensor([n for n, _, _ in rows], dtype=torch.int64),
        torch.tensor([term for _, term, _ in rows], dtype=torch.int64),
        torch.tensor([v for _, _, v in rows]).reshape(len(rows), 2),
        len(texts),
    )


def tokens(encoder: SparseEncoder, texts: list[str]) -> TokenBatch:
    features = encoder.tokenize_documents(texts)
    with torch.no_grad():
        return encoder.document_tower.counted(*encoder.document_tower.vectors(features), features)


def test_scores_by_hand() -> None:
    """7: best of (1,0)·(2,0) = 2 and (1,0)·(3,1) = 3, once for each of two queries' tokens; 9 matches nothing.

    The second document holds 7 with (−4, 0) alone: a match of −4 is worth 0, as in the authors' code.
    """
    queries = batch({7: [[1.0, 0.0], [1.0, 0.0]], 9: [[0.0, 1.0]]}, {}, {8: [[1.0, 1.0]]})
    documents = batch({7: [[2.0, 0.0], [3.0, 1.0]], 8: [[9.0, 9.0]]}, {7: [[-4.0, 0.0]]}, {})
    assert coil_scores(queries, documents).tolist() == [[6.0, 0.0, 0.0], [0.0, 0.0, 0.0], [18.0, 0.0, 0.0]]
    assert coil_scores(batch({}), documents).tolist() == [[0.0, 0.0, 0.0]]


def test_gradient_reaches_the_best_match_only() -> None:
    queries, documents = batch({7: [[1.0, 0.0]]}), batch({7: [[2.0, 0.0], [3.0, 1.0]], 8: [[9.0, 9.0]]})
    documents.vectors.requires_grad_()
    coil_scores(queries, documents).sum().backward()
    assert documents.vectors.grad.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_a_pair_scores_the_same_alone_and_in_any_batch(encoder: SparseEncoder) -> None:
    """To the bit, given the same token vectors."""
    queries, documents = tokens(encoder, QUERIES), tokens(encoder, TEXTS)
    together = coil_scores(queries, documents)

    def alone(tokens: TokenBatch, number: int) -> TokenBatch:
        own = tokens.text == number
        return TokenBatch(tokens.text[own] * 0, tokens.term_ids[own], tokens.vectors[own], 1)

    for q in range(len(QUERIES)):
        for d in range(len(TEXTS)):
            assert coil_scores(alone(queries, q), alone(documents, d)).item() == together[q, d].item()


@pytest.mark.parametrize("in_batch", [True, False])
def test_the_score_that_is_trained_is_the_score_that_is_served(encoder: SparseEncoder, in_batch: bool) -> None:
    from sparseir.train.material.columns import Columns
    from sparseir.train.tasks.ranking import TokenRanking
    from sparseir.train.tasks.ranking_batches import RankingBatch

    recipe = Recipe(model=encoder.config)
    train = replace(recipe.train, bf16=False, dropout=False, chunk_size=2)
    recipe = replace(recipe, train=train, loss=replace(recipe.loss, in_batch=in_batch))
    objective = TokenRanking(encoder, recipe, None).train()
    documents = [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[0]]
    given = RankingBatch(0, QUERIES, documents, torch.zeros(2, 4, dtype=torch.bool), None)
    norms, _, scores = objective._score(given, Columns(None, encoder.num_terms, encoder.num_terms))
    served = torch.tensor([CoilReranker(encoder).scores(query, documents) for query in QUERIES])
    torch.testing.assert_close(
        scores.detach(), served if in_batch else torch.stack([served[0, :2], served[1, 2:]]), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(norms.detach(), encoder.encode_queries(QUERIES).to_scipy().toarray(), rtol=1e-5)
    scores.sum().backward()
    assert encoder.document_tower.project.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("shared", [True, False])
def test_norms_bound_the_exact_score(encoder: SparseEncoder, tmp_path: Path, shared: bool) -> None:
    """Of every pair, repeated terms and matches below zero among them, before as after a model is saved."""
    made = encoder if shared else SparseEncoder.from_config(replace(encoder.config, shared_towers=False))
    made.save(tmp_path / "m")
    queries = [*QUERIES, "cats cats cats park", "heat heat of heat of heat", *TEXTS]
    for model in (made, SparseEncoder.load(tmp_path / "m", device="cpu")):
        with torch.no_grad():
            asked = model.query_tower(model.tokenize_queries(queries))
            bound = asked @ model.document_tower(model.tokenize_documents(TEXTS)).t()
        exact = torch.tensor([CoilReranker(model).scores(query, TEXTS) for query in queries])
        assert (exact <= bound + 1e-4).all()
        assert (exact >= 0).all()
        repeated = asked[2].max() / asked[2, asked[2] > 0].min()
        assert repeated > 2  # three times a word: the norms of all three
        served = model.encode_queries(queries[:4]).to_scipy().toarray()
        np.testing.assert_allclose(served, asked[:4].numpy(), rtol=1e-4, atol=1e-5)


def test_hits_are_reranked_to_the_depth_asked_for(encoder: SparseEncoder, tmp_path: Path) -> None:
    documents = [Document(f"d{i}", text, title="the") for i, text in enumerate(TEXTS)]
    index_documents(tmp_path / "index", encoder, documents)
    searcher = Searcher.open(tmp_path / "index", query_encoder=ModelQueryEncoder(encoder))
    reranker = CoilReranker.of(searcher)
    query = "the cats and dogs of the park"
    whole = reranker.search(searcher, query, k=10)
    exact = dict(zip([d.docno for d in documents], reranker.scores(query, [d.content for d in documents]), strict=True))
    assert whole.docnos == sorted(whole.docnos, key=lambda name: -exact[name])
    np.testing.assert_allclose(whole.scores, [exact[name] for name in whole.docnos], rtol=1e-6)
    found = searcher.search(query, 10)
    two = reranker.search(searcher, query, k=10, depth=2)
    assert set(two.docnos[:2]) == set(found.docnos[:2])
    assert two.docnos[2:] == found.docnos[2:]
    assert (np.diff(two.scores) <= 0).all()
    assert reranker.search(searcher, query, k=1).docnos == whole.docnos[:1]
    assert reranker.search(searcher, "unheard", k=3).docnos == []


def test_reranking_keeps_what_a_lexical_channel_adds(encoder: SparseEncoder, tmp_path: Path) -> None:
    """The exact score of the token vectors, and the products of stems that `explain` shows."""
    documents = [Document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    index_documents(tmp_path / "index", encoder, documents, options=IndexingOptions(lexical=LexicalConfig(alpha=2.0)))
    searcher = Searcher.open(tmp_path / "index", model=ModelQueryEncoder(encoder))
    query = "cats and dogs of the park"
    hits = CoilReranker.of(searcher).search(searcher, query, k=10)
    exact = dict(zip([d.docno for d in documents], CoilReranker(encoder).scores(query, TEXTS), strict=True))
    lexical = {}
    for docno in hits.docnos:
        explanation = searcher.explain(query, docno)
        scale = explanation.score / explanation.integer_score
        lexical[docno] = sum(t.product for t in explanation.terms if t.channel == "lexical") * scale
    assert max(lexical.values()) > 0
    expected = {docno: exact[docno] + lexical[docno] for docno in hits.docnos}
    np.testing.assert_allclose(hits.scores, [expected[docno] for docno in hits.docnos], rtol=2e-2)
    assert (np.diff(hits.scores) <= 0).all()
    index_documents(tmp_path / "words", None, documents)
    words = Searcher.open(tmp_path / "words")
    with pytest.raises(ConfigError, match="this index holds BM25 alone"):
        CoilReranker.of(words)


def test_what_cannot_be_reranked_is_refused(encoder: SparseEncoder, tmp_path: Path) -> None:
    from sparseir.encode.collection import encode_collection

    other = SparseEncoder.from_config(replace(encoder.config, kind="unicoil"))
    with pytest.raises(ConfigError, match="coil_full encoder; this one is unicoil"):
        CoilReranker(other)
    encode_collection(encoder, [Document("a", "the cat")], tmp_path / "v.npz")
    index_vectors(tmp_path / "index", tmp_path / "v.npz")
    searcher = Searcher.open(tmp_path / "index", query_encoder=ModelQueryEncoder(encoder))
    with pytest.raises(DataError, match="stores no text of document 'a'"):
        CoilReranker(encoder).search(searcher, "cat")
