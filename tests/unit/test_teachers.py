"""Teachers: what each scores, what is kept, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.data import DataConfig  # noqa: E402
from sparseir.config.loss import LossConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.networks.cross_encoder import CrossEncoder  # noqa: E402
from sparseir.train.material.collection import TrainingSet  # noqa: E402
from sparseir.train.material.teachers import load_teacher  # noqa: E402
from tests.tiny_collections import write_collection, write_jsonl, write_triples  # noqa: E402
from tests.tiny_models import save_cross_encoder, save_masked_lm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return TrainingSet.read(DataConfig(dataset=str(write_collection(tmp_path_factory.mktemp("tiny")))))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("bert"))


def test_sparse_teacher_is_the_inner_product_of_both_towers(
    training: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade", shared_towers=False))
    with torch.no_grad():
        next(encoder.query_tower.parameters()).mul_(1.2)
    encoder.save(tmp_path)
    teacher = load_teacher(f"sparse:{tmp_path}", training, LossConfig(), device="cpu")
    places = [0, 3, 3, 5]
    got = teacher.scores(training.queries, places)
    queries = encoder.encode_queries([q.text for q in training.queries]).to_scipy()
    documents = encoder.encode_documents([training.texts[i] for i in places]).to_scipy()
    np.testing.assert_allclose(got, (queries @ documents.T).toarray(), rtol=0.05)  # the teacher runs in bfloat16
    monkeypatch.setattr(SparseEncoder, "encode_documents", None)  # known texts are not encoded again
    np.testing.assert_array_equal(teacher.scores(training.queries[:2], [3, 0]), got[:2, [1, 0]])


def test_dense_teacher_is_the_cosine_of_mean_vectors(training: TrainingSet, base: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    teacher = load_teacher(f"dense:{base}", training, LossConfig(), device="cpu")
    got = teacher.scores(training.queries[:1], [0, 4])
    model, tokenizer = AutoModel.from_pretrained(str(base)).eval(), AutoTokenizer.from_pretrained(str(base))

    def vector(text: str) -> np.ndarray:
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        return mean / np.linalg.norm(mean)

    want = [vector(training.queries[0].text) @ vector(training.texts[d]) for d in (0, 4)]
    np.testing.assert_allclose(got[0], want, rtol=0.05)  # the teacher runs in bfloat16


def test_dense_teacher_reads_so_many_tokens(training: TrainingSet, base: Path) -> None:
    """Cut after [CLS] and seven tokens with [SEP], long texts with equal beginnings are one."""
    teacher = load_teacher(f"dense:{base}", training, LossConfig(teacher_length=8), device="cpu")
    start = "the cats and dogs running in "
    same = teacher.embed([start + "park", start + "wing"])
    np.testing.assert_allclose(same[0], same[1])
    whole = load_teacher(f"dense:{base}", training, LossConfig(), device="cpu").embed([start + "park", start + "wing"])
    assert np.abs(whole[0] - whole[1]).max() > 1e-4
    assert len(load_teacher(f"dense:{base}", training, LossConfig(), device="cpu").embed(["cats " * 400])) == 1


def test_cross_encoder_scores_are_its_logits_and_are_cached(
    training: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = save_cross_encoder(tmp_path / "cross")
    cache = tmp_path / "scores" / "cache.jsonl"
    teacher = load_teacher(f"cross_encoder:{folder}", training, LossConfig(teacher_cache=str(cache)), device="cpu")
    places = [0, 2, 0]
    got = teacher.scores(training.queries[:2], places)
    model = AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    with torch.no_grad():
        want = [
            float(model(**tokenizer(q.text, training.texts[d], return_tensors="pt")).logits)
            for q in training.queries[:2]
            for d in places
        ]
    np.testing.assert_allclose(got.ravel(), want, rtol=1e-4, atol=1e-6)
    assert len(cache.read_text().splitlines()) == 4  # two queries, two different documents

    later = load_teacher(f"cross_encoder:{folder}", training, LossConfig(teacher_cache=str(cache)), device="cpu")
    monkeypatch.setattr(CrossEncoder, "scores", None)  # everything asked for is in the file
    np.testing.assert_allclose(later.scores(training.queries[:2], places), got, rtol=1e-6)


def test_a_cache_cut_short_by_a_stop_is_read_as_far_as_it_goes(training: TrainingSet, tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path / "cross")
    cache = tmp_path / "cache.jsonl"
    name = f"cross_encoder:{folder}"
    got = load_teacher(name, training, LossConfig(teacher_cache=str(cache)), device="cpu").scores(
        training.queries, [0, 1]
    )
    whole = cache.read_text()
    cache.write_text(whole[:-10])
    again = load_teacher(name, training, LossConfig(teacher_cache=str(cache)), device="cpu")
    np.testing.assert_allclose(again.scores(training.queries, [0, 1]), got, rtol=1e-6)
    assert (
        len(
            load_teacher(name, training, LossConfig(teacher_cache=str(cache)), device="cpu").scores(
                training.queries, [0, 1]
            )
        )
        == 4
    )
    (tmp_path / "bad.jsonl").write_text("{oops\n" + whole)
    with pytest.raises(DataError, match=r"bad\.jsonl:1"):
        load_teacher(name, training, LossConfig(teacher_cache=str(tmp_path / "bad.jsonl")), device="cpu")


def test_stored_scores_by_id(training: TrainingSet, tmp_path: Path) -> None:
    rows = [{"query": "q0", "document": "d0", "score": 3}, {"query": "q0", "document": "d5", "score": -1.5}]
    teacher = load_teacher(f"scores:{write_jsonl(tmp_path / 's.jsonl', rows)}", training, LossConfig())
    assert teacher.scores(training.queries[:1], [5, 0]).tolist() == [[-1.5, 3.0]]
    with pytest.raises(DataError, match=r"s\.jsonl: no teacher score for query 'q1' and document 'd0'"):
        teacher.scores(training.queries[1:2], [0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "q0", "document": "d0"}', "s.jsonl:1: 'score' must hold finite numbers, found None"),
        (
            '{"query": "q0", "document": "d0", "score": NaN}',
            "s.jsonl:1: not valid JSON: 'score': NaN is not a JSON number",
        ),
        ('{"query": "q0", "score": 1}', "s.jsonl:1: missing key 'document'"),
        ("", "holds no scores"),
    ],
)
def test_faults_of_a_score_file_name_the_line(training: TrainingSet, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "s.jsonl").write_text(line)
    with pytest.raises(DataError, match=message):
        load_teacher(f"scores:{tmp_path / 's.jsonl'}", training, LossConfig())


def test_scores_of_triples_need_no_file_of_their_own(tmp_path: Path) -> None:
    path = write_triples(tmp_path / "triples.jsonl")
    training = TrainingSet.read(DataConfig(triples=str(path)))
    query = training.queries[0]
    teacher = load_teacher(f"scores:{path}", training, LossConfig())
    assert teacher.scores([query], [*query.positives, *query.negatives]).tolist() == [[2.0, 0.5]]
    with pytest.raises(DataError, match="no teacher score"):
        teacher.scores([query], [training.queries[2].positives[0]])


def test_a_teacher_that_is_not_there_is_named(training: TrainingSet, tmp_path: Path) -> None:
    for kind in ("dense", "sparse", "cross_encoder"):
        with pytest.raises(ConfigError, match="nowhere"):
            load_teacher(f"{kind}:{tmp_path / 'nowhere'}", training, LossConfig(), device="cpu")


@pytest.mark.parametrize(
    ("triple", "message"),
    [
        ({"query": "a", "positive": "b", "negatives": ["c"], "scores": [1]}, "t.jsonl:1: 1 scores for 2 documents"),
        ({"query": "a", "negatives": ["c"]}, "t.jsonl:1: missing key 'positive'"),
        (
            {"query": "a", "positive": "b", "negatives": ["c", 3]},
            "t.jsonl:1: 'negatives' must be a list of strings, found int",
        ),
    ],
)
def test_faults_of_triples_name_the_line(tmp_path: Path, triple: dict[str, object], message: str) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps(triple) + "\n")
    with pytest.raises(DataError, match=message):
        TrainingSet.read(DataConfig(triples=str(tmp_path / "t.jsonl")))


def test_unknown_ids_in_judgements_are_refused(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "tiny")
    for row, message in (
        ("q0\td99\t1", "1 of the 1 documents judged here, 'd99' first, are not in"),
        ("q99\td0\t1", "1 of the 1 queries judged here, 'q99' first, are not in"),
    ):
        (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{row}\n")
        with pytest.raises(DataError, match=message):
            TrainingSet.read(DataConfig(dataset=str(folder)))
