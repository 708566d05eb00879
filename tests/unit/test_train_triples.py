"""Triples in training: their scores are a teacher's or refused, and rows of one query know each other's positives."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer.progress import silent  # noqa: E402
from sparseir.config.data import DataConfig  # noqa: E402
from sparseir.config.loss import LossConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.errors import DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train.material.collection import TrainingSet  # noqa: E402
from sparseir.train.material.negatives import Negatives  # noqa: E402
from sparseir.train.tasks import ranking  # noqa: E402
from sparseir.train.tasks.ranking import Candidates  # noqa: E402
from tests.tiny_collections import write_collection, write_jsonl, write_scores  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

ROWS: list[dict[str, Any]] = [
    {"query": "cats", "positive": "cats run", "negatives": ["dogs", "a wing"], "scores": [3, 1, 0]},
    {"query": "dogs", "positive": "dogs bark", "negatives": ["cats", "heat"], "scores": [2, 1, 0.5]},
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("base"))
    return SparseEncoder.from_config(ModelConfig(base=str(base), max_document_length=32))


def build(encoder: SparseEncoder, path: Path, rows: list[dict[str, Any]], **changes: Any) -> Any:
    """The batches of a recipe over these rows."""
    write_jsonl(path, rows)
    loss: dict[str, Any] = {"margin_mse": 1.0, "info_nce": 0.0, "in_batch": False, "teacher_normalise": False}
    loss |= {"teachers": (f"scores:{path}",)}
    data: dict[str, Any] = {"triples": str(path), "negatives": (), "num_negatives": 2}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        (loss if section == "loss" else data)[key] = value
    recipe = replace(Recipe(), data=DataConfig(**data), loss=LossConfig(**loss))
    return ranking.build(recipe, encoder, silent)[1]


def test_scores_are_the_teachers(encoder: SparseEncoder, tmp_path: Path) -> None:
    batch = build(encoder, tmp_path / "t.jsonl", ROWS)[0]
    for row, query in zip(batch.teacher.tolist(), batch.queries, strict=True):
        given = next(r for r in ROWS if r["query"] == query)
        assert row[0] == given["scores"][0]
        assert sorted(row[1:]) == sorted(given["scores"][1:])


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        (
            {"loss__teachers": (), "loss__margin_mse": 0.0, "loss__info_nce": 1.0},
            ROWS,
            r"t\.jsonl:1: holds scores, and no teacher",
        ),
        (
            {"loss__teachers": ("bm25",)},
            ROWS,
            r"t\.jsonl:1: holds scores, and no teacher reads them: set loss\.teachers to",
        ),
        ({"loss__in_batch": True}, ROWS, r"set loss\.in_batch to false"),
        ({"data__num_negatives": 3}, ROWS, r"t\.jsonl:1: 2 negatives with scores, and data\.num_negatives is 3"),
        ({}, [ROWS[0], {k: v for k, v in ROWS[1].items() if k != "scores"}], r"t\.jsonl:2: has no scores"),
    ],
)
def test_scores_are_never_passed_over(
    encoder: SparseEncoder, tmp_path: Path, changes: dict[str, Any], rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build(encoder, tmp_path / "t.jsonl", rows, **changes)


def test_another_file_of_scores_is_read_and_not_taken_for_the_triples(encoder: SparseEncoder, tmp_path: Path) -> None:
    other = f"scores:{write_scores(tmp_path / 's.jsonl')}"
    with pytest.raises(DataError, match="no teacher reads them"):
        build(encoder, tmp_path / "t.jsonl", ROWS, loss__teachers=(other,))
    bare = [{k: v for k, v in row.items() if k != "scores"} for row in ROWS]
    batches = build(encoder, tmp_path / "t.jsonl", bare, loss__teachers=(other,))
    with pytest.raises(DataError, match=r"s\.jsonl: no teacher score for query"):
        batches[0]


def test_queries_of_a_collection_have_no_scores_of_triples(encoder: SparseEncoder, tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "c")
    with pytest.raises(DataError, match=r"data\.dataset brings others"):
        build(encoder, tmp_path / "t.jsonl", ROWS, data__dataset=str(collection))


def test_rows_of_one_query_know_each_others_positives(
    encoder: SparseEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"query": "cats", "positive": "cats run", "negatives": ["a cat", "dogs"]},
        {"query": "cats", "positive": "a cat", "negatives": ["heat"]},
        {"query": "dogs", "positive": "dogs bark", "negatives": ["a cat"]},
    ]
    write_jsonl(tmp_path / "t.jsonl", rows)
    with caplog.at_level(logging.WARNING):
        training = TrainingSet.read(DataConfig(triples=str(tmp_path / "t.jsonl"), negatives=(), num_negatives=8))
    assert "1 negatives are positives of the same query" in caplog.text
    place = training.texts.index
    first, second, third = training.queries
    assert first.answers == second.answers == {place("cats run"), place("a cat")}
    assert (first.positives, first.negatives) == ((place("cats run"),), (place("dogs"),))
    assert third.answers == {place("dogs bark")}
    drawn = Negatives(training, DataConfig(num_negatives=8, negatives=())).draw(first, np.random.default_rng(0))
    assert place("a cat") not in drawn
    path = tmp_path / "u.jsonl"
    changes = {"loss__teachers": (), "loss__margin_mse": 0.0, "loss__info_nce": 1.0, "data__num_negatives": 1}
    batch = build(encoder, path, rows, **changes)[0]
    for query, known in zip(batch.queries, batch.known.tolist(), strict=True):
        answers = {"cats": {"cats run", "a cat"}, "dogs": {"dogs bark"}}[query]
        assert known == [text in answers for text in batch.documents]


def test_a_likely_positive_is_found_below_zero_as_above() -> None:
    """Logits of cross-encoders: −3.9 is nearer to being a positive than the positive's own −4."""
    teacher = torch.tensor([[-4.0, -3.9, -4.1, -4.3], [4.0, 3.9, 3.7, 5.0], [0.0, -0.1, 0.1, 0.0]])
    known = torch.zeros(3, 4, dtype=torch.bool)
    candidates = Candidates(
        torch.zeros(3, 4), teacher, known, torch.zeros(3, dtype=torch.long), torch.zeros(3, 1).long()
    )
    assert candidates.negatives(0.95).tolist() == [
        [True, False, False, True],
        [True, False, True, False],
        [True, True, False, False],
    ]
