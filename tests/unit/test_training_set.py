"""What training and its development set make of judgements that name absent documents and queries."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from sparseir.config.data import DataConfig
from sparseir.errors import ConfigError
from sparseir.train.dev import DevSet
from sparseir.train.material.collection import TrainingSet
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


def test_a_corpus_with_keys_and_an_ending_of_its_own_is_read_as_the_section_says(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "texts.dump").write_text("key;body\nd1;cats and dogs\nd2;rain\n")
    (tmp_path / "queries.tsv").write_text("q1\tcats\n")
    (tmp_path / "qrels" / "train.tsv").write_text("q1\td1\t1\n")
    name = str(tmp_path / "texts.dump")
    config = DataConfig(dataset=(name,), format="csv", fields="id=key,text=body", dev_dataset=name, dev_split="train")
    training = TrainingSet.read(config)
    assert training.texts == ["cats and dogs", "rain"]
    assert [(q.qid, q.positives) for q in training.queries] == [("q1", (0,))]
    assert DevSet(config).docnos == ["d1", "d2"]
    with pytest.raises(ConfigError, match=r"data.fields 'name=key': expected id=KEY"):
        TrainingSet.read(DataConfig(dataset=(name,), format="csv", fields="name=key"))
    with pytest.raises(ConfigError, match=r"data.format is 'xls'; expected one of jsonl"):
        TrainingSet.read(DataConfig(dataset=(name,), format="xls"))
