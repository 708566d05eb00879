"""A collection that names the split it is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparseir.errors import ConfigError, DataError
from sparseir.evaluate.arguments import sort_arguments
from sparseir.evaluate.collections import named_split, open_judged, title, without_split
from tests.tiny_collections import write_collection


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("msmarco#dev", ("msmarco", "dev")),
        ("data/a.zip#dl19", ("data/a.zip", "dl19")),
        ("data#2/a.zip", ("data#2/a.zip", None)),
        ("data#2/a.zip#dev", ("data#2/a.zip", "dev")),
        ("scifact", ("scifact", None)),
        ("#dev", ("#dev", None)),
    ],
)
def test_the_split_behind_the_last_mark(given: str, found: tuple[str, str | None]) -> None:
    assert named_split(given) == found


def test_a_folder_of_that_name_is_no_split(tmp_path: Path) -> None:
    (tmp_path / "c#").mkdir()
    assert named_split(str(tmp_path / "c#")) == (str(tmp_path / "c#"), None)
    with pytest.raises(ConfigError, match="no split behind #; expected x#dev, or x"):
        named_split("x#")


def test_names_tell_the_split_and_only_then(tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "tiny", ("train", "test"))
    ((plain, test),) = open_judged(str(collection), "test")
    ((named, train),) = open_judged(f"{collection}#train", "test")
    assert ((plain.name, test), (named.name, train)) == (("tiny", "test"), ("tiny#train", "train"))
    assert [without_split(name, "train") for name in ("tiny#train", "tiny", "tiny#test")] == [
        "tiny",
        "tiny",
        "tiny#test",
    ]
    assert [title(*of) for of in (("tiny#train", "train"), ("tiny", "train"), ("tiny", ""))] == [
        "tiny#train",
        "tiny (train)",
        "tiny",
    ]
    with pytest.raises(DataError, match="no judgements for split 'dev'"):
        open_judged(f"{collection}#dev", "test")


def test_the_words_of_the_command_know_it_for_a_collection(tmp_path: Path) -> None:
    collection = f"{write_collection(tmp_path / 'tiny')}#test"
    found = sort_arguments(["nfcorpus#dev", collection, "msmarco#dev"])
    assert (found.models, found.collections) == ([], ["nfcorpus#dev", collection, "msmarco#dev"])


def test_one_evaluation_over_two_splits(tmp_path: Path) -> None:
    """Each is judged by its own; one that fits to a split that is judged is refused."""
    pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.options import EvaluationOptions

    collection = str(write_collection(tmp_path / "tiny", ("train", "test")))
    options = EvaluationOptions(measures=("nDCG@10",))
    both = list(Evaluation([], [collection, f"{collection}#train"], options))
    assert [(j.results[0].dataset, j.results[0].split) for j in both] == [("tiny", "test"), ("tiny#train", "train")]
    for judged, split in zip(both, ("test", "train"), strict=True):
        (alone,) = Evaluation([], [collection], EvaluationOptions(measures=("nDCG@10",), split=split))
        assert judged.qids == alone.qids
        assert judged.results[0].measures == alone.results[0].measures
    with pytest.raises(ConfigError, match="fit is 'train', the split of tiny#train that is judged"):
        Evaluation([], [f"{collection}#train"], EvaluationOptions(fit="train"))


def test_a_number_that_tells_equal_names_apart_is_no_split_of_another(tmp_path: Path) -> None:
    pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.options import EvaluationOptions

    collection = str(write_collection(tmp_path / "tiny", ("2", "test")))
    options = EvaluationOptions(measures=("nDCG@10",))
    judged = list(Evaluation([], [collection, collection, f"{collection}#2"], options))
    assert [j.results[0].dataset for j in judged] == ["tiny", "tiny#3", "tiny#2"]


def test_a_fit_to_queries_that_are_judged_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.options import EvaluationOptions

    collection = str(write_collection(tmp_path / "tiny", ("train", "test")))
    with pytest.raises(
        DataError, match=r"4 queries of the split 'train' that should fit query weights, .* judged in 'test'"
    ):
        Evaluation([], [collection], EvaluationOptions(fit="train"))
