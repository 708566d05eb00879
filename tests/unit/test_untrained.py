"""A base that nothing has trained is no encoder: `encode` and `index build` say so before they encode."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir import cli  # noqa: E402
from sparseir.config.loader import to_mapping  # noqa: E402
from sparseir.config.model import _FIRST_KEYS, ModelConfig  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_collections import write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def headless(tmp_path: Path) -> Path:
    """An encoder without a vocabulary head, as sentence embedders are."""
    from transformers import AutoModel

    folder = save_masked_lm(tmp_path / "base")
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    return folder


def test_an_untrained_base_is_refused_and_words_are_offered(
    headless: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collection = write_collection(tmp_path / "c")
    index, vectors = tmp_path / "index", tmp_path / "v.npz"
    build = ["index", "build", str(index), "--model", str(headless), "--corpus", str(collection)]
    encode = ["encode", str(headless), str(collection), "--output", str(vectors)]
    for command in (build, encode):
        assert cli.run(command) == 1
        err = capsys.readouterr().err
        assert "is a base without a trained head: a sentence gets" in err
        assert "--bm25" in err
        assert "--untrained" in err
    assert not index.exists()
    assert not vectors.exists()
    for command in (build, encode):
        assert cli.run([*command, "--untrained"]) == 0
    assert cli.run(["index", "build", str(tmp_path / "words"), "--bm25", "--corpus", str(collection)]) == 0


def test_a_plain_masked_lm_that_nothing_made_sparse_is_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The random model gives a sentence more than 8 of its 41 terms; one whose bias keeps all but a few down does not."""
    from transformers import AutoModelForMaskedLM

    collection, base = write_collection(tmp_path / "c", ("test",)), save_masked_lm(tmp_path / "base")
    vectors = tmp_path / "v.npz"
    encode = ["encode", str(base), str(collection), "--output", str(vectors), "--overwrite", "--quiet"]
    assert SparseEncoder.load(base, device="cpu").plain
    assert cli.run(encode) == 0
    err = capsys.readouterr().err
    assert f"{base} is a plain masked language model, and a sentence gets " in err
    assert " of its 41 terms" in err
    assert "--untrained if it is meant so" in err
    assert cli.run([*encode, "--untrained"]) == 0
    assert "masked language model" not in capsys.readouterr().err
    model = AutoModelForMaskedLM.from_pretrained(base)
    with torch.no_grad():
        model.cls.predictions.bias.fill_(-1e6)
        model.cls.predictions.bias[10:14] = 1e6
    model.save_pretrained(tmp_path / "sparse")
    for file in base.glob("tokenizer*"):
        (tmp_path / "sparse" / file.name).write_bytes(file.read_bytes())
    assert SparseEncoder.load(tmp_path / "sparse", device="cpu").plain
    assert cli.run([encode[0], str(tmp_path / "sparse"), *encode[2:]]) == 0
    assert "masked language model" not in capsys.readouterr().err


def test_evaluate_doubts_it_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("ir_measures")
    collection, base = write_collection(tmp_path / "c", ("test",)), save_masked_lm(tmp_path / "base")
    options = ["--baselines", "", "--resamples", "100", "--quiet"]
    assert cli.run(["evaluate", str(base), str(collection), *options]) == 0
    assert any(f"{base} is a plain masked language model" in line for line in caplog.messages)


def test_what_was_saved_counts_as_trained(headless: Path, tmp_path: Path) -> None:
    encoder = SparseEncoder.load(headless, device="cpu")
    assert encoder.untrained
    encoder.save(tmp_path / "m")
    assert not SparseEncoder.load(tmp_path / "m", device="cpu").untrained


def test_a_fingerprint_is_that_of_before_new_keys(headless: Path) -> None:
    """The digest of the keys there were first, of the tokenizer and of the weights, in the order of their names."""
    encoder = SparseEncoder.load(headless, device="cpu")
    first = {k: v for k, v in to_mapping(encoder.config).items() if k in _FIRST_KEYS and k != "base"}
    assert len(first) == 18
    digest = hashlib.sha256(json.dumps(first, sort_keys=True).encode())
    digest.update(encoder.tokenizer.uncut().to_str().encode())
    for name, value in sorted(encoder.module.state_dict().items()):
        digest.update(name.encode() + value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    assert encoder.fingerprint == digest.hexdigest()[:32]


def test_a_description_without_later_keys_is_read(headless: Path, tmp_path: Path) -> None:
    encoder = SparseEncoder.load(headless, device="cpu")
    encoder.save(tmp_path / "m")
    path = tmp_path / "m" / "sparseir.json"
    description = json.loads(path.read_text())
    del description["config"]["token_dim"]
    path.write_text(json.dumps(description))
    assert SparseEncoder.load(tmp_path / "m", device="cpu").fingerprint == encoder.fingerprint
    description["config"]["tokendim"] = 3
    path.write_text(json.dumps(description))
    with pytest.raises(Exception, match=r"tokendim: unknown key; did you mean 'token_dim'"):
        SparseEncoder.load(tmp_path / "m", device="cpu")


def test_a_key_counts_in_the_digest_unless_it_came_later_and_has_its_default() -> None:
    assert set(ModelConfig().identity()) == _FIRST_KEYS - {"base"}
    assert ModelConfig(csr_k=8).identity()["csr_k"] == 8
