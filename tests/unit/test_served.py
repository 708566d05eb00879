"""How many terms texts have as they are encoded, and the bias that brings them to a target."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.served import ServedSample  # noqa: E402
from tests.tiny_collections import DOCUMENTS  # noqa: E402
from tests.unit.test_train import base, collection, recipe_of  # noqa: E402, F401

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def encoder_of(base: Path, collection: Path, **changes: object) -> SparseEncoder:  # noqa: F811
    torch.manual_seed(0)
    return SparseEncoder.from_config(recipe_of(base, collection, **changes).model)


@pytest.mark.parametrize("changes", [{}, {"model__lexical_residual": True}, {"model__pooling": "sum"}])
def test_a_sample_is_brought_to_the_target_as_it_is_encoded(
    base: Path,  # noqa: F811
    collection: Path,  # noqa: F811
    changes: dict[str, object],
) -> None:
    encoder = encoder_of(base, collection, **changes)
    sample = ServedSample(encoder, ["", *DOCUMENTS], size=100, seed=0)
    assert sorted(sample.texts) == sorted(DOCUMENTS)
    for target in (30.0, 12.0):
        fit = sample.fit_bias(target)
        assert fit is not None
        assert fit.after == pytest.approx(sample.active_dims(), abs=0.2)
        assert fit.after == pytest.approx(target, abs=0.2)  # one term of one of 8 texts is .125


def test_the_count_is_that_of_encoding_even_where_dropout_is_on(base: Path, collection: Path) -> None:  # noqa: F811
    """In float32 the fit counts exactly the terms that encoding gives, in whatever mode training left the network."""
    encoder = encoder_of(base, collection)
    sample = ServedSample(encoder, DOCUMENTS, size=100, seed=0)
    encoder.inference_tower = lambda tower, dtype: tower  # type: ignore[method-assign]  # float32 on every processor
    encoder.module.train()
    for target in (20.0, 9.0):
        fit = sample.fit_bias(target)
        assert fit is not None
        assert fit.after == encoder.encode_documents(DOCUMENTS).nnz / len(DOCUMENTS)
    assert all(module.training for module in encoder.module.modules())


def test_the_bias_of_special_tokens_stays(base: Path, collection: Path) -> None:  # noqa: F811
    encoder = encoder_of(base, collection)
    special = list(encoder.tokenizer.special_ids)
    before = encoder.document_tower.backbone.decoder.bias.detach().clone()
    fit = ServedSample(encoder, DOCUMENTS, size=100, seed=0).fit_bias(5.0)
    after = encoder.document_tower.backbone.decoder.bias.detach()
    assert fit is not None
    assert fit.shift < 0
    assert torch.equal(after[special], before[special])


def test_masks_of_the_largest_weights_count(base: Path, collection: Path) -> None:  # noqa: F811
    encoder = encoder_of(base, collection, model__top_k_document=7)
    assert ServedSample(encoder, DOCUMENTS, size=100, seed=0).active_dims() <= 7
    encoder = encoder_of(base, collection, model__top_k_document=3)
    assert ServedSample(encoder, DOCUMENTS, size=100, seed=0).active_dims() <= 3
    fit = ServedSample(encoder, DOCUMENTS, size=100, seed=0).fit_bias(2.0)
    assert fit is not None
    assert fit.before <= 3
    assert fit.after == pytest.approx(2.0, abs=0.3)


def test_a_tower_without_a_vocabulary_bias_is_left_alone(base: Path, collection: Path) -> None:  # noqa: F811
    assert (
        ServedSample(encoder_of(base, collection, model__kind="unicoil"), DOCUMENTS, size=9, seed=0).fit_bias(3.0)
        is None
    )


@pytest.mark.parametrize("fit", [True, False])
def test_a_run_says_what_its_target_came_to(base: Path, collection: Path, tmp_path: Path, fit: bool) -> None:  # noqa: F811
    recipe = recipe_of(base, collection, regulariser__target_active_dims=12.0, regulariser__fit_bias=fit)
    figures = train(recipe, tmp_path / "m").figures
    titled = [f"{text.split()[0]} {text}" for text in DOCUMENTS]
    served = SparseEncoder.load(tmp_path / "m", device="cpu").encode_documents(titled, dtype="native")
    assert ("bias_shift" in figures) == fit
    assert served.nnz / len(DOCUMENTS) == pytest.approx(figures["document_terms"], abs=0.15)
    if fit:
        assert figures["document_terms"] == pytest.approx(12, abs=0.2)
