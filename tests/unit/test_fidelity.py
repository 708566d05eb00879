"""What the code of the papers' authors computes, in cases worked out by hand or from their formulas written out again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.data import DataConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.data.stores.counts import StringCounts  # noqa: E402
from sparseir.errors import ConfigError  # noqa: E402
from sparseir.losses.csr import reconstruction  # noqa: E402
from sparseir.losses.ranking import info_nce, kl_divergence  # noqa: E402
from sparseir.losses.regularisers import flops, idf_flops  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.networks.dense import DenseEmbedder  # noqa: E402
from sparseir.models.towers.csr import SparseAutoencoder  # noqa: E402
from sparseir.models.towers.own_tokens import _first_occurrences  # noqa: E402
from sparseir.train.loop.objective import Objective  # noqa: E402
from sparseir.train.loop.trainer import parameter_groups, training_arguments  # noqa: E402
from sparseir.train.material import words  # noqa: E402
from sparseir.train.material.words import encoder_of_words  # noqa: E402
from sparseir.train.tasks.ranking import _candidates  # noqa: E402
from sparseir.train.tasks.ranking_batches import RankingBatch  # noqa: E402
from tests.tiny_collections import write_jsonl  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


def cross_entropy(positive: float, *others: float) -> float:
    return math.log(sum(math.exp(score) for score in (positive, *others))) - positive


@pytest.mark.parametrize("in_batch", [True, False, "positives", "negatives"])
def test_candidates_in_the_batch(in_batch: bool | str) -> None:
    """Documents p0 n0 m0 p1 n1 m1, two negatives a query. naver/splade: all positives and the query's own negatives;
    OpenSearch: the query's own positive and all negatives."""
    scores = torch.tensor([[1.0, 0.5, 0.1, 0.7, 0.2, 0.3], [0.4, 0.6, 0.9, 2.0, 1.5, 0.8]])
    known = torch.tensor([[True, False, False, False, False, False], [False, False, False, True, False, False]])
    teacher = scores.flip(1)
    batch = RankingBatch(0, ["a", "b"], list("pnmpnm"), known, teacher)
    expected = {
        True: ([0.5, 0.1, 0.7, 0.2, 0.3], [0.4, 0.6, 0.9, 1.5, 0.8]),
        False: ([0.5, 0.1], [1.5, 0.8]),
        "positives": ([0.5, 0.1, 0.7], [1.5, 0.8, 0.4]),
        "negatives": ([0.5, 0.1, 0.2, 0.3], [1.5, 0.8, 0.6, 0.9]),
    }[in_batch]
    given = scores if in_batch else torch.stack([scores[0, :3], scores[1, 3:]])
    if not in_batch:
        batch = replace(batch, teacher=torch.stack([teacher[0, :3], teacher[1, 3:]]))
    found = _candidates(given, batch, 3, in_batch=in_batch)
    want = (cross_entropy(1.0, *expected[0]) + cross_entropy(2.0, *expected[1])) / 2
    assert info_nce(found.scores, found.target).item() == pytest.approx(want, rel=1e-6)
    assert found.scores.gather(1, found.own).tolist() == [scores[0, :3].tolist(), scores[1, 3:].tolist()]
    assert found.known.sum(1).tolist() == [1, 1]
    assert found.known.gather(1, found.target[:, None]).all()
    # The teacher's scores stand at the same documents: 0.3 is 0.5 of p0's place in the flipped row.
    pairs = dict(zip(scores[0].tolist(), teacher[0].tolist(), strict=True))
    assert found.taught[0].tolist() == pytest.approx([pairs[score] for score in found.scores[0].tolist()])
    assert kl_divergence(found.scores, found.scores).item() == pytest.approx(0, abs=1e-6)


def test_two_forms_of_idf_flops_are_one_loss() -> None:
    """Binary queries with Σ (mean d / idf)², and idf queries with Σ (mean d')², where d' = d / idf."""
    generator = torch.Generator().manual_seed(0)
    idf = torch.rand(50, generator=generator) * 5 + 0.5
    weights = torch.rand(16, 50, generator=generator) * (torch.rand(16, 50, generator=generator) < 0.3)
    query = (torch.rand(50, generator=generator) < 0.1).float()
    assert idf_flops(weights, idf).item() == pytest.approx(flops(weights / idf).item(), rel=1e-5)
    torch.testing.assert_close(weights @ query, (weights / idf) @ (query * idf))
    model, penalty = ModelConfig(kind="inference_free"), replace(Recipe().regulariser, kind="idf_flops")
    with pytest.raises(ConfigError, match=r"take model\.kind splade_doc, or flops"):
        Recipe(model=model, regulariser=penalty)
    Recipe(model=ModelConfig(kind="splade_doc"), regulariser=penalty)


def test_auxiliary_error_of_csr_and_its_gradients() -> None:
    """loss(r + b, sg(x − x̂ + b)) / var(sg(x − x̂)) / 32, r from the dead latents; b, the centre, learns from it as well."""
    torch.manual_seed(0)
    model = SparseAutoencoder(6, 24, k=2, dead_after=0)
    with torch.no_grad():
        model.pre_bias.normal_()
    x = torch.randn(5, 6)
    codes = model.codes(x)
    assert codes.auxiliary is not None
    loss = reconstruction(codes.dense, codes.at_k, codes.at_4k, codes.auxiliary)
    gradients = torch.autograd.grad(loss, [model.encoder.weight, model.pre_bias, model.latent_bias])

    before = (x - model.pre_bias) @ model.encoder.weight.T + model.latent_bias

    def decoded(k: int) -> Any:
        best = before.topk(k, dim=1)
        return (
            torch.zeros_like(before).scatter(1, best.indices, best.values.relu()) @ model.encoder.weight
            + model.pre_bias
        )

    alive = (torch.zeros_like(before).scatter(1, before.topk(2, dim=1).indices, before.topk(2, dim=1).values) > 0).any(
        0
    )
    revived = before.masked_fill(alive, float("-inf")).relu() @ model.encoder.weight + model.pre_bias
    target = (x - decoded(2) + model.pre_bias).detach()
    variance = (target - target.mean(0)).square().mean()
    want = (x - decoded(2)).square().mean() + (x - decoded(8)).square().mean() / 8
    want = want + (revived - target).square().mean() / variance / 32
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
    expected = torch.autograd.grad(want, [model.encoder.weight, model.pre_bias, model.latent_bias])
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_codes_of_length_one_are_served_and_kept(base: Path, tmp_path: Path) -> None:
    config = ModelConfig(base=str(base), kind="csr", csr_k=4, max_document_length=32, csr_normalise=True)
    encoder = SparseEncoder.from_config(config)
    texts = ["the cats and dogs", "heat flow of a wing"]
    rows = encoder.encode_documents(texts).to_scipy().toarray()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert ((rows > 0).sum(1) <= 4).all()
    encoder.save(tmp_path / "m")
    again = SparseEncoder.load(tmp_path / "m", device="cpu")
    np.testing.assert_array_equal(again.encode_documents(texts).to_scipy().toarray(), rows)
    assert again.fingerprint == encoder.fingerprint
    assert config.identity()["csr_normalise"] is True
    assert "csr_normalise" not in replace(config, csr_normalise=False).identity()
    (tmp_path / "m" / "sparseir.json").unlink()  # as another library reads it
    foreign = SparseEncoder.load(tmp_path / "m", device="cpu")
    assert foreign.config.csr_normalise
    np.testing.assert_allclose(foreign.encode_documents(texts).to_scipy().toarray(), rows, rtol=1e-5)


def test_the_optimiser_is_that_of_the_recipe(base: Path, tmp_path: Path) -> None:
    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind="csr", csr_k=4))
    train = replace(Recipe().train, weight_decay=0.0, adam_epsilon=6.25e-10, max_grad_norm=None, device="cpu")
    recipe = replace(Recipe(), model=encoder.config, train=train)
    groups = parameter_groups(Objective(encoder, recipe, None), train)
    assert {group["weight_decay"] for group in groups} == {0.0}
    assert training_arguments(train, tmp_path).max_grad_norm == 0
    assert training_arguments(replace(train, max_grad_norm=2.5), tmp_path).max_grad_norm == 2.5


@pytest.mark.parametrize("shared", [True, False])
def test_unicoil_sums_the_occurrences_of_a_query_term(base: Path, tmp_path: Path, shared: bool) -> None:
    """'cats dogs cats': two of three tokens are one term. A document takes the larger of the two, a query both."""
    config = ModelConfig(base=str(base), kind="unicoil", max_document_length=32, shared_towers=shared)
    encoder = SparseEncoder.from_config(config)
    text, tower = "cats dogs cats", encoder.query_tower
    features = encoder.tokenize_queries([text])
    with torch.no_grad():
        each = torch.relu(tower.importance(tower.context(features))).flatten().tolist()
        (trained,) = tower(features)
    cats, dogs = features["input_ids"][0, 1:3].tolist()
    assert trained[cats].item() == pytest.approx(each[1] + each[3], rel=1e-5)
    assert trained[dogs].item() == pytest.approx(each[2], rel=1e-5)

    def weights(encoder: SparseEncoder, *, query: bool) -> dict[int, float]:
        terms, values = (encoder.encode_queries if query else encoder.encode_documents)([text]).row(0)
        return dict(zip(terms.tolist(), values.tolist(), strict=True))

    served = weights(encoder, query=True)
    assert served == pytest.approx({cats: each[1] + each[3], dogs: each[2]}, rel=1e-5)
    assert weights(encoder, query=False) == pytest.approx({cats: max(each[1], each[3]), dogs: each[2]}, rel=1e-5)
    assert (encoder.document_tower.context is tower.context) == shared
    encoder.save(tmp_path / "m")
    again = SparseEncoder.load(tmp_path / "m", device="cpu")
    assert weights(again, query=True) == pytest.approx(served, rel=1e-6)
    assert again.fingerprint == encoder.fingerprint
    assert (again.document_tower.context is again.query_tower.context) == shared
    assert (tmp_path / "m" / "query_0_TowerModule" / "model.safetensors").exists() != shared


def test_words_of_deep_impact_are_those_of_the_collection(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole words of the texts, whatever pieces the base has of them, most frequent first; all of them weigh something."""
    rows = ["zeppelin and cats", "zeppelin cats cats quokka", "zeppelin wing"]
    write_jsonl(tmp_path / "corpus.jsonl", [{"_id": str(i), "text": text} for i, text in enumerate(rows)])
    (tmp_path / "triples.tsv").write_text("a question\tthe quokka wing\tcats\n")
    recipe = replace(
        Recipe(),
        model=ModelConfig(base=str(base), kind="deepimpact", word_vocabulary=4, max_document_length=32),
        data=DataConfig(dataset=str(tmp_path / "corpus.jsonl"), triples=str(tmp_path / "triples.tsv")),
    )
    encoder = encoder_of_words(recipe)
    assert encoder.terms() == ["cats", "zeppelin", "quokka", "wing", "[UNK]"]
    monkeypatch.setattr(words, "StringCounts", partial(StringCounts, 2))  # counted on disk
    assert encoder_of_words(recipe).terms() == encoder.terms()
    weights = encoder.encode_documents(["zeppelin quokka wing cats"]).to_scipy().toarray()[0]
    assert (weights > 0).tolist() == [True, True, True, True, False]
    assert encoder.encode_queries(["quokka of a question"]).to_scipy().toarray()[0].tolist() == [0, 0, 1, 0, 0]
    encoder.save(tmp_path / "m")
    assert SparseEncoder.load(tmp_path / "m", device="cpu").terms() == encoder.terms()
    with pytest.raises(ConfigError, match="word_vocabulary: belongs to deepimpact and deepct"):
        ModelConfig(kind="splade", word_vocabulary=4)


def test_a_word_weighs_what_its_first_occurrence_says() -> None:
    ids = torch.tensor([[5, 7, 5, 9, 7, 5], [3, 3, 3, 1, 2, 1]])
    assert _first_occurrences(ids).tolist() == [[1, 1, 0, 1, 0, 0], [1, 0, 0, 1, 1, 0]]


@pytest.mark.parametrize(("pooling", "normalise"), [("cls", True), ("mean", False)])
def test_a_dense_model_embeds_as_its_folder_says(base: Path, tmp_path: Path, pooling: str, normalise: bool) -> None:
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    folder = tmp_path / "dense"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    names = ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    modules = [{"type": f"x.{name}", "path": "" if name == "Transformer" else name} for name in names]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "Pooling").mkdir()
    stated = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    (folder / "Pooling" / "config.json").write_text(json.dumps(stated | {"word_embedding_dimension": 8}))
    prompts = {"prompts": {"query": "what is ", "passage": "the "}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))

    def vector(text: str) -> Any:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        pooled = states[0] if pooling == "cls" else states.mean(0)
        return pooled / pooled.norm() if normalise else pooled

    embedder = DenseEmbedder(folder)
    np.testing.assert_allclose(embedder.embed(["heat"], query=True)[0], vector("what is heat"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(["heat"])[0], vector("the heat"), rtol=1e-4, atol=1e-5)
    (folder / "modules.json").write_text(json.dumps([*modules, {"type": "x.Dense", "path": "Dense"}]))
    with pytest.raises(ConfigError, match="go through Dense, which is not read here"):
        DenseEmbedder(folder)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ConfigError, match="pooling max_tokens; expected mean or the first token"):
        DenseEmbedder(folder)
