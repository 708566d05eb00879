"""CSR as one model of many widths, from texts and from embeddings made elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer import SparseVectors  # noqa: E402
from indexer.interchange.sources import open_vectors  # noqa: E402
from sparseir.cli.app import run_command  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe, load_recipe  # noqa: E402
from sparseir.data import open_dataset  # noqa: E402
from sparseir.data.embeddings import Embeddings  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.evaluate.judged import JudgedCollection  # noqa: E402
from sparseir.evaluate.widths import evaluate_widths  # noqa: E402
from sparseir.losses.csr import reconstruction  # noqa: E402
from sparseir.losses.ranking import info_nce  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.codes import DenseCodes  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.material.collection import TrainingSet  # noqa: E402
from sparseir.train.material.dense_texts import DenseTexts  # noqa: E402
from sparseir.train.tasks.codes import CodeRanking  # noqa: E402
from sparseir.train.tasks.ranking_batches import RankingBatch  # noqa: E402
from tests.tiny_collections import DOCUMENTS, QUERIES, write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

CSR = Path(__file__).parents[2] / "configs" / "csr.yaml"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def encoder(base: Path) -> SparseEncoder:
    torch.manual_seed(0)
    return SparseEncoder.from_config(
        ModelConfig(base=str(base), kind="csr", csr_k=4, csr_normalise=True, max_document_length=32)
    )


def save_embeddings(path: Path, rows: np.ndarray, names: list[str]) -> Path:
    np.save(path, rows)
    path.with_suffix(".ids").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1, 3, 4, 9])
def test_one_model_is_read_at_any_width(encoder: SparseEncoder, width: int) -> None:
    """More latents than in training as well as fewer, each width of length 1: not a row cut down after it was scaled."""
    rows = encoder.encode_documents(DOCUMENTS, max_active_dims=width).to_scipy().toarray()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    tower = encoder.document_tower
    with torch.no_grad():
        before = tower.autoencoder.pre_activations(tower.dense(encoder.tokenize_documents(DOCUMENTS)))
    best = before.topk(width, dim=1)
    wanted = torch.zeros_like(before).scatter(1, best.indices, best.values.relu())
    np.testing.assert_allclose(rows, torch.nn.functional.normalize(wanted, dim=1).numpy(), rtol=1e-4, atol=1e-6)
    assert (rows > 0).sum(1).max() == width
    queries = encoder.encode_queries(DOCUMENTS, max_active_dims=width).to_scipy().toarray()
    np.testing.assert_allclose(queries, rows, rtol=1e-4, atol=1e-6)


def test_the_halves_of_an_encoder_are_the_whole(encoder: SparseEncoder) -> None:
    codes = DenseCodes(encoder)
    texts = [*DOCUMENTS, " "]
    dense = codes.embed(texts)
    assert dense.shape == (len(texts), codes.dimensions)
    whole = encoder.encode_documents(texts, max_active_dims=6)
    halves = codes.encode(dense, max_active_dims=6, batch_size=3)
    np.testing.assert_allclose(halves.to_scipy().toarray(), whole.to_scipy().toarray(), rtol=1e-4, atol=1e-6)
    assert len(halves.row(len(texts) - 1)[0]) == 0  # a text without content
    # The base gives vectors of length 1, so embeddings of another length are brought to it.
    longer = codes.encode(7.0 * dense, max_active_dims=6)
    np.testing.assert_allclose(longer.to_scipy().toarray(), halves.to_scipy().toarray(), rtol=1e-4, atol=1e-6)
    with pytest.raises(DataError, match="expected rows of"):
        codes.encode(dense[:, 1:])
    other = SparseEncoder.from_config(replace(encoder.config, kind="unicoil", csr_normalise=False))
    with pytest.raises(ConfigError, match="made by a csr encoder; this one is unicoil"):
        DenseCodes(other)


def test_faults_of_embeddings_are_named(tmp_path: Path) -> None:
    rows = np.ones((3, 4), np.float16)
    path = save_embeddings(tmp_path / "e.npy", rows, ["a", "b", "c"])
    given = Embeddings.open(path)
    assert (given.at["b"], given.dimensions) == (1, 4)
    given.check(4)
    with pytest.raises(DataError, match="have 4 dimensions, and the model takes 5"):
        given.check(5)
    rows[2, 1] = np.inf
    np.save(path, rows)
    with pytest.raises(DataError, match="row 2 \\('c'\\) holds a number that is not finite"):
        Embeddings.open(path).check(4)
    for names, said in (
        ("a\nb\n", "holds 2 names for the 3 rows"),
        ("a\nb\na\n", "e.ids:3: 'a' is the name of row 1 already"),
        ("a\n\nc\n", "e.ids:2: an empty name"),
    ):
        (tmp_path / "e.ids").write_text(names)
        with pytest.raises(DataError, match=said):
            Embeddings.open(path)
    (tmp_path / "e.ids").unlink()
    with pytest.raises(DataError, match=r"the names of the rows of .* are missing"):
        Embeddings.open(path)
    for wrong, said in ((np.ones((2, 2), np.int64), "int64"), (np.ones(3), "float64 \\(3,\\)")):
        np.save(path, wrong)
        with pytest.raises(DataError, match=f"expected a matrix of floats, one row an embedding, found {said}"):
            Embeddings.open(path)
    np.savez(tmp_path / "e.npz", rows=rows)
    with pytest.raises(DataError, match="an archive of several"):
        Embeddings.open(tmp_path / "e.npz")
    path.write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(DataError, match="is no matrix that"):
        Embeddings.open(path)
    with pytest.raises(DataError, match="no such file of embeddings"):
        Embeddings.open(tmp_path / "absent.npy")


def csr_recipe(base: Path, collection: Path, *more: str) -> Recipe:
    values = {
        "model.base": str(base), "model.csr_k": 4, "model.max_document_length": 32, "data.max_document_length": 32,
        "data.dataset": str(collection), "train.steps": 3, "train.batch_size": 4, "train.device": "cpu",
        "train.learning_rate": 1e-2, "train.bf16": False,
    }  # fmt: skip
    return load_recipe(CSR, [*(f"{key}={json.dumps(value)}" for key, value in values.items()), *more])


def test_budgets_are_the_mean_of_their_losses(encoder: SparseEncoder, base: Path, tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "c")
    recipe = csr_recipe(base, collection, "loss.csr_budgets=[2, 6]", "loss.temperature=1.0")
    training = TrainingSet.read(recipe.data)
    objective = CodeRanking(encoder, recipe, None, DenseTexts(encoder, recipe.data, training, bf16=False))
    queries, documents = [text for _, text, _ in QUERIES], [DOCUMENTS[d] for _, _, d in QUERIES]
    loss = objective(RankingBatch(0, queries, documents, torch.eye(4, dtype=torch.bool), None))
    codes, tower = DenseCodes(encoder), encoder.document_tower
    sides = [torch.from_numpy(codes.embed(texts, query=not i)) for i, texts in enumerate((queries, documents))]
    with torch.no_grad():
        ranking = [
            info_nce(tower.of_dense(sides[0], width) @ tower.of_dense(sides[1], width).T).item() for width in (2, 6)
        ]
        errors = []
        for x in sides:
            at = {width: tower.autoencoder.decode(tower.autoencoder.encode(x, width)) for width in (2, 4, 6, 16)}
            errors.append(reconstruction(x, at[4], at[16], None, (at[2], at[6])).item())
            by_hand = ((x - at[2]).square().mean() + (x - at[6]).square().mean()) / 2 + (x - at[16]).square().mean() / 8
            assert errors[-1] == pytest.approx(by_hand.item(), rel=1e-5)
    assert loss.item() == pytest.approx(0.1 * sum(ranking) / 2 + sum(errors) / 2, rel=1e-4)
    assert objective.figures["info_nce"] == pytest.approx(0.1 * sum(ranking) / 2, rel=1e-4)


def test_a_text_goes_through_the_network_once(encoder: SparseEncoder, base: Path, tmp_path: Path) -> None:
    recipe = csr_recipe(base, write_collection(tmp_path / "c"))
    dense = DenseTexts(encoder, recipe.data, TrainingSet.read(recipe.data), bf16=False)
    passes: list[int] = []
    handle = encoder.document_tower.dense.register_forward_hook(lambda *_: passes.append(1))
    try:
        first = dense(DOCUMENTS[:3], query=False, max_length=32)
        count = len(passes)
        again = dense([DOCUMENTS[2], DOCUMENTS[0]], query=False, max_length=32)
        assert len(passes) == count > 0
        dense(DOCUMENTS[:1], query=True, max_length=32)  # a query may be embedded in another way
        assert len(passes) == count + 1
    finally:
        handle.remove()
    assert torch.equal(again, first[[2, 0]])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_embeddings_of_files_train_the_model_that_texts_train(
    base: Path, encoder: SparseEncoder, tmp_path: Path
) -> None:
    collection = write_collection(tmp_path / "c")
    dataset, codes = open_dataset(str(collection)), DenseCodes(encoder)
    documents = list(dataset.corpus())
    docs = save_embeddings(
        tmp_path / "docs.npy", codes.embed([d.content for d in documents]), [d.docno for d in documents]
    )
    asked = save_embeddings(
        tmp_path / "queries.npy", codes.embed([text for _, text, _ in QUERIES], query=True), [q for q, _, _ in QUERIES]
    )
    train(csr_recipe(base, collection), tmp_path / "texts")
    files = [f"data.embeddings={docs}", f"data.query_embeddings={asked}"]
    train(csr_recipe(base, collection, *files), tmp_path / "files")
    models = [SparseEncoder.load(tmp_path / name, device="cpu") for name in ("texts", "files")]
    weights = [m.document_tower.autoencoder.encoder.weight for m in models]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weights[0], encoder.document_tower.autoencoder.encoder.weight, atol=1e-3)
    save_embeddings(docs, np.load(docs)[:-1], [d.docno for d in documents][:-1])
    with pytest.raises(DataError, match="holds no embedding of document 'd7', which training reads"):
        train(csr_recipe(base, collection, *files), tmp_path / "short")
    with pytest.raises(ConfigError, match=r"data\.embeddings: belongs to csr, not to unicoil"):
        train(csr_recipe(base, collection, *files, "model.kind=unicoil", "loss.reconstruction=0.0"), tmp_path / "other")


def test_embeddings_are_encoded_from_the_command_line(
    encoder: SparseEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder.save(tmp_path / "model")
    dense = DenseCodes(encoder).embed(DOCUMENTS)
    save_embeddings(tmp_path / "docs.npy", dense, [f"d{i}" for i in range(len(DOCUMENTS))])
    command = ["encode", str(tmp_path / "model"), str(tmp_path / "docs.npy"), "--output", str(tmp_path / "v.npz")]
    assert run_command([*command, "--max-active-dims", "6"]) == 0
    (batch,) = open_vectors(tmp_path / "v.npz", num_terms=encoder.num_terms)
    assert batch.docnos == [f"d{i}" for i in range(len(DOCUMENTS))]
    wanted = encoder.encode_documents(DOCUMENTS, max_active_dims=6).to_scipy().toarray()
    np.testing.assert_allclose(batch.vectors.to_scipy().toarray(), wanted, rtol=1e-4, atol=1e-6)
    capsys.readouterr()
    assert run_command([*command, "--overwrite", "--shard", "1/2"]) == 2
    assert "--shard is for texts" in capsys.readouterr().err
    (tmp_path / "other.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="holds 2 names for the 8 rows"):
        run_command([*command, "--overwrite", "--ids", str(tmp_path / "other.txt")])


def test_the_table_of_widths(encoder: SparseEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ir_measures")
    collection = write_collection(tmp_path / "c", ("test",))
    rows = evaluate_widths(encoder, JudgedCollection.read(open_dataset(str(collection)), "test"), widths=(2, 4))
    systems = [row.system for row in rows]
    assert systems == [
        "dense", "csr, 2 latents", "csr, 4 latents", "first 2 dimensions", "first 4 dimensions",
        "PCA, 2 dimensions", "PCA, 4 dimensions",
    ]  # fmt: skip
    size = DenseCodes(encoder).dimensions
    assert [row.document_terms for row in rows] == [size, 2, 4, 2, 4, 2, 4]
    assert [row.index_bytes for row in rows if not row.system.startswith("csr")] == [
        4 * len(DOCUMENTS) * n for n in (size, 2, 4, 2, 4)
    ]
    # By hand: cosines of the first two dimensions, then nDCG@10 of one positive, 1 / log2(1 + rank).
    dataset, codes = open_dataset(str(collection)), DenseCodes(encoder)
    short = [
        (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))(codes.embed(texts, query=query)[:, :2])
        for texts, query in (([d.content for d in dataset.corpus()], False), ([t for _, t, _ in QUERIES], True))
    ]
    ranks = [
        int((row > row[positive]).sum()) + 1
        for row, (_, _, positive) in zip(short[1] @ short[0].T, QUERIES, strict=True)
    ]
    assert rows[3].measures["nDCG@10"] == pytest.approx(np.mean([1 / np.log2(1 + rank) for rank in ranks]))
    encoder.save(tmp_path / "model")
    command = ["model", "widths", str(tmp_path / "model"), str(collection), "--json", "--quiet"]
    assert run_command([*command, "--widths", "2,4"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["system"] for row in printed] == systems
    assert [row["measures"] for row in printed] == [row.measures for row in rows]
    names = [d.docno for d in dataset.corpus()]
    docs = save_embeddings(tmp_path / "docs.npy", codes.embed([d.content for d in dataset.corpus()])[::-1], names[::-1])
    assert run_command([*command, "--widths", "2,4", "--embeddings", str(docs)]) == 0
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["measures"] for row in again] == [row.measures for row in rows]
    save_embeddings(docs, np.load(docs)[1:], names[::-1][1:])
    with pytest.raises(DataError, match="holds no embedding of 'd7'"):
        run_command([*command, "--embeddings", str(docs)])
    assert run_command([*command, "--widths", "2,x"]) == 2
    assert run_command([*command, "--widths", "0"]) == 2


def test_sub_uniformity_by_hand() -> None:
    """p = (1, ½, 0, ½): (1 + ¼ + ¼) / (4 · ½²) = 1.5; equal shares are 1."""
    from sparseir.encode.activity import Activity

    activity = Activity()
    assert activity.sub_uniformity == 0
    activity.add(SparseVectors.from_rows([{0: 1.0, 1: 2.0}, {0: 3.0, 3: 1.0}], 4))
    assert activity.sub_uniformity == pytest.approx(1.5)
    activity.add(SparseVectors.from_rows([{1: 1.0, 2: 1.0, 3: 1.0}, {2: 1.0}], 4))
    assert activity.sub_uniformity == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_flops_alone_makes_embeddings_sparse(base: Path, tmp_path: Path) -> None:
    """The experiment's command on a tiny collection: a larger λ leaves fewer weights, none leaves about half."""
    from argparse import Namespace

    from bench.training.flops_embeddings import measure, table

    collection = write_collection(tmp_path / "c", ("train", "test"))
    tiny = [f"model.base={base}", "model.max_document_length=32", "data.max_document_length=32", "train.batch_size=4"]
    options = Namespace(
        data=str(collection), embeddings=None, query_embeddings=None, work=tmp_path, steps=12, lambdas="0,30",
        set=[*tiny, "train.device=cpu", "train.bf16=false", "train.learning_rate=0.02"],
    )  # fmt: skip
    dense, *rows = measure(options)
    assert (dense["lambda"], dense["speedup"], dense["flops"]) == (None, 1, dense["document_terms"])
    assert [row["lambda"] for row in rows] == [0, 30]
    assert all(row["speedup"] == pytest.approx(dense["flops"] / row["flops"]) for row in rows if row["flops"])
    assert rows[1]["document_terms"] < 0.7 * rows[0]["document_terms"]
    assert rows[1]["flops"] < rows[0]["flops"]
    assert all(row["r_sub"] >= 1 and 0 <= row["dense_hits"] <= 1 for row in rows)
    assert table([dense, *rows]).count("\n") == 4


def test_one_index_and_its_queries_at_a_width(
    encoder: SparseEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`index build` and `search` at 2 latents score as the codes of that width do."""
    encoder.save(tmp_path / "model")
    collection = write_collection(tmp_path / "c")
    given = ["--model", str(tmp_path / "model"), "--max-active-dims", "2"]
    build = [
        "index",
        "build",
        str(tmp_path / "index"),
        *given,
        "--corpus",
        str(collection),
        "--set",
        "stored_weights=f32",
    ]
    assert run_command([*build, "--quiet"]) == 0
    capsys.readouterr()
    query = "blood cell and dogs"
    assert run_command(["search", str(tmp_path / "index"), query, *given, "--json", "--engine", "exact_float"]) == 0
    found = {row["docno"]: row["score"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    contents = [d.content for d in open_dataset(str(collection)).corpus()]
    # As a build encodes: of random weights, another latent may be the second largest in bfloat16.
    rows = encoder.encode_documents(contents, max_active_dims=2, dtype="native").to_scipy()
    scores = (rows @ encoder.encode_queries([query], max_active_dims=2).to_scipy().T).toarray().ravel()
    wanted = {f"d{i}": score for i, score in enumerate(scores) if score > 0}
    assert found == pytest.approx(wanted, rel=2e-2)
    assert run_command(["search", str(tmp_path / "index"), query, "--max-active-dims", "2"]) == 2
