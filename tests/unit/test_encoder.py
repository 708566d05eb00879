"""SparseEncoder on tiny random models: values, folders, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.sources import resolve_source  # noqa: E402
from tests.tiny_models import SPECIALS, TEXTS, WORDS, save_byte_level_masked_lm, save_masked_lm  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("bert"))


def config_for(base: Path, **settings: object) -> ModelConfig:
    return replace(ModelConfig(base=str(base), kind="splade", max_document_length=32), **settings)


def dense(vectors: object) -> np.ndarray:
    return vectors.to_scipy().toarray()


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_masked_lm_weights_equal_the_formula(tmp_path: Path, family: str, pooling: str) -> None:
    from transformers import AutoModelForMaskedLM

    folder = save_masked_lm(tmp_path / family, family)
    encoder = SparseEncoder.from_config(config_for(folder, pooling=pooling))
    got = dense(encoder.encode_documents(TEXTS, batch_size=2))
    model = AutoModelForMaskedLM.from_pretrained(str(folder)).eval()
    for text, row in zip(TEXTS, got, strict=True):
        if not text:
            assert not row.any()
            continue
        with torch.no_grad():
            features = encoder.tokenize_documents([text])
            weights = torch.log1p(torch.relu(model(**features).logits[0]))
        want = (weights.amax(0) if pooling == "max" else weights.sum(0)).numpy()
        want[: len(SPECIALS)] = 0
        np.testing.assert_allclose(row, want, rtol=1e-4, atol=1e-5)


def test_byte_level_tokens_and_a_pad_id_other_than_zero(tmp_path: Path) -> None:
    """RoBERTa: <pad> is 1, so 0 (<s>) must not stand for padding; weights of a text do not depend on its batch."""
    from transformers import AutoModelForMaskedLM

    folder = save_byte_level_masked_lm(tmp_path / "roberta")
    encoder = SparseEncoder.from_config(config_for(folder))
    assert encoder.tokenizer.special_ids == (0, 1, 2, 3, 4)
    features = encoder.tokenize_documents(TEXTS[:4])
    assert (features["input_ids"][features["attention_mask"] == 0] == 1).all()
    model = AutoModelForMaskedLM.from_pretrained(str(folder)).eval()
    got = dense(encoder.encode_documents(TEXTS, batch_size=6))
    for text, row in zip(TEXTS, got, strict=True):
        with torch.no_grad():
            logits = model(**encoder.tokenize_documents([text])).logits[0]
        want = torch.log1p(torch.relu(logits)).amax(0).numpy() * bool(text)
        want[:5] = 0
        np.testing.assert_allclose(row, want, rtol=1e-4, atol=1e-5)
    looked_up = SparseEncoder.from_config(config_for(folder, kind="inference_free"))
    table = looked_up.query_table
    assert table is not None
    np.testing.assert_array_equal(dense(table.encode_batch(TEXTS)), dense(looked_up.encode_queries(TEXTS)))
    assert {looked_up.terms()[t] for t in table.encode("cat cat")[0]} == {"cat", "Ġcat"}


@pytest.mark.parametrize("family", ["distilbert", "roberta", "modernbert"])
def test_families_learn_in_chunks_as_in_one_piece(tmp_path: Path, family: str) -> None:
    from sparseir.train.encoding import BatchEncoder

    folder = tmp_path / family
    base = save_byte_level_masked_lm(folder) if family == "roberta" else save_masked_lm(folder, family)
    encoder = SparseEncoder.from_config(config_for(base))
    gradients = []
    for chunk_size in (0, 2):
        encoder.module.zero_grad()
        encode = BatchEncoder(encoder.tokenizer, chunk_size=chunk_size, bf16=False)
        encode(encoder.document_tower, TEXTS, 32).square().sum().backward()
        gradients.append([p.grad.clone() for p in encoder.module.parameters() if p.grad is not None])
    for whole, chunked in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=1e-3, atol=1e-3)


def test_a_tokenizer_of_another_model_is_refused_or_told(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from sparseir.models.tokenize import TextTokenizer
    from tests.tiny_models import tokenizer

    folder = tmp_path / "mixed"
    save_masked_lm(folder)
    larger = tokenizer()
    larger.add_tokens(["elephant", "giraffe"])
    larger.save_pretrained(str(folder))
    with pytest.raises(ConfigError, match=r"tokenizer does not match the model: it has 43 tokens, the model scores 41"):
        SparseEncoder.from_config(config_for(folder))
    assert not caplog.records
    TextTokenizer(tokenizer(), 30522)
    assert "may not match the model: it has 41 tokens, the model scores 30522" in caplog.text


def test_encoding_leaves_every_part_in_the_mode_it_had(base: Path) -> None:
    encoder = SparseEncoder.from_config(config_for(base))
    modes = [part.training for part in encoder.module.modules()]
    assert set(modes) == {True, False}  # the towers are made for training, the network comes for evaluation
    encoder.encode_documents(TEXTS)
    assert [part.training for part in encoder.module.modules()] == modes


def test_double_log_and_top_k(base: Path) -> None:
    plain = dense(SparseEncoder.from_config(config_for(base)).encode_documents(TEXTS))
    double = dense(SparseEncoder.from_config(config_for(base, activation="double_log1p")).encode_documents(TEXTS))
    np.testing.assert_allclose(double, np.log1p(plain), rtol=1e-5)
    masked = SparseEncoder.from_config(config_for(base, top_k_document=3)).encode_documents(TEXTS)
    limited = SparseEncoder.from_config(config_for(base)).encode_documents(TEXTS, max_active_dims=3)
    assert np.diff(masked.indptr).max() == 3
    np.testing.assert_array_equal(dense(masked), dense(limited))


def test_sampled_terms_are_not_cut_to_the_largest(base: Path) -> None:
    encoder = SparseEncoder.from_config(config_for(base, top_k_document=3))
    features = encoder.tokenize_documents(TEXTS[:2])
    tower = encoder.document_tower
    whole = SparseEncoder.from_config(config_for(base)).document_tower(features)
    assert (tower(features) > 0).sum(1).max() == 3
    some = torch.arange(5, 35)
    assert (whole[:, some] > 0).sum(1).max() > 3
    torch.testing.assert_close(tower(features, some), whole[:, some])


def test_batching_order_and_padding_change_nothing(base: Path) -> None:
    encoder = SparseEncoder.from_config(config_for(base))
    one = dense(encoder.encode_documents(TEXTS, batch_size=1))
    np.testing.assert_allclose(dense(encoder.encode_documents(TEXTS, batch_size=6)), one, rtol=1e-4, atol=1e-6)
    half = dense(encoder.encode_documents(TEXTS, dtype="bfloat16"))
    np.testing.assert_allclose(half, one, rtol=0.1, atol=0.1)


def test_a_forward_pass_on_a_cpu_sees_limited_tokens(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseir.models import inference

    encoder = SparseEncoder.from_config(config_for(base))
    whole = dense(encoder.encode_documents(TEXTS))
    monkeypatch.setattr(inference, "_CPU_TOKENS", 20)
    done: list[int] = []
    limited = encoder.encode_documents(TEXTS, progress=lambda finished, of: done.append(finished))
    np.testing.assert_allclose(dense(limited), whole, rtol=1e-4, atol=1e-5)
    assert done[-1] == sum(bool(text) for text in TEXTS)
    assert len(done) > 2


def test_batches_come_in_few_lengths(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiples of 8, 16 and 32, but never beyond what the network reads."""
    from sparseir.models.networks.lengths import padded_length

    assert [padded_length(n) for n in (1, 8, 64, 65, 256, 257, 500)] == [8, 8, 64, 80, 256, 288, 512]
    encoder = SparseEncoder.from_config(replace(config_for(base), max_document_length=13))
    widths, pad = set(), encoder.tokenizer.pad

    def watched(rows: list[list[int]], length: int) -> dict[str, torch.Tensor]:
        features = pad(rows, length)
        widths.add(features["input_ids"].shape[1])
        return features

    monkeypatch.setattr(encoder.tokenizer, "pad", watched)
    encoder.encode_documents(["cat", "cats in the park", "cats " * 30], batch_size=1)
    assert widths == {8, 13}


def test_static_queries_count_presence_once(base: Path) -> None:
    encoder = SparseEncoder.from_config(config_for(base, kind="inference_free", trainable_idf=True))
    idf = np.linspace(0.5, 2, encoder.num_terms, dtype=np.float32)
    encoder.set_query_weights(idf)
    text = "cat cat the cat?"
    got = dense(encoder.encode_queries([text, ""]))
    names = encoder.terms()
    assert {names[i] for i in np.flatnonzero(got[0])} == {"cat", "the", "?"}
    np.testing.assert_allclose(got[0][got[0] > 0], idf[got[0] > 0])
    assert not got[1].any()
    table = encoder.query_table
    assert table is not None
    np.testing.assert_array_equal(dense(table.encode_batch([text, ""])), got)
    encoder.query_tower(encoder.tokenize_queries([text])).sum().backward()
    assert int((encoder.query_tower.weight.grad > 0).sum()) == 3
    with pytest.raises(DataError, match="finite numbers"):
        encoder.set_query_weights(idf[:-1])


def test_lexical_residual_adds_its_saturated_start_to_own_tokens(base: Path) -> None:
    """the cats and dogs running in the park: 8 pieces, `the` twice, the others once; start ½, k1 .9, b .4, L 128.

    A token adds ½ + softplus(−1.5) = .7014133; k1·(1 − b + b·8/128) = .9·.625 = .5625; once: ·1.9/1.5625 = .8529186;
    twice: ·3.8/2.5625 = 1.0401446.
    """
    without = SparseEncoder.from_config(config_for(base, kind="inference_free"))
    with_it = SparseEncoder.from_config(config_for(base, kind="inference_free", lexical_residual=True))
    difference = dense(with_it.encode_documents(TEXTS[:1])) - dense(without.encode_documents(TEXTS[:1]))
    own = {WORDS.index(w) + len(SPECIALS) for w in TEXTS[0].split()}
    the = WORDS.index("the") + len(SPECIALS)
    np.testing.assert_allclose(difference[0, the], 1.0401446, rtol=1e-5)
    np.testing.assert_allclose(difference[0, sorted(own - {the})], 0.8529186, rtol=1e-5)
    assert set(np.flatnonzero(np.abs(difference[0]) > 1e-6)) == own


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shared_towers": False},
        {"kind": "splade_doc"},
        {"kind": "inference_free", "activation": "double_log1p", "lexical_residual": True},
    ],
)
def test_folder_round_trip(base: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    encoder = SparseEncoder.from_config(config_for(base, **settings))
    with torch.no_grad():  # towers that differ must come back as different ones
        next(encoder.query_tower.parameters()).mul_(1.5)
    encoder.save(tmp_path / "m")
    again = SparseEncoder.load(tmp_path / "m", device="cpu")
    assert again.config == encoder.config
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(dense(again.encode_documents(TEXTS)), dense(encoder.encode_documents(TEXTS)))
    np.testing.assert_array_equal(dense(again.encode_queries(TEXTS)), dense(encoder.encode_queries(TEXTS)))


def test_inference_copy_follows_training(base: Path) -> None:
    encoder = SparseEncoder.from_config(config_for(base))
    before = dense(encoder.encode_documents(TEXTS[:2], dtype="bfloat16"))
    with torch.no_grad():
        encoder.document_tower.backbone.decoder.bias.add_(1.0)
    encoder.document_tower.silence_specials()
    assert np.abs(dense(encoder.encode_documents(TEXTS[:2], dtype="bfloat16")) - before).max() > 0.1


def test_plain_folder_loads_as_splade(base: Path) -> None:
    assert SparseEncoder.load(base, device="cpu").kind == "splade"


def test_fresh_head_is_identity_with_the_given_bias(tmp_path: Path) -> None:
    from tests.tiny_models import masked_lm, tokenizer

    masked_lm().bert.save_pretrained(str(tmp_path))
    tokenizer().save_pretrained(str(tmp_path))
    encoder = SparseEncoder.from_config(config_for(tmp_path, fresh_head_bias=-2.0))
    backbone = encoder.document_tower.backbone
    dense_weight = backbone.model.cls.predictions.transform.dense.weight
    assert torch.equal(dense_weight, torch.eye(len(dense_weight)))
    assert backbone.decoder.weight is backbone.model.get_input_embeddings().weight
    assert backbone.decoder.bias[len(SPECIALS) :].unique().tolist() == [-2.0]


def test_errors_say_what_to_do(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no model folder"):
        SparseEncoder.load(tmp_path / "nothing")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="neither a folder here nor"):
        resolve_source("nobody/nothing-at-all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="not a model folder"):
        SparseEncoder.load(tmp_path / "empty")
    with pytest.raises(ConfigError, match="expected auto"):
        SparseEncoder.load(base, device="warp")
    with pytest.raises(ConfigError, match="has no query weights"):
        SparseEncoder.load(base, device="cpu").set_query_weights(np.ones(3, np.float32))
    with pytest.raises(ConfigError) as caught:
        ModelConfig(max_query_length=0, kind="csr", pooling="sum")
    assert len(str(caught.value).splitlines()) == 2
