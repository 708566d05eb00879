"""DeepCT: labels, loss, frequencies and BM25's formula in cases worked out by hand, and the chain from training to hits."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer import open_index  # noqa: E402
from sparseir.cli.app import run_command  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import load_recipe  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.losses.recall import query_term_recall  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.kinds import word_parts  # noqa: E402
from sparseir.models.query_table import QueryTable  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.tasks.recall import QueryTermRecall, RecallBatch  # noqa: E402
from tests.tiny_collections import DOCUMENTS, write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

DEEPCT = Path(__file__).parents[2] / "configs" / "deepct.yaml"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


def make(base: Path, words: list[str], **settings: float | str) -> SparseEncoder:
    config = ModelConfig(base=str(base), kind="deepct", max_document_length=32, **settings)
    return SparseEncoder(word_parts(config, base, words))


def test_loss_by_hand() -> None:
    """(.5² + .1²) / 2 over the counted tokens; the third is a later piece of a word."""
    predicted = torch.tensor([[0.5, 0.9, 7.0]], requires_grad=True)
    recall, counted = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[True, True, False]])
    loss = query_term_recall(predicted, recall, counted)
    assert loss.item() == pytest.approx((0.25 + 0.01) / 2)
    loss.backward()
    assert predicted.grad[0].tolist() == pytest.approx([0.5, -0.1, 0.0])  # 2 (ŷ − y) / 2
    assert query_term_recall(predicted, recall, torch.zeros(1, 3, dtype=torch.bool)).item() == 0


def test_labels_are_shares_of_the_documents_queries(base: Path) -> None:
    """'parks' is park + ##s and is labelled at park; stems match ('cats', 'cat'), stop words never do ('the')."""
    encoder = make(base, ["parks", "cats", "the"])
    recipe = load_recipe(DEEPCT, ["train.bf16=false"])  # where the device has it, it rounds the .2 below
    objective = QueryTermRecall(encoder, replace(recipe, model=encoder.config), None)
    assert objective.shares(["the parks of cats", "cat food"]) == {"park": 0.5, "cat": 1.0, "food": 0.5}
    assert encoder.tokenizer.first_words(["the parks jumped cats"], 32) == [
        [(1, "the"), (2, "parks"), (4, "jumped"), (6, "cats")]
    ]
    with torch.no_grad():
        encoder.document_tower.importance.weight.zero_()
        encoder.document_tower.importance.bias.fill_(0.2)  # ŷ = .2 at every token
    loss = objective(RecallBatch(0, ["the parks jumped cats"], [["the parks of cats", "cat food"]]))
    assert loss.item() == pytest.approx((0.2**2 + 0.3**2 + 0.2**2 + 0.8**2) / 4)
    # tf = 20 for each of three words of the vocabulary: the first documents' mean length is avgdl.
    assert encoder.document_tower.average_length.item() == 60
    objective(RecallBatch(1, ["cats"], [["cat"]]))
    assert encoder.document_tower.average_length.item() == pytest.approx(0.99 * 60 + 0.01 * 20)


def test_frequencies_and_weights_by_hand(base: Path) -> None:
    """round(100 ŷ), 0 below 1, the largest occurrence; then BM25 with k1 = 2, b = .5, |d| = 52, avgdl = 26."""
    encoder = make(base, ["parks", "cats", "the"], deepct_k1=2.0, deepct_b=0.5)
    tower = encoder.document_tower
    features = encoder.tokenize_documents(["the parks cats cats jumped"])
    assert features["word_ids"][0].tolist() == [3, 2, 0, 3, 1, 1, 3, 3, 3]
    predicted = torch.tensor([[9.0, 0.0099, 0.0151, 9.0, 0.2, 0.5, 9.0, 9.0, 9.0]]).unsqueeze(-1)
    tf = tower.frequencies(features, predicted)
    assert tf.tolist() == [[2.0, 50.0, 0.0, 0.0]]
    assert tower.frequencies(features, -predicted).tolist() == [[0.0, 0.0, 0.0, 0.0]]
    tower.vectors = lambda features: predicted  # type: ignore[method-assign]
    assert tower(features)[0].tolist() == pytest.approx([2 * 3 / (2 + 2), 50 * 3 / (50 + 2), 0, 0])  # no avgdl yet
    tower.see(torch.tensor([[26.0, 0.0, 0.0, 0.0]]))
    norm = 2 * (0.5 + 0.5 * 52 / 26)
    assert tower(features)[0].tolist() == pytest.approx([2 * 3 / (2 + norm), 50 * 3 / (50 + norm), 0, 0])


def test_words_of_a_stem_are_added_by_hand(base: Path) -> None:
    """The authors write each word of a document as often as its largest occurrence says, and an index that stems counts these
    words: cats 50 (of 20 and 50) and cat 7 are 57 times 'cat'. Stop words and marks are in no index; |d| is of what is."""
    encoder = make(base, ["cat", "run"], deepct_stemmer="porter", deepct_k1=2.0, deepct_b=0.5)
    tower = encoder.document_tower
    features = encoder.tokenize_documents(["the cats, cats cat run running"])
    assert features["word_ids"][0].tolist() == [2, 2, 0, 2, 0, 0, 1, 1, 2]
    assert features["same_word"][0].tolist() == [0, 1, 2, 3, 2, 5, 6, 7, 8]
    predicted = torch.tensor([[9.0, 9.0, 0.2, 9.0, 0.5, 0.07, 0.004, 0.03, 9.0]]).unsqueeze(-1)
    assert tower.frequencies(features, predicted).tolist() == [[57.0, 3.0, 0.0]]
    tower.vectors = lambda features: predicted  # type: ignore[method-assign]
    tower.see(torch.tensor([[30.0, 0.0, 0.0]]))
    norm = 2 * (0.5 + 0.5 * 60 / 30)
    assert tower(features)[0].tolist() == pytest.approx([57 * 3 / (57 + norm), 3 * 3 / (3 + norm), 0])
    plain = make(base, ["cats", "cat", "run", "running"])  # without stems each word is a term
    given = plain.tokenize_documents(["the cats, cats cat run running"])
    assert plain.document_tower.frequencies(given, predicted).tolist() == [[50.0, 7.0, 0.0, 3.0, 0.0]]


@pytest.mark.parametrize("stemmer", ["none", "porter"])
def test_idf_is_of_words_that_got_a_frequency(stemmer: str, base: Path, tmp_path: Path) -> None:
    """'park' stands in four documents and gets a frequency in two; the last document gets none at all and is not counted, as
    the authors leave it out of what they index: N = 3, df = 2 for each of three words. idf = ln(1 + (N − df + ½) / (df + ½))."""
    encoder = make(base, ["cat", "park", "heat"], deepct_stemmer=stemmer)
    texts = ["park cat", "cat park heat", "heat park", "park"]
    frequencies = {"park cat": [5, 50], "cat park heat": [50, 5, 7], "heat park": [9, 0], "park": [0]}

    def predicted(features: dict[str, torch.Tensor]) -> torch.Tensor:
        names = [" ".join(encoder.terms()[i] for i in row if i < 3) for row in features["word_ids"].tolist()]
        out = torch.zeros(*features["word_ids"].shape, 1)
        for i, name in enumerate(names):
            out[i, 1 : 1 + len(frequencies[name]), 0] = torch.tensor(frequencies[name]) / 100
        return out

    encoder.document_tower.vectors = predicted  # type: ignore[method-assign]
    documents = [Document(f"d{i}", text) for i, text in enumerate(texts)]
    options = IndexingOptions(corpus_idf=True, dtype="float32")
    index_documents(tmp_path / "i", encoder, documents, options=options)
    table = QueryTable.load(open_index(tmp_path / "i").query_files)
    expected = [math.log(1 + (3 - df + 0.5) / (df + 0.5)) for df in (2, 2, 2)]
    assert table.weights[:3].tolist() == pytest.approx(expected)
    assert encoder.document_frequency(texts).tolist() == [2, 4, 2, 0]


def test_queries_are_stemmed_as_documents_are(base: Path, tmp_path: Path) -> None:
    """By the model, and by the table that it and its index carry, of words that no document has as well."""
    encoder = make(base, ["cat", "run"], deepct_stemmer="porter")
    encoder.set_query_weights(np.array([2, 3, 0], np.float32))
    encoder.save(tmp_path / "m")
    again, table = SparseEncoder.load(tmp_path / "m", device="cpu"), QueryTable.load(tmp_path / "m" / "query_table")
    assert again.terms() == ["cat", "run", "[UNK]"]
    assert again.fingerprint == encoder.fingerprint
    assert table.fingerprint == encoder.query_table.fingerprint
    for text, weights in {
        "Cats' RUNNING; the runs!": [2, 3, 0],
        "the zeppelin.": [0, 0, 0],
        "catting [UNK]": [2, 0, 0],
    }.items():
        assert again.encode_queries([text]).to_scipy().toarray()[0].tolist() == weights
        assert table.encode_batch([text]).to_scipy().toarray()[0].tolist() == weights
    assert again.document_frequency(["cats and cat", "running", "runs cat", "the"]).tolist() == [2, 2, 2]
    places = table.tokenizer.encode("the Cats run")
    assert [("the Cats run"[a:b], i) for (a, b), i in zip(places.offsets, places.ids, strict=True)] == [
        ("the", 2), ("Cats", 0), ("run", 1),
    ]  # fmt: skip
    with pytest.raises(DataError, match="query 0 is int; expected text"):
        table.encode_batch([3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="half a character"):
        table.encode("a \ud800 b")
    path = tmp_path / "m" / "query_table" / "query.json"
    whole = path.read_text()
    for stemmer, said in (
        ("english", "changed since it was written"),
        ("prter", "no stemmer for language 'prter'; did you mean porter"),
    ):
        path.write_text(whole.replace("porter", stemmer))
        with pytest.raises(DataError, match=said):
            QueryTable.load(path.parent)
    path.write_text(whole)
    tokenizer = path.parent / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("[UNK]", "[OTHER]"))
    with pytest.raises(DataError, match=r"needs \[UNK\] among its terms"):
        QueryTable.load(path.parent)
    assert "deepct_stemmer" not in make(base, ["cat"]).config.identity()
    with pytest.raises(ConfigError, match="no stemmer for language 'prter'"):
        make(base, ["cat"], deepct_stemmer="prter")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_it_learns_what_queries_ask(base: Path, tmp_path: Path) -> None:
    """Words that queries hold get larger frequencies than others of the same documents; the model keeps its lengths."""
    collection = write_collection(tmp_path / "c")
    values = {
        "model.base": str(base), "data.dataset": str(collection), "model.max_document_length": 32,
        "data.max_document_length": 32, "train.steps": 60, "train.batch_size": 4, "train.device": "cpu",
        "train.warmup_steps": 2, "train.learning_rate": 5e-3, "train.head_learning_rate": 5e-3, "train.dropout": False,
        "train.bf16": False,
    }  # fmt: skip
    recipe = load_recipe(DEEPCT, [f"{key}={json.dumps(value)}" for key, value in values.items()])
    result = train(recipe, tmp_path / "m")
    assert result.figures["recall"] < 0.05
    encoder = SparseEncoder.load(tmp_path / "m", device="cpu")
    assert encoder.document_tower.average_length.item() > 0
    row = dict(zip(*(part.tolist() for part in encoder.encode_documents([f"the {DOCUMENTS[0]}"]).row(0)), strict=True))
    weight = {term: row.get(i, 0.0) for i, term in enumerate(encoder.terms())}
    assert "the" not in weight  # a stop word
    assert min(weight["cat"], weight["run"]) > 2 * max(weight["dog"], weight["park"])
    idf = encoder.query_tower.table()  # of the training documents, rare words above common ones
    assert idf[encoder.terms().index("vaccin")] > idf[encoder.terms().index("cat")] > 0
    index, command = tmp_path / "i", ["--model", str(tmp_path / "m"), "--corpus", str(collection), "--no-lexical"]
    assert run_command(["index", "build", str(index), *command, "--quiet"]) == 0
    found = [Searcher.open(index).search(text, k=8) for text in ("vaccine", "the vaccination of vaccines")]
    assert [hit.docno for hit in found[0]] == [hit.docno for hit in found[1]]
    assert len(found[0]) == sum("vaccine" in text for text in DOCUMENTS)
    assert QueryTable.load(open_index(index).query_files).fingerprint == encoder.query_table.fingerprint
    with pytest.raises(ConfigError, match="deepct rounds what it predicts, which ranking cannot train"):
        train(replace(recipe, loss=replace(recipe.loss, objective="ranking")), tmp_path / "r")
    with pytest.raises(ConfigError, match=r"regulariser\.kind: flops has no gradient through frequencies"):
        train(replace(recipe, regulariser=replace(recipe.regulariser, kind="flops")), tmp_path / "f")
    with pytest.raises(ConfigError, match="recall is deepct's, which predicts frequencies; this encoder is deepimpact"):
        train(replace(recipe, model=replace(recipe.model, kind="deepimpact")), tmp_path / "d")
