"""Expansions and dense embeddings in a prepared folder: stored in the order of its texts, read by training, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer.progress import silent  # noqa: E402
from sparseir.cli.app import run_command  # noqa: E402
from sparseir.data.prepared import embeddings as stored  # noqa: E402
from sparseir.data.prepared.expanded import documents_of  # noqa: E402
from sparseir.data.prepared.folder import Prepared  # noqa: E402
from sparseir.data.prepared.prepare import PrepareOptions, prepare  # noqa: E402
from sparseir.errors import ConfigError, DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.codes import DenseCodes  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.material.words import encoder_of_words  # noqa: E402
from sparseir.train.tasks import codes, ranking  # noqa: E402
from tests.tiny_collections import DOCUMENTS, QUERIES, write_collection, write_jsonl  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402
from tests.unit.test_train import recipe_of, weights_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


def options(folder: Path, **more: Any) -> PrepareOptions:
    """Of a tiny collection in `folder`, with its judgements."""
    collection = folder / "collection"
    if not collection.exists():
        write_collection(collection)
    given = {"documents": str(collection), "queries": str(collection / "queries.jsonl")}
    return PrepareOptions(**given, pairs=(f"train={collection / 'qrels' / 'train.tsv'}",), **more)


def save_embeddings(path: Path, rows: np.ndarray, names: list[str]) -> Path:
    np.save(path, rows)
    path.with_suffix(".ids").write_text("".join(f"{name}\n" for name in names))
    return path


def shuffled(path: Path, count: int, name: str, size: int = 4) -> Path:
    """A matrix whose row of text i is all i, in another order than the texts."""
    order = np.random.default_rng(1).permutation(count)
    return save_embeddings(
        path, np.repeat(order, size).reshape(count, size).astype(np.float16), [f"{name}{i}" for i in order]
    )


def test_expansions_are_read_after_their_documents(base: Path, tmp_path: Path) -> None:
    """By kinds that read them, from a file that is given later too; others, mining and teachers read the text alone."""
    given = options(tmp_path)
    assert prepare(tmp_path / "p", given).expansions is None
    file = write_jsonl(tmp_path / "x.jsonl", [{"id": "d1", "predicted_queries": ["Rainy weather", "rainy"]}])
    prepared = prepare(tmp_path / "p", options(tmp_path, expansions=str(file), resume=True))
    whole = documents_of(prepared, expanded=True)
    assert whole[1] == f"weather {DOCUMENTS[1]} rainy"
    assert whole[0] == prepared.documents[0] == documents_of(prepared, expanded=False)[0]
    assert documents_of(prepared, expanded=True, separator=" [SEP] ")[1] == f"weather {DOCUMENTS[1]} [SEP] rainy"
    assert whole[0:2] == [whole[0], whole[1]]
    assert [text for _, block in whole.blocks(3) for text in block] == list(whole)
    changes = {
        "data__dataset": (),
        "data__prepared": str(tmp_path / "p"),
        "data__negatives": (),
        "data__num_negatives": 2,
    }
    for kind, separated, held in (
        ("unicoil", False, " rainy"),
        ("unicoil", True, " [SEP] rainy"),
        ("splade", False, ""),
    ):
        recipe = recipe_of(
            base, tmp_path, **changes, model__kind=kind, model__expansion_separator=separated, train__batch_size=4
        )
        batch = ranking.build(recipe, SparseEncoder.from_config(recipe.model, device="cpu"), silent)[1][0]
        assert f"weather {DOCUMENTS[1]}{held}" in batch.documents
        assert all(len(batch.places) == 12 and prepared.queries.rows([qid])[0] >= 0 for qid in batch.qids)
    recipe = recipe_of(base, tmp_path, **changes, model__kind="deepimpact", model__word_vocabulary=50)
    assert "rainy" in encoder_of_words(recipe).tokenizer.words
    train(recipe_of(base, tmp_path, **changes, model__kind="unicoil", train__steps=1), tmp_path / "model")


@pytest.mark.parametrize("beside", [True, False])
def test_a_corpus_brings_its_own_expansions(tmp_path: Path, beside: bool) -> None:
    """In expansions.jsonl beside it, or as a field of its rows."""
    given = options(tmp_path)
    collection = tmp_path / "collection"
    if beside:
        write_jsonl(collection / "expansions.jsonl", [{"id": "d2", "predicted_queries": ["why do wings heat"]}])
    else:
        rows = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
        rows[2]["expansion"] = "why do wings heat"
        write_jsonl(collection / "corpus.jsonl", rows)
    prepared = prepare(tmp_path / "p", given)
    assert prepared.expansions is not None
    assert (prepared.expansions.name(0), prepared.expansions[0]) == ("d2", "why do wings heat")
    again = prepare(tmp_path / "p", PrepareOptions(documents=given.documents, queries=given.queries, resume=True))
    assert again.expansions is not None
    again.verify()
    assert again.summary()["expansions"] == 1


def test_expansions_of_no_document_are_refused_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    file.write_text("d1\train\nd77\tsun\n")
    with pytest.raises(DataError, match=r"x.tsv:2: 'd77' is none of the documents"):
        prepare(tmp_path / "p", options(tmp_path, expansions=str(file)))
    said: list[str] = []
    left = options(tmp_path, expansions=str(file), skip_unknown=True, resume=True)
    assert len(prepare(tmp_path / "p", left, note=said.append).expansions or ()) == 1
    assert said == [f"{file}: 1 expansions name documents that are not in this folder; they are left out"]
    triples = write_jsonl(tmp_path / "t.jsonl", [{"query": "a", "positive": "b", "negatives": ["c"]}])
    with pytest.raises(ConfigError, match="--expansions names documents by their ids"):
        prepare(tmp_path / "q", PrepareOptions(pairs=(str(triples),), expansions=str(file)))


def test_embeddings_are_put_into_the_order_of_the_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = options(tmp_path)
    docs = shuffled(tmp_path / "d.npy", len(DOCUMENTS), "d")
    queries = shuffled(tmp_path / "q.npy", len(QUERIES), "q")
    command = [
        "data",
        "prepare",
        str(tmp_path / "p"),
        "--documents",
        str(given.documents),
        "--queries",
        str(given.queries),
    ]
    assert run_command([*command, "--embeddings", str(docs), "--query-embeddings", str(queries), "--quiet"]) == 0
    assert "embeddings of documents and queries" in capsys.readouterr().out
    prepared = Prepared(tmp_path / "p")
    prepared.verify()
    for side, count in (("documents", len(DOCUMENTS)), ("queries", len(QUERIES))):
        found = prepared.embeddings(side)
        assert found is not None
        assert found[np.arange(count)].tolist() == np.repeat(np.arange(count), 4).reshape(count, 4).tolist()


def test_codes_learn_from_stored_embeddings_as_from_the_network(base: Path, tmp_path: Path) -> None:
    """The same weights, and no text goes through the network."""
    changes: dict[str, Any] = {
        "data__dataset": (), "data__prepared": str(tmp_path / "p"), "data__negatives": (), "data__num_negatives": 0,
        "model__kind": "csr", "model__csr_k": 4, "loss__reconstruction": 1.0, "train__steps": 3, "train__bf16": False,
    }  # fmt: skip
    recipe = recipe_of(base, tmp_path, **changes)
    prepare(tmp_path / "p", options(tmp_path))
    train(recipe, tmp_path / "from-text")
    network = DenseCodes(SparseEncoder.from_config(recipe.model, device="cpu"))
    prepared = Prepared(tmp_path / "p")
    docs = network.embed(list(prepared.documents), max_length=recipe.data.max_document_length)
    asked = network.embed(list(prepared.queries), query=True)
    more = options(
        tmp_path,
        embeddings=str(save_embeddings(tmp_path / "d.npy", docs, [f"d{i}" for i in range(len(docs))])),
        query_embeddings=str(save_embeddings(tmp_path / "q.npy", asked, [q for q, _, _ in QUERIES])),
        resume=True,
    )
    prepare(tmp_path / "p", more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenseCodes, "embed", None)
        train(recipe, tmp_path / "from-rows")
    for name, weights in weights_of(tmp_path / "from-text").items():
        np.testing.assert_allclose(weights_of(tmp_path / "from-rows")[name], weights, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "rows", "said"),
    [
        (["d0", "dx"], 2, r"d.ids:2: 'dx' is none of the documents"),
        (["d0", "d1", "d0"], 3, r"d.ids:3: 'd0' is the name of row 1 already"),
        ([f"d{i}" for i in range(8)], 7, "holds 8 names for the 7 rows"),
        (["d0", "d1"], 2, "holds no embedding of 6 of the 8 documents, 'd2' first"),
    ],
)
def test_rows_and_names_that_differ_are_refused(tmp_path: Path, names: list[str], rows: int, said: str) -> None:
    given = save_embeddings(tmp_path / "d.npy", np.ones((rows, 4), np.float32), names)
    with pytest.raises(DataError, match=said):
        prepare(tmp_path / "p", options(tmp_path, embeddings=str(given)))
    assert Prepared(tmp_path / "p").embeddings("documents") is None
    good = shuffled(tmp_path / "good.npy", len(DOCUMENTS), "d")
    assert prepare(tmp_path / "p", options(tmp_path, embeddings=str(good), resume=True)).embeddings("documents")


def test_numbers_sizes_and_texts_that_do_not_fit_are_refused(base: Path, tmp_path: Path) -> None:
    matrix = np.ones((8, 4), np.float32)
    matrix[3, 2] = np.nan
    names = [f"d{i}" for i in range(8)]
    broken = save_embeddings(tmp_path / "d.npy", matrix, names)
    with pytest.raises(DataError, match=r"row 3 \('d3'\) holds a number that is not finite"):
        prepare(tmp_path / "p", options(tmp_path, embeddings=str(broken)))
    matrix[3, 2] = 1
    np.save(broken, matrix)
    prepare(tmp_path / "p", options(tmp_path, embeddings=str(broken), resume=True))
    changes: dict[str, Any] = {
        "data__dataset": (), "data__prepared": str(tmp_path / "p"), "data__negatives": (), "data__num_negatives": 0,
        "model__kind": "csr", "model__csr_k": 4, "loss__reconstruction": 1.0,
    }  # fmt: skip
    recipe = recipe_of(base, tmp_path, **changes)
    with pytest.raises(DataError, match="have 4 dimensions, and the model takes"):
        codes.build(recipe, SparseEncoder.from_config(recipe.model, device="cpu"), silent)
    with pytest.raises(DataError, match="belongs to other texts"):
        stored.StoredEmbeddings(tmp_path / "p" / "embeddings.documents", "0" * 8)
    rows = tmp_path / "p" / "embeddings.documents" / "rows.bin"
    content = rows.read_bytes()
    rows.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(DataError, match="checksum differs"):
        Prepared(tmp_path / "p").verify()
    rows.write_bytes(content[:-4])
    with pytest.raises(DataError, match="bytes, expected"):
        Prepared(tmp_path / "p").embeddings("documents")


def test_a_full_disk_while_embeddings_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = shuffled(tmp_path / "d.npy", len(DOCUMENTS), "d")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stored, "described", full)
        with pytest.raises(SparseIRError, match=r"embeddings of documents \(No space left.*--resume"):
            prepare(tmp_path / "p", options(tmp_path, embeddings=str(given)))
    prepared = prepare(tmp_path / "p", options(tmp_path, embeddings=str(given), resume=True))
    assert len(prepared.embeddings("documents") or ()) == len(DOCUMENTS)
