"""encode, decode and the hub, under sentence-transformers' names."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import huggingface_hub  # noqa: E402

from indexer import SparseVectors  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.errors import ConfigError, DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    return SparseEncoder.from_config(
        replace(ModelConfig(base=str(base), kind="inference_free", max_document_length=32))
    )


@pytest.mark.parametrize("task", ["document", "query"])
def test_encode_gives_the_rows_as_a_tensor(encoder: SparseEncoder, task: str) -> None:
    run = encoder.encode_documents if task == "document" else encoder.encode_queries
    want = run(TEXTS, max_active_dims=5).to_scipy().toarray()
    rows = encoder.encode(TEXTS, task=task, max_active_dims=5)
    assert rows.is_sparse
    assert rows.dtype == torch.float32
    np.testing.assert_array_equal(rows.to_dense().numpy(), want)
    np.testing.assert_array_equal(
        encoder.encode(TEXTS, task=task, max_active_dims=5, convert_to_sparse_tensor=False).numpy(), want
    )
    one = encoder.encode(TEXTS[0], task=task, max_active_dims=5)
    assert one.shape == (encoder.num_terms,)
    # A text alone runs in another shape than beside others.
    np.testing.assert_allclose(one.to_dense().numpy(), want[0], rtol=1e-6)
    assert encoder.encode([], task=task).shape == (0, encoder.num_terms)


def test_queries_documents_and_their_similarity(encoder: SparseEncoder) -> None:
    queries, documents = encoder.encode_query(TEXTS[:3], max_active_dims=4), encoder.encode_document(TEXTS)
    assert torch.equal(queries.to_dense(), encoder.encode(TEXTS[:3], task="query", max_active_dims=4).to_dense())
    assert torch.equal(documents.to_dense(), encoder.encode(TEXTS).to_dense())
    want = queries.to_dense() @ documents.to_dense().T
    for a in (queries, queries.to_dense()):
        for b in (documents, documents.to_dense()):
            found = encoder.similarity(a, b)
            assert not found.is_sparse
            torch.testing.assert_close(found, want)
    torch.testing.assert_close(encoder.similarity(queries[1], documents[2]), want[1:2, 2:3])
    for faulty in (queries.to_dense()[:, :-1], [1.0], torch.zeros(1, 1, encoder.num_terms)):
        with pytest.raises(DataError, match=r"documents: expected a tensor \(rows, \d+\), as encode gives it"):
            encoder.similarity(queries, faulty)


def test_decode_names_the_terms_heaviest_first(encoder: SparseEncoder) -> None:
    terms = encoder.terms()
    vectors = SparseVectors.from_rows([{7: 1.0, 9: 3.0, 8: 1.0}, {}], encoder.num_terms)
    want = [[(terms[9], 3.0), (terms[7], 1.0), (terms[8], 1.0)], []]
    assert encoder.decode(vectors) == want
    dense = torch.from_numpy(vectors.to_scipy().toarray())
    assert encoder.decode(dense) == encoder.decode(dense.to_sparse()) == want
    assert encoder.decode(dense[0]) == want[0]
    assert encoder.decode(dense, top_k=2) == [want[0][:2], []]
    own = encoder.encode(TEXTS[0])
    assert {t for t, _ in encoder.decode(own)} == {terms[i] for i in own.coalesce().indices()[0].tolist()}


def test_what_cannot_be_encoded_or_decoded_is_refused(encoder: SparseEncoder) -> None:
    with pytest.raises(ConfigError, match="task is 'passage'; there are: document, query"):
        encoder.encode("a", task="passage")
    with pytest.raises(DataError, match="number 1 is of type int"):
        encoder.encode(["a", 3])
    with pytest.raises(DataError, match="they have more"):
        encoder.decode(torch.ones(encoder.num_terms + 1))
    with pytest.raises(DataError, match="expected SparseVectors or a tensor"):
        encoder.decode([0.5])


def test_a_saved_folder_is_loaded_again(encoder: SparseEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path / "model")
    again = SparseEncoder.from_pretrained(tmp_path / "model", device="cpu")
    assert again.fingerprint == encoder.fingerprint


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))


def test_without_a_token_nothing_is_sent(encoder: SparseEncoder, no_token: None) -> None:
    with pytest.raises(ConfigError, match="no token for the hub; run `hf auth login`"):
        encoder.push_to_hub("me/mine")


def test_a_name_the_hub_does_not_allow_and_a_hub_that_does_not_answer(
    encoder: SparseEncoder, no_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: made(endpoint="http://127.0.0.1:9", token=token))
    with pytest.raises(SparseIRError, match=r"push_to_hub: 'me/mine' at http://127\.0\.0\.1:9: ") as raised:
        encoder.push_to_hub("me/mine", token="hf_x")
    assert "\n" not in str(raised.value)


def test_what_is_uploaded_is_the_model(encoder: SparseEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The calls of the hub's client are recorded, and the folder it is given is a model."""

    def create_repo(self: object, repo_id: str, **options: object) -> SimpleNamespace:
        assert options == {"private": True, "exist_ok": True}
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self: object, *, repo_id: str, folder_path: str, **options: object) -> SimpleNamespace:
        shutil.copytree(folder_path, tmp_path / repo_id)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    assert encoder.push_to_hub("me/mine", token="hf_x", private=True) == "https://hub/me/mine/commit/1"
    assert SparseEncoder.load(tmp_path / "me/mine", device="cpu").fingerprint == encoder.fingerprint
