"""COIL-full: a vector of the whole text beside those of tokens; vectors stored beside an index and searched exactly by them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer.config import IndexConfig  # noqa: E402
from sparseir.cli.app import run_command  # noqa: E402
from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.data.passages import Windows  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.data.stores.tokens import TokenStore, tokens_folder  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.token_vectors import token_vectors  # noqa: E402
from sparseir.models.towers.coil import TokenBatch, coil_scores  # noqa: E402
from sparseir.search.exact_top import search_exactly  # noqa: E402
from sparseir.search.query_encoder import ModelQueryEncoder  # noqa: E402
from sparseir.search.rerank import CoilReranker, exact_scores, lexical_scores  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

QUERIES = ["cats in the park and cats", "heat of a wing"]
STORED = IndexingOptions(token_vectors=True, config=IndexConfig())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    torch.manual_seed(1)
    config = ModelConfig(base=str(base), kind="coil_full", token_dim=8, cls_dim=5, max_document_length=32)
    return SparseEncoder.from_config(config)


def documents(texts: list[str] = TEXTS, first: int = 0) -> list[Document]:
    return [Document(f"d{first + i}", text) for i, text in enumerate(texts)]


def best(encoder: SparseEncoder, query: str, texts: list[str], k: int) -> list[tuple[int, float]]:
    """The k best of all texts, every one of which is scored."""
    held = token_vectors(encoder, texts, dtype="native")
    asked = token_vectors(encoder, [query], query=True, stored_as="float32")
    rows = [
        (held.terms[a:b], held.vectors[a:b].astype(np.float32), held.whole[i].astype(np.float32))
        for i, (a, b) in enumerate(zip(held.starts[:-1], held.starts[1:], strict=True))
    ]
    scores = exact_scores(asked, rows)
    return [(i, float(scores[i])) for i in np.lexsort((np.arange(len(texts)), -scores))[:k].tolist()]


def test_the_text_adds_its_own_product() -> None:
    """Tokens score 2 (of 7: (1, 0)·(2, 0)) and 0; the texts' own vectors (1, 2)·(3, 1) = 5 and (1, 2)·(−1, 0) = −1."""
    queries = TokenBatch(
        torch.tensor([0]), torch.tensor([7]), torch.tensor([[1.0, 0.0]]), 1, torch.tensor([[1.0, 2.0]])
    )
    texts = TokenBatch(
        torch.tensor([0]), torch.tensor([7]), torch.tensor([[2.0, 0.0]]), 2, torch.tensor([[3.0, 1.0], [-1.0, 0.0]])
    )
    assert coil_scores(queries, texts).tolist() == [[7.0, -1.0]]


def test_the_text_is_the_projection_of_its_first_token(encoder: SparseEncoder) -> None:
    """u = W' h[CLS] + c', with nothing after it, as in luyug/COIL; tokens as in COIL-tok."""
    tower = encoder.document_tower
    features = encoder.tokenize_documents(TEXTS[:3])
    with torch.no_grad():
        tokens, whole = tower.vectors(features)
        states = tower.context(features)
        expected = states[:, 0] @ tower.project_whole.weight.T + tower.project_whole.bias
        torch.testing.assert_close(whole, expected)
        torch.testing.assert_close(tokens, tower.project(states))
    assert whole.shape == (3, 5)


@pytest.mark.parametrize("shared", [True, False])
def test_a_saved_model_gives_the_same_vectors(encoder: SparseEncoder, tmp_path: Path, shared: bool) -> None:
    made = encoder if shared else SparseEncoder.from_config(replace(encoder.config, shared_towers=False))
    made.save(tmp_path / "m")
    loaded = SparseEncoder.load(tmp_path / "m", device="cpu")
    for query in (False, True):
        before, after = (token_vectors(m, QUERIES, query=query, stored_as="float32") for m in (made, loaded))
        np.testing.assert_allclose(before.vectors, after.vectors, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(before.whole, after.whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [0, 2])
def test_training_scores_as_serving_does_and_reaches_both_projections(encoder: SparseEncoder, chunk: int) -> None:
    from sparseir.train.material.columns import Columns
    from sparseir.train.tasks.ranking import TokenRanking
    from sparseir.train.tasks.ranking_batches import RankingBatch

    recipe = Recipe(model=encoder.config)
    recipe = replace(recipe, train=replace(recipe.train, bf16=False, dropout=False, chunk_size=chunk))
    objective = TokenRanking(encoder, recipe, None).train()
    texts = [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[0]]
    given = RankingBatch(0, QUERIES, texts, torch.zeros(2, 4, dtype=torch.bool), None)
    scores = objective._score(given, Columns(None, encoder.num_terms, encoder.num_terms))[2]
    served = torch.tensor([CoilReranker(encoder).scores(query, texts) for query in QUERIES])
    torch.testing.assert_close(scores.detach(), served, rtol=1e-5, atol=1e-5)
    encoder.document_tower.zero_grad()
    scores.sum().backward()
    for layer in (encoder.document_tower.project, encoder.document_tower.project_whole):
        assert layer.weight.grad.abs().sum() > 0


def test_norms_of_stored_vectors_are_what_the_index_holds(encoder: SparseEncoder) -> None:
    held = token_vectors(encoder, [*TEXTS, " "])
    expected = encoder.encode_documents([*TEXTS, " "]).to_scipy().toarray()
    np.testing.assert_allclose(held.norms(encoder.num_terms).to_scipy().toarray(), expected, rtol=2e-3)
    asked = token_vectors(encoder, QUERIES, query=True, stored_as="float32")
    expected = encoder.encode_queries(QUERIES).to_scipy().toarray()
    np.testing.assert_allclose(asked.norms(encoder.num_terms, summed=True).to_scipy().toarray(), expected, rtol=1e-4)


def test_search_finds_the_best_of_all_without_encoding_a_document(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an addition, a deletion and a compaction."""
    from indexer import compact_index, delete_documents

    path = tmp_path / "index"
    index_documents(path, encoder, documents(), options=STORED)
    more = [text + " and more of it" for text in TEXTS[:3]]
    index_documents(path, encoder, documents(more, len(TEXTS)), options=IndexingOptions(mode="add"))
    assert len(TokenStore(tokens_folder(path))) == len(TEXTS) + 3
    delete_documents(path, ["d0"])
    compact_index(path)
    expected = [[(i, s) for i, s in best(encoder, q, [*TEXTS, *more], 99) if i != 0][:4] for q in QUERIES]
    searcher = Searcher.open(path, model=ModelQueryEncoder(encoder))
    reranker = CoilReranker.of(searcher)

    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("a document was encoded")

    monkeypatch.setattr(SparseEncoder, "tokenize_documents", refuse)
    monkeypatch.setattr(SparseEncoder, "encode_documents", refuse)
    for query, wanted in zip(QUERIES, expected, strict=True):
        hits = search_exactly(reranker, searcher, query, 4).hits
        assert hits.docnos == [f"d{i}" for i, _ in wanted]
        np.testing.assert_allclose(hits.scores, [score for _, score in wanted], rtol=2e-3, atol=1e-3)
        reranked = reranker.search(searcher, query, 20, depth=20)
        assert set(reranked.docnos) <= {f"d{i}" for i in range(len(TEXTS) + 3)}
    assert search_exactly(reranker, searcher, " ", 4).hits.docnos == []


def test_the_commands(encoder: SparseEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """build --token-vectors, search --rerank exact, verify: the order of the best is that of scoring everything."""
    encoder.save(tmp_path / "model")
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": d.docno, "text": d.text}) + "\n" for d in documents()))
    model, index = str(tmp_path / "model"), str(tmp_path / "index")
    build = ["index", "build", index, "--model", model, "--corpus", str(corpus), "--quiet"]
    assert run_command([*build, "--token-vectors"]) == 0
    assert run_command(["index", "verify", index, "--quiet"]) == 0
    capsys.readouterr()
    asked = ["search", index, QUERIES[0], "--model", model, "-k", "3", "--json"]
    assert run_command([*asked, "--rerank", "exact", "--stats"]) == 0
    said = capsys.readouterr()
    hits = [json.loads(line) for line in said.out.splitlines()]
    wanted = best(encoder, QUERIES[0], TEXTS, 3)
    assert [hit["docno"] for hit in hits] == [f"d{i}" for i, _ in wanted]
    assert "documents scored exactly" in said.err
    assert run_command([*asked, "--rerank", "some"]) == 2
    assert "expected a number of hits from 1 on, or exact" in capsys.readouterr().err
    assert run_command([*build, "--overwrite"]) == 0
    assert not tokens_folder(index).exists()
    with pytest.raises(ConfigError, match="build it with --token-vectors"):
        run_command([*asked, "--rerank", "exact"])


def test_a_build_that_was_stopped_goes_on_with_its_vectors(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index"
    chosen = replace(STORED, batch=4, resume=False)

    def broken() -> object:
        yield from documents()[:6]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_documents(path, encoder, broken(), options=chosen)  # type: ignore[arg-type]
    assert not tokens_folder(path).exists()
    built = index_documents(path, encoder, documents(), options=replace(chosen, resume=True))
    assert any("were encoded before the interruption" in line for line in built.index.notes)
    store = TokenStore(tokens_folder(path))
    store.verify()
    whole = token_vectors(encoder, TEXTS, dtype="native")
    for i in range(len(TEXTS)):
        terms, vectors, own = store.of(i)
        assert terms.tolist() == whole.terms[whole.starts[i] : whole.starts[i + 1]].tolist()
        np.testing.assert_allclose(vectors, whole.vectors[whole.starts[i] : whole.starts[i + 1]], rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(own, whole.whole[i], rtol=1e-2, atol=1e-2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index", "index.tokens"]


def test_what_does_not_go_together_is_refused(encoder: SparseEncoder, tmp_path: Path) -> None:
    path = tmp_path / "index"
    with pytest.raises(ConfigError, match="prune_terms leaves some out"):
        index_documents(path, encoder, documents(), options=replace(STORED, config=IndexConfig(prune_terms=3)))
    with pytest.raises(ConfigError, match="max_active_dims leaves some out"):
        index_documents(path, encoder, documents(), options=replace(STORED, max_active_dims=3))
    with pytest.raises(ConfigError, match="scored by their whole texts"):
        index_documents(path, encoder, documents(), options=replace(STORED, windows=Windows(8, 4)))
    other = SparseEncoder.from_config(replace(encoder.config, kind="unicoil"))
    with pytest.raises(ConfigError, match="this one is unicoil"):
        index_documents(path, other, documents(), options=STORED)
    index_documents(path, encoder, documents())
    with pytest.raises(ConfigError, match="no token vectors of the documents it holds"):
        index_documents(path, encoder, documents(["x"], 90), options=replace(STORED, mode="add"))
    searcher = Searcher.open(path, model=ModelQueryEncoder(encoder))
    with pytest.raises(ConfigError, match="no token vectors beside it"):
        search_exactly(CoilReranker.of(searcher), searcher, "cat")


def test_a_store_that_is_not_the_indexs_own_or_is_damaged_is_refused(encoder: SparseEncoder, tmp_path: Path) -> None:
    path, folder = tmp_path / "index", tokens_folder(tmp_path / "index")
    index_documents(path, encoder, documents(), options=STORED)
    searcher = Searcher.open(path, model=ModelQueryEncoder(encoder))
    tokens = folder / "000001" / "terms.bin"
    kept = tokens.read_bytes()
    tokens.write_bytes(kept[:-4])
    with pytest.raises(DataError, match="bytes, expected"):
        CoilReranker.of(searcher)
    tokens.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(DataError, match="checksum differs"):
        TokenStore(folder).verify()
    tokens.write_bytes(kept)
    starts = folder / "000001" / "starts.bin"
    offsets = np.fromfile(starts, np.int64)
    damaged = offsets.copy()
    damaged[1] = 1 << 40
    damaged.tofile(starts)
    with pytest.raises(DataError, match="tokens of document 0 are said to be"):
        TokenStore(folder).of(0)
    offsets.tofile(starts)
    with pytest.raises(DataError, match="which was added without them"):
        TokenStore(folder).of(99)
    described = (folder / "store.json").read_text()
    (folder / "store.json").write_text(described.replace('"token_dim": 8', '"token_dim": 9'))
    with pytest.raises(DataError, match="checksum differs"):
        TokenStore(folder)
    (folder / "store.json").write_text(described)
    index_documents(tmp_path / "other", SparseEncoder.from_config(replace(encoder.config, token_dim=4)), documents())
    folder.rename(tokens_folder(tmp_path / "other"))
    with pytest.raises(DataError, match="belong to another index"):
        CoilReranker.of(Searcher.open(tmp_path / "other", model=ModelQueryEncoder(encoder), any_model=True))


def test_a_full_disk_leaves_neither_index_nor_store(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(SparseIRError, match="cannot write token vectors"):
            index_documents(tmp_path / "index", encoder, documents(), options=STORED)
    assert not tokens_folder(tmp_path / "index").exists()
    index_documents(tmp_path / "index", encoder, documents(), options=STORED)
    assert len(TokenStore(tokens_folder(tmp_path / "index"))) == len(TEXTS)


@pytest.mark.parametrize("shards", [None, 2])
def test_a_lexical_channel_and_shards_change_nothing_of_what_is_best(
    encoder: SparseEncoder, tmp_path: Path, shards: int | None
) -> None:
    """The few best are those of all, each scored exactly with what its stems add."""
    chosen = replace(STORED, lexical=None if shards else LexicalConfig(alpha=2.0), shards=shards)
    texts = [f"{first} {second}" for first in TEXTS for second in TEXTS]
    index_documents(tmp_path / "index", encoder, documents(texts), options=chosen)
    searcher = Searcher.open(tmp_path / "index", model=ModelQueryEncoder(encoder))
    reranker = CoilReranker.of(searcher)
    assert reranker.store is not None
    for query in ("cats and dogs of the park", *QUERIES):
        every = np.arange(len(texts))
        exact = exact_scores(reranker.query(query), (reranker.store.of(i) for i in every.tolist()))
        exact = exact + lexical_scores(searcher, query, every)
        best_first = np.lexsort((every, -exact))[:5]
        hits = search_exactly(reranker, searcher, query, 5).hits
        assert hits.ordinals.tolist() == best_first.tolist()
        assert hits.scores.tolist() == exact[best_first].tolist()


def test_documents_without_stored_vectors_are_not_passed_over(encoder: SparseEncoder, tmp_path: Path) -> None:
    """Added as vectors alone, beside which no token vectors are."""
    from indexer import Documents, add_documents

    index_documents(tmp_path / "index", encoder, documents(), options=STORED)
    add_documents(tmp_path / "index", [Documents(encoder.encode_documents(["heat"]), ["late"])])
    searcher = Searcher.open(tmp_path / "index", model=ModelQueryEncoder(encoder))
    with pytest.raises(DataError, match=r"token vectors of \d+ of the index's \d+ documents"):
        search_exactly(CoilReranker.of(searcher), searcher, "heat of a wing")


def test_changed_bytes_of_a_store_end_in_an_error_or_in_hits(encoder: SparseEncoder, tmp_path: Path) -> None:
    """Wherever they are: sizes and offsets are checked before anything is read through them; `index verify` finds the rest."""
    path, folder = tmp_path / "index", tokens_folder(tmp_path / "index")
    index_documents(path, encoder, documents(), options=STORED)
    searcher = Searcher.open(path, model=ModelQueryEncoder(encoder))
    query = CoilReranker(encoder).query(QUERIES[0])
    rng, refused = np.random.default_rng(5), 0
    for file in [folder / "store.json", *sorted((folder / "000001").iterdir())] * 8:
        kept = file.read_bytes()
        changed = bytearray(kept)
        for place in rng.integers(0, len(kept), 3):
            changed[place] = rng.integers(0, 256)
        file.write_bytes(changed)
        try:
            reranker = CoilReranker(encoder, TokenStore(folder))
            reranker.query = lambda text: query  # type: ignore[method-assign]
            assert len(search_exactly(reranker, searcher, QUERIES[0], 3).hits) <= 3
        except DataError:
            refused += 1
        if bytes(changed) != kept:
            with pytest.raises(DataError):
                TokenStore(folder).verify()
        file.write_bytes(kept)
    assert refused >= 8
    TokenStore(folder).verify()


def test_a_norm_that_is_no_number_is_refused(encoder: SparseEncoder, tmp_path: Path) -> None:
    index_documents(tmp_path / "index", encoder, documents(), options=STORED)
    file = tokens_folder(tmp_path / "index") / "000001" / "largest.bin"
    norms = np.fromfile(file, np.float32)
    for wrong in (np.nan, np.inf, -1):
        norms[3] = wrong
        norms.tofile(file)
        with pytest.raises(DataError, match="a norm that is no number from 0 on"):
            TokenStore(tokens_folder(tmp_path / "index"))
