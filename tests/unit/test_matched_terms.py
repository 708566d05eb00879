"""A model over an index of plain vectors: its terms are found by their strings, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer import SparseVectors, build_index  # noqa: E402
from sparseir import cli  # noqa: E402
from sparseir.errors import DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.search.query_encoder import ModelQueryEncoder  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.tiny_collections import DOCUMENTS, write_jsonl  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
QUERY = "dogs running in the park"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    SparseEncoder.load(save_masked_lm(folder / "base"), device="cpu").save(folder / "m")
    return folder / "m"


def vectors_of(model: Path, path: Path, extra: dict[str, float] | None = None) -> Path:
    """The documents' vectors as another tool writes them: heaviest terms first, so ids of first sight are not the model's."""
    encoder = SparseEncoder.load(model, device="cpu")
    rows = encoder.encode_documents(DOCUMENTS)
    terms = encoder.terms()
    lines = []
    for i in range(len(rows)):
        ids, weights = rows.row(i)
        heaviest = np.argsort(-weights, kind="stable")
        vector = {terms[ids[j]]: float(weights[j]) for j in heaviest}
        lines.append({"id": f"d{i}", "vector": {**vector, **(extra or {})}})
    return write_jsonl(path, lines)


def expected(model: Path) -> list[str]:
    """Names by the dot products of the vectors themselves."""
    encoder = SparseEncoder.load(model, device="cpu")
    scores = (encoder.encode_documents(DOCUMENTS).to_scipy() @ encoder.encode_queries([QUERY]).to_scipy().T).toarray()
    return [f"d{i}" for i in np.argsort(-scores[:, 0], kind="stable")]


def test_terms_are_matched_by_their_strings(model: Path, tmp_path: Path) -> None:
    vectors, index = vectors_of(model, tmp_path / "v.jsonl"), tmp_path / "index"
    assert cli.run(["index", "build", str(index), "--vectors", str(vectors)]) == 0
    searcher = Searcher.open(index, model=str(model), engine="exhaustive")
    encoder = searcher.queries.encoder
    names = [encoder.token(int(t)) for t in encoder.encode(QUERY)[0]]
    learned = SparseEncoder.load(model, device="cpu")
    own = {learned.terms()[t] for t in learned.encode_queries([QUERY]).row(0)[0]}
    assert set(names) <= own
    assert searcher.search(QUERY, 3).docnos == expected(model)[:3]
    product = searcher.explain(QUERY, "d0")
    assert {t.token for t in product.terms} <= own


def test_a_vocabulary_that_is_not_the_models_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, index = vectors_of(model, tmp_path / "v.jsonl", {"zeppelin": 1.0}), tmp_path / "index"
    assert cli.run(["index", "build", str(index), "--vectors", str(vectors)]) == 0
    for command in (["search", str(index), QUERY], ["explain", str(index), QUERY, "d0"]):
        assert cli.run([*command, "--model", str(model)]) == 1
        err = capsys.readouterr().err
        assert "of another vocabulary than that of" in err
        assert "1 of its" in err
        assert "'zeppelin'" in err
    assert cli.run(["search", str(index), QUERY, "--model", str(model), "--any-model", "--json"]) == 0
    assert capsys.readouterr().out.count("docno") == len(DOCUMENTS)


def test_terms_that_are_numbers_must_be_as_many(model: Path, tmp_path: Path) -> None:
    encoder = SparseEncoder.load(model, device="cpu")
    rows = encoder.encode_documents(DOCUMENTS)
    build_index(tmp_path / "whole", rows)
    asked = encoder.encode_queries([QUERY])
    same = Searcher.open(tmp_path / "whole", model=str(model)).queries.encoder.encode(QUERY)
    assert same[0].tolist() == asked.row(0)[0].tolist()
    few = SparseVectors(np.array([0, 2]), np.array([0, 11], np.uint32), np.ones(2, np.float32), 12)
    build_index(tmp_path / "few", few)
    loaded = ModelQueryEncoder.load(model, device="cpu")
    with pytest.raises(DataError, match="whose terms are numbers up to 11"):
        Searcher.open(tmp_path / "few", model=loaded).search(QUERY)
    some = Searcher.open(tmp_path / "few", model=loaded, any_model=True)
    assert max(some.queries.encoder.encode(QUERY)[0]) < 12


def test_an_index_of_words_holds_no_learned_terms(model: Path, tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"id": "a", "text": DOCUMENTS[0]}])
    assert cli.run(["index", "build", str(tmp_path / "words"), "--bm25", "--corpus", str(corpus)]) == 0
    with pytest.raises(DataError, match="holds words alone"):
        Searcher.open(tmp_path / "words", model=str(model), any_model=True).search(QUERY)
