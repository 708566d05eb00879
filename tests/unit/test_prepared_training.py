"""Training from a prepared folder: the same batches as from memory, workers, resume, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer.progress import silent  # noqa: E402
from sparseir.config.data import DataConfig  # noqa: E402
from sparseir.data.prepared.folder import Prepared  # noqa: E402
from sparseir.data.prepared.prepare import PrepareOptions, prepare  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.material.prepared import PreparedTraining  # noqa: E402
from sparseir.train.tasks import ranking  # noqa: E402
from tests.tiny_collections import DOCUMENTS, QUERIES, write_collection, write_jsonl  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402
from tests.unit.test_train import assert_equal_weights, recipe_of, weights_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four queries with a positive and two scored negatives each; documents are title and text, as in `write_collection`."""
    place = tmp_path_factory.mktemp("prepared")
    collection = write_collection(place / "collection")
    rows = [
        {
            "qid": qid,
            "pos": [{"pid": f"d{d}", "ce-score": 5.0}],
            "neg": {"mined": [{"pid": f"d{(d + i) % 8}", "ce-score": 1.0 / i} for i in (1, 2)]},
        }
        for qid, _, d in QUERIES
    ]
    write_jsonl(place / "hard.jsonl", rows)
    options = PrepareOptions(
        documents=str(collection), queries=str(collection / "queries.jsonl"), pairs=(f"hard={place / 'hard.jsonl'}",)
    )
    prepare(place / "p", options)
    return place / "p"


def prepared_recipe(base: Path, folder: Path, **changes: Any) -> Any:
    given = {"data__dataset": (), "data__prepared": str(folder), "data__negatives": ("mined",), "model__kind": "splade"}
    return recipe_of(base, folder, **{**given, **changes})


SCORED: dict[str, Any] = {
    "loss__margin_mse": 1.0, "loss__info_nce": 0.0, "loss__in_batch": False, "loss__teacher_normalise": False,
    "loss__teachers": ("scores:hard",), "data__num_negatives": 2,
}  # fmt: skip


def encoder_of(recipe: Any) -> SparseEncoder:
    return SparseEncoder.from_config(recipe.model, device="cpu")


def test_a_batch_holds_the_texts_and_scores_of_the_folder(base: Path, folder: Path) -> None:
    recipe = prepared_recipe(base, folder, **SCORED)
    _, batches = ranking.build(recipe, encoder_of(recipe), silent)
    batch = batches[0]
    contents = [f"{text.split()[0]} {text}" for text in DOCUMENTS]
    for row, query in enumerate(batch.queries):
        answer = next(d for _, text, d in QUERIES if text == query)
        documents = batch.documents[3 * row : 3 * row + 3]
        assert documents[0] == contents[answer]
        assert set(documents[1:]) == {contents[(answer + 1) % 8], contents[(answer + 2) % 8]}
        given = dict(zip(documents, batch.teacher[row].tolist(), strict=True))
        assert given[contents[(answer + 2) % 8]] == 0.5
        assert given[documents[0]] == 5.0
    again = ranking.build(recipe, encoder_of(recipe), silent)[1][0]
    assert again.documents == batch.documents


def test_workers_change_nothing_and_a_stopped_run_goes_on_to_the_bit(base: Path, folder: Path, tmp_path: Path) -> None:
    recipe = prepared_recipe(base, folder, train__steps=4, train__save_every=2, **SCORED)
    train(recipe, tmp_path / "alone")
    helped = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, workers=2))
    train(helped, tmp_path / "helped")
    assert_equal_weights(weights_of(tmp_path / "alone"), weights_of(tmp_path / "helped"))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(helped, tmp_path / "parts", progress=stop)
    train(helped, tmp_path / "parts", resume=True)
    assert_equal_weights(weights_of(tmp_path / "alone"), weights_of(tmp_path / "parts"))


def test_the_idf_of_a_store_is_that_of_its_texts(base: Path, folder: Path, tmp_path: Path) -> None:
    recipe = prepared_recipe(base, folder, model__kind="inference_free")
    from_disk, from_memory = encoder_of(recipe), encoder_of(recipe)
    ranking.build(recipe, from_disk, silent)
    collection = folder.parent / "collection"
    ranking.build(recipe_of(base, collection, model__kind="inference_free"), from_memory, silent)
    assert torch.equal(from_disk.query_tower.weight, from_memory.query_tower.weight)  # type: ignore[arg-type]
    kept = list((folder / "indexes").glob("frequencies-*.npy"))
    assert len(kept) == 1
    np.save(kept[0], np.zeros(3, np.int64))
    with pytest.raises(DataError, match="no document frequencies"):
        ranking.build(recipe, encoder_of(recipe), silent)
    kept[0].unlink()


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"data__negatives": ("bm25",)}, DataError, r"has no negatives 'bm25' \(found: mined\); `sparseir mine`"),
        ({"loss__teachers": ("bm25",)}, ConfigError, "bm25 would run in the training loop"),
        ({"loss__teachers": ("scores:ce",)}, DataError, r"has no scores 'ce' \(found: hard\)"),
        ({"loss__in_batch": True}, ConfigError, r"loss\.in_batch: stored scores"),
        ({"data__num_negatives": 3}, DataError, "no query has a positive and 3 negatives with scores of hard"),
        ({"data__min_relevance": 2}, DataError, "no query has a positive"),
        ({"loss__lexical_channel": 1.0}, ConfigError, "lexical_channel"),
    ],
)
def test_what_a_folder_cannot_give_is_refused(
    base: Path, folder: Path, changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    recipe = prepared_recipe(base, folder, **{**SCORED, **changes})
    with pytest.raises(kind, match=message):
        ranking.build(recipe, encoder_of(recipe), silent)


def test_sources_beside_a_folder_and_unknown_searches_are_refused() -> None:
    with pytest.raises(ConfigError, match="dataset: not beside prepared"):
        DataConfig(prepared="p", dataset="scifact")
    with pytest.raises(ConfigError, match="negatives: 'mined' is neither bm25 nor dense"):
        DataConfig(negatives=("mined",))


def test_queries_without_enough_scores_are_left_out_with_their_number(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    qid, _, d = QUERIES[0]
    rows = [{"query": qid, "document": f"d{(d + i) % 8}", "score": float(i)} for i in range(3)]
    rows.append({"query": QUERIES[1][0], "document": f"d{QUERIES[1][2]}", "score": 1})
    path = write_jsonl(tmp_path / "few.jsonl", rows)
    prepare(folder, PrepareOptions(pairs=(str(path),), resume=True))
    config = DataConfig(prepared=str(folder), negatives=("mined",), num_negatives=2)
    training = PreparedTraining(config, ["few"])
    assert "3 queries of 4 have no scored positive" in caplog.text
    assert [query.qid for query in training.queries] == [qid]
    assert training.queries[0].answers == {d}


def test_workers_are_refused_where_something_is_computed_in_the_loop(base: Path, folder: Path) -> None:
    recipe = recipe_of(base, folder.parent / "collection", data__workers=1, data__negatives=("bm25",))
    with pytest.raises(ConfigError, match=r"data\.workers: bm25 negatives are computed"):
        ranking.build(recipe, encoder_of(recipe), silent)


def test_two_openings_share_one_file(folder: Path) -> None:
    first, second = Prepared(folder), Prepared(folder)
    assert first.documents[3] == second.documents[3]
    assert json.loads((folder / "prepared.json").read_text())["stages"].keys() >= {"documents", "queries"}
