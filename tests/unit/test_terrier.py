"""The PyTerrier transformer: what a frame of topics becomes, and that pipelines of the package take it."""

from __future__ import annotations

import pytest

pd = pytest.importorskip("pandas")

from sparseir import Index, Searcher  # noqa: E402
from sparseir.errors import DataError  # noqa: E402
from sparseir.terrier import Retriever  # noqa: E402

TOPICS = pd.DataFrame(
    [
        {"qid": "1", "query": "cats", "set": "a"},
        {"qid": "2", "query": "nothing", "set": "b"},
        {"qid": "3", "query": "dog", "set": "b"},
    ]
)


@pytest.fixture
def path(tmp_path):
    documents = [{"_id": f"d{i}", "text": t} for i, t in enumerate(["a cat", "cats and dogs", "a dog", "rain"])]
    Index.build(tmp_path / "i", documents).close()
    return tmp_path / "i"


def test_results_are_those_of_the_searcher(path):
    results = Retriever(path, k=2, fields=["text", "year"]).transform(TOPICS)
    assert list(results.columns) == ["qid", "query", "set", "docid", "docno", "score", "rank", "text", "year"]
    searcher = Searcher.open(path)
    for qid, query in zip(TOPICS["qid"], TOPICS["query"], strict=True):
        rows, hits = results[results["qid"] == qid], searcher.search(query, 2)
        assert rows["docno"].tolist() == hits.docnos
        assert rows["docid"].tolist() == hits.ordinals.tolist()
        assert rows["score"].tolist() == hits.scores.tolist()
        assert rows["rank"].tolist() == list(range(len(hits)))
        assert rows["text"].tolist() == [hit.text for hit in hits]
    assert results["year"].isna().all()
    assert set(results["set"]) == {"a", "b"}


@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")  # PyTerrier's own use of pandas
def test_pipelines_take_it(path):
    pt = pytest.importorskip("pyterrier")
    first = Retriever(path)
    assert len((first % 1)(TOPICS)) == 2
    assert (first + first)(TOPICS)["score"].max() == pytest.approx(2 * first(TOPICS)["score"].max())
    assert first.search("cats")["docno"].tolist() == first(TOPICS[:1])["docno"].tolist()
    qrels = pd.DataFrame([{"qid": "1", "docno": "d0", "label": 1}, {"qid": "3", "docno": "d2", "label": 1}])
    table = pt.Experiment([first, Retriever(Searcher.open(path), k=1)], TOPICS, qrels, ["recip_rank"])
    assert (table["recip_rank"] > 0).all()


def test_no_topics_and_no_queries(path):
    assert len(Retriever(path).transform(TOPICS[:0])) == 0
    with pytest.raises(DataError, match="query missing"):
        Retriever(path).transform(pd.DataFrame([{"qid": "1", "text": "cats"}]))
