"""The same vectors, losses and gradients as sentence-transformers, folders read both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from sentence_transformers import SparseEncoder as Reference  # noqa: E402

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.losses import ranking, regularisers  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import TEXTS, save_byte_level_masked_lm, save_masked_lm, tokenizer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
NATIVE = [
    {"kind": "splade"},
    {"kind": "splade", "shared_towers": False, "pooling": "sum"},
    {"kind": "splade", "pooling": "sum", "activation": "double_log1p", "shared_towers": False},
    {"kind": "splade_doc"},
    {"kind": "inference_free", "activation": "double_log1p"},
    {"kind": "csr"},
    {"kind": "csr", "csr_normalise": True},
]
OWN = [{"kind": "inference_free", "lexical_residual": True}, {"kind": "unicoil"}, {"kind": "deepimpact"}]
WORDS = [text for text in TEXTS if text]  # an empty text is an empty row here; there its special tokens expand


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("bert"))


def both(ours: SparseEncoder) -> tuple[np.ndarray, np.ndarray]:
    return (
        ours.encode_documents(WORDS).to_scipy().toarray(),
        ours.encode_queries(WORDS).to_scipy().toarray(),
    )


def theirs(model: Reference) -> tuple[np.ndarray, np.ndarray]:
    return (
        model.encode_document(WORDS, convert_to_sparse_tensor=False).numpy(),
        model.encode_query(WORDS, convert_to_sparse_tensor=False).numpy(),
    )


@pytest.mark.parametrize("settings", NATIVE + OWN)
def test_our_folder_loads_there_and_comes_back(base: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    config = replace(ModelConfig(base=str(base), csr_k=4, max_document_length=64), **settings)
    ours = SparseEncoder.from_config(config)
    if ours.query_table is not None and settings["kind"] == "inference_free":
        ours.set_query_weights(np.linspace(0.1, 3, ours.num_terms, dtype=np.float32))
    ours.save(tmp_path / "ours")
    reference = Reference(str(tmp_path / "ours"), device="cpu", trust_remote_code=settings in OWN)
    for mine, other in zip(both(ours), theirs(reference), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    reference.save_pretrained(str(tmp_path / "back"))
    again = SparseEncoder.load(tmp_path / "back", device="cpu")
    for mine, other in zip(both(again), both(ours), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
@pytest.mark.parametrize("routed", [False, True])
def test_their_folder_loads_here(base: Path, tmp_path: Path, activation: str, routed: bool) -> None:
    """Made by sentence-transformers, specials not silenced: plain SPLADE, and a Router with idf."""
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SparseStaticEmbedding, SpladePooling

    document = [MLMTransformer(str(base)), SpladePooling("max", activation_function=activation)]
    if routed:
        weight = torch.linspace(0, 2, len(tokenizer()))
        weight[:5] = 0
        query = [SparseStaticEmbedding(tokenizer(), weight=weight, frozen=True)]
        modules = [Router.for_query_document(query_modules=query, document_modules=document)]
    else:
        modules = document
    reference = Reference(modules=modules, device="cpu")
    reference.save_pretrained(str(tmp_path))
    ours = SparseEncoder.load(tmp_path, device="cpu")
    assert ours.kind == ("inference_free" if routed else "splade")
    for mine, other in zip(both(ours), theirs(reference), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("kind", ["splade", "inference_free"])
def test_families_go_both_ways(tmp_path: Path, family: str, kind: str) -> None:
    """RoBERTa with its byte-level tokenizer and pad id 1: made here and read there, saved there and read here."""
    folder = tmp_path / "base"
    base = save_byte_level_masked_lm(folder) if family == "roberta" else save_masked_lm(folder, family)
    ours = SparseEncoder.from_config(ModelConfig(base=str(base), kind=kind, max_document_length=48))
    if kind == "inference_free":
        ours.set_query_weights(np.linspace(0.1, 3, ours.num_terms, dtype=np.float32))
    documents, queries = both(ours)
    assert not documents[:, list(ours.tokenizer.special_ids)].any()
    assert (documents > 0).any(1).all()
    ours.save(tmp_path / "ours")
    for mine, again in zip(
        (documents, queries), both(SparseEncoder.load(tmp_path / "ours", device="cpu")), strict=True
    ):
        np.testing.assert_array_equal(mine, again)
    reference = Reference(str(tmp_path / "ours"), device="cpu")
    for mine, other in zip((documents, queries), theirs(reference), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    reference.save_pretrained(str(tmp_path / "back"))
    for mine, again in zip(
        (documents, queries), both(SparseEncoder.load(tmp_path / "back", device="cpu")), strict=True
    ):
        np.testing.assert_allclose(mine, again, rtol=1e-6, atol=1e-6)


def test_idf_json_is_read(base: Path, tmp_path: Path) -> None:
    """The layout of published inference-free models: idf.json in place of a weight tensor."""
    ours = SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free"))
    ours.save(tmp_path)
    (tmp_path / "sparseir.json").unlink()
    static = tmp_path / "query_0_SparseStaticEmbedding"
    (static / "model.safetensors").unlink()
    (static / "config.json").write_text('{"frozen": true, "path": "idf.json"}')
    (static / "idf.json").write_text('{"cat": 2.5, "the": 0.25}')
    again = SparseEncoder.load(tmp_path, device="cpu")
    table = dict(zip(again.terms(), again.query_tower.table().tolist(), strict=True))
    assert {t: w for t, w in table.items() if w} == {"cat": 2.5, "the": 0.25}


def test_static_query_gradients(base: Path) -> None:
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    ours = SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free", trainable_idf=True))
    weight = torch.linspace(0.5, 2, ours.num_terms)
    ours.set_query_weights(weight.numpy())
    reference = SparseStaticEmbedding(tokenizer(), weight=weight.clone())
    features = reference.preprocess(WORDS)
    factors = torch.linspace(0, 1, ours.num_terms)
    (ours.query_tower(ours.tokenize_queries(WORDS)) * factors).sum().backward()
    (reference(features)["sentence_embedding"] * factors).sum().backward()
    torch.testing.assert_close(ours.query_tower.weight.grad, reference.weight.grad)


def test_splade_gradients(base: Path, tmp_path: Path) -> None:
    """Backward through our fused head and through theirs: the same gradient in every parameter."""
    ours = SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade"))
    ours.save(tmp_path)
    reference = Reference(str(tmp_path), device="cpu").train()  # in eval mode its pooling works in place
    for module in reference.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ours.document_tower(ours.tokenize_documents(WORDS)).square().sum().backward()
    features = reference.preprocess(WORDS)
    reference(features)["sentence_embedding"].square().sum().backward()
    mine = {n: p.grad for n, p in ours.document_tower.backbone.model.named_parameters()}
    for name, parameter in reference[0].named_parameters():
        grad = mine[name.removeprefix("model.").removeprefix("auto_model.")]
        torch.testing.assert_close(grad, parameter.grad, rtol=1e-3, atol=1e-4)


class StubBackbone(torch.nn.Module):
    """Given vectors in front of a decoder of its own."""

    def __init__(self, hidden: torch.Tensor, num_terms: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Parameter(hidden)
        self.decoder = torch.nn.Linear(hidden.shape[-1], num_terms)
        self.num_terms, self.hidden_size = num_terms, hidden.shape[-1]

    def forward(self, features: object) -> torch.Tensor:
        return self.hidden


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["log1p", "double_log1p"])
def test_pooling_and_gradients(pooling: str, activation: str) -> None:
    """From the logits of padded texts to weights, and back to the vectors and the projection."""
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    from sparseir.models.sentence.layout import ACTIVATIONS
    from sparseir.models.towers.masked_lm import MaskedLMTower

    generator = torch.Generator().manual_seed(4)
    mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    factors = torch.rand(2, 40, generator=generator)
    backbone = StubBackbone(torch.randn(2, 6, 8, generator=generator), 40)
    tower = MaskedLMTower(backbone, (), pooling=pooling, activation=activation)  # type: ignore[arg-type]
    theirs = SpladePooling(pooling, activation_function=ACTIVATIONS[activation]).train()
    results = []
    for which in (tower, theirs):
        backbone.zero_grad()
        if which is tower:
            weights = tower({"attention_mask": mask})
        else:
            logits = backbone.decoder(backbone.hidden)
            weights = theirs({"token_embeddings": logits, "attention_mask": mask})["sentence_embedding"]
        (weights * factors).sum().backward()
        results.append([weights.detach(), *(p.grad.clone() for p in backbone.parameters())])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_autoencoder_and_its_reconstructions() -> None:
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    from sparseir.models.towers.csr import SparseAutoencoder

    torch.manual_seed(5)
    ours = SparseAutoencoder(6, 24, k=2)
    theirs = SparseAutoEncoder(6, 24, k=2, k_aux=4).train()
    with torch.no_grad():
        for pre in (ours.pre_bias, ours.latent_bias):
            pre.normal_(std=0.1)
        theirs.encoder.weight.copy_(ours.encoder.weight)
        theirs.decoder.linear.weight.data = theirs.encoder.weight.data
        theirs.pre_bias.copy_(ours.pre_bias)
        theirs.latent_bias.copy_(ours.latent_bias)
    x = torch.randn(5, 6)
    codes, other = ours.codes(x), theirs({"sentence_embedding": x})
    torch.testing.assert_close(ours.encode(x), other["sentence_embedding"])
    torch.testing.assert_close(codes.at_k, other["decoded_embedding_k"])
    torch.testing.assert_close(codes.at_4k, other["decoded_embedding_4k"])


def test_losses_and_gradients() -> None:
    from sentence_transformers.sparse_encoder.losses import flops as their_flops

    generator = torch.Generator().manual_seed(3)
    query = torch.rand(4, 30, generator=generator)
    candidates = torch.rand(4, 3, 30, generator=generator)
    labels = torch.rand(4, 3, generator=generator)
    reference = Stub()

    def compare(mine: object, other: object) -> None:
        grads = []
        for function in (mine, other):
            q, c = query.clone().requires_grad_(), candidates.clone().requires_grad_()
            value = function(q, c)
            value.backward()
            grads.append((value.detach(), q.grad, c.grad))
        for a, b in zip(*grads, strict=True):
            if a is not None and b is not None:
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)

    from sentence_transformers.sparse_encoder.losses import (
        SparseDistillKLDivLoss,
        SparseMarginMSELoss,
        SparseMultipleNegativesRankingLoss,
    )

    def scores(q: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return torch.einsum("qv,qcv->qc", q, c)

    margin = SparseMarginMSELoss(reference)
    compare(
        lambda q, c: ranking.margin_mse(scores(q, c), labels),
        lambda q, c: margin.compute_loss_from_embeddings([q, *c.unbind(1)], labels[:, :1] - labels[:, 1:]),
    )
    kl = SparseDistillKLDivLoss(reference, temperature=2.0)
    compare(
        lambda q, c: ranking.kl_divergence(scores(q, c), labels, temperature=2.0),
        lambda q, c: kl.compute_loss_from_embeddings([q, *c.unbind(1)], labels),
    )
    nce = SparseMultipleNegativesRankingLoss(reference, scale=1.0)
    compare(
        lambda q, c: ranking.info_nce(q @ c.transpose(0, 1).flatten(0, 1).t()),
        lambda q, c: nce.compute_loss_from_embeddings([q, *c.unbind(1)], None),
    )
    flops = their_flops.FlopsLoss(reference)
    compare(
        lambda q, c: regularisers.flops(c.flatten(0, 1)),
        lambda q, c: flops.compute_loss_from_embeddings(c.flatten(0, 1)),
    )


class Stub(torch.nn.Module):
    """What the losses ask of a model when they are given embeddings."""

    similarity_fn_name = "dot"
