"""What training and its development set make of judgements that name absent documents and queries."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from sparseir.config.data import DataConfig
from sparseir.train.collection import TrainingSet
from sparseir.train.dev import DevSet
from tests.tiny_collections import write_collection


@pytest.fixture
def folder(tmp_path):
    """Four judged queries, and one absent document and one absent query beside them."""
    folder = write_collection(tmp_path / "tiny")
    for split in ("train", "dev"):
        with (folder / "qrels" / f"{split}.tsv").open("a") as file:
            file.write("q0\tgone\t2\nq9\td1\t2\n")
    return folder


def test_pairs_of_absent_documents_and_queries_are_left_out_of_training(folder, caplog):
    training = TrainingSet.read(DataConfig(dataset=(str(folder),), split="train"))
    assert [(q.qid, q.positives) for q in training.queries] == [(f"q{i}", (i,)) for i in range(4)]
    assert ["'gone'" in m or "'q9'" in m for m in caplog.messages] == [True, True]


def test_the_development_mean_runs_over_queries_with_text(folder):
    dev = DevSet(DataConfig(dev_dataset=str(folder), dev_split="dev"))
    assert list(dev.qrels) == [q.qid for q in dev.queries] == ["q0", "q1", "q2", "q3"]
    assert dev.qrels["q0"] == {"d0": 2, "gone": 2}
