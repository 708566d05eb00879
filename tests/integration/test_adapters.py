"""The classes for beir and mteb, against those packages where they are installed."""

from __future__ import annotations

import pytest

pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.data import open_dataset
from sparseir.errors import DataError
from sparseir.evaluate.adapters import BeirSearch, CorpusSearch, MtebSearch
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.systems.sparse import evaluate_bm25
from tests.tiny_collections import write_collection


@pytest.fixture
def collection(tmp_path):
    return JudgedCollection.read(open_dataset(write_collection(tmp_path / "tiny", ("test",))), "test")


def as_beir(collection):
    corpus = {d.docno: {"title": d.title, "text": d.text} for d in collection.documents}
    return corpus, {q.qid: q.text for q in collection.queries}


def test_a_search_gives_the_run_that_evaluate_measures(collection):
    """A second corpus takes the place of the first; a query without a hit stays among the results."""
    expected = evaluate_bm25(collection, EvaluationOptions(k=5)).run
    corpus, queries = as_beir(collection)
    search = BeirSearch()
    assert search.search(corpus, queries, 5) == expected
    rows = [{"id": d.docno, "title": d.title, "text": d.text} for d in collection.documents]
    theirs = MtebSearch()
    theirs.index(rows, task_metadata=None, hf_split="test")
    assert theirs.search([{"id": q.qid, "text": q.text} for q in collection.queries], top_k=5) == expected
    other = search.search({"z": {"text": "weather"}}, {"q1": "weather", "q2": "nothing"}, 5)
    assert {qid: list(hits) for qid, hits in other.items()} == {"q1": ["z"], "q2": []}


def test_a_search_before_a_corpus_is_refused():
    with pytest.raises(DataError, match="no corpus is indexed"):
        CorpusSearch().run(["q"], ["text"], 5)


def test_an_encoder_with_a_lexical_channel(collection, tmp_path):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from sparseir.models.encoder import SparseEncoder
    from tests.tiny_models import save_masked_lm

    encoder = SparseEncoder.load(save_masked_lm(tmp_path / "base"), device="cpu")
    corpus, queries = as_beir(collection)
    both, alone = (BeirSearch(encoder, lexical=lexical).search(corpus, queries, 8) for lexical in (True, False))
    assert both != alone
    assert next(iter(both["q1"])) == "d1"


@pytest.mark.filterwarnings("ignore")
def test_evaluate_retrieval_of_beir_gives_the_same_figures(collection):
    evaluation = pytest.importorskip("beir.retrieval.evaluation", reason="the extra 'beir' is not installed")
    retriever = evaluation.EvaluateRetrieval(BeirSearch(), k_values=[1, 5], score_function="dot")
    found = retriever.retrieve(*as_beir(collection))
    ndcg, _, recall, _ = retriever.evaluate(collection.qrels, found, retriever.k_values)
    ours = evaluate_bm25(collection, EvaluationOptions(k=5, measures=("nDCG@5", "R@5", "nDCG@1"))).measures
    assert ndcg["NDCG@5"] == pytest.approx(ours["nDCG@5"], abs=1e-5)
    assert ndcg["NDCG@1"] == pytest.approx(ours["nDCG@1"], abs=1e-5)
    assert recall["Recall@5"] == pytest.approx(ours["R@5"], abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_mteb_gives_the_same_figure(collection, monkeypatch):
    """Two of three questions find their document; the third has no hit and counts 0."""
    mteb = pytest.importorskip("mteb", reason="mteb is not installed")
    datasets = pytest.importorskip("datasets", reason="mteb is not installed")
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    unknown = ("reference", "date", "domains", "task_subtypes", "license", "annotations_creators", "dialect")
    described = TaskMetadata(
        name="Tiny", description="tiny", type="Retrieval", category="t2t", modalities=["text"], main_score="ndcg_at_10",
        dataset={"path": "none/none", "revision": "1"}, eval_splits=["test"], eval_langs=["eng-Latn"],
        sample_creation=None, bibtex_citation=None, **dict.fromkeys(unknown),
    )  # fmt: skip

    class Tiny(AbsTaskRetrieval):
        metadata = described

        def load_data(self, **_):
            corpus = [{"id": d.docno, "title": d.title, "text": d.text} for d in collection.documents]
            queries = [{"id": "q0", "text": "cats"}, {"id": "q1", "text": "weather"}, {"id": "q9", "text": "nothing"}]
            self.dataset = {"default": {"test": {
                "corpus": datasets.Dataset.from_list(corpus), "queries": datasets.Dataset.from_list(queries),
                "relevant_docs": {"q0": {"d0": 1}, "q1": {"d1": 1}, "q9": {"d2": 1}}, "top_ranked": None,
            }}}  # fmt: skip
            self.data_loaded = True

    found = mteb.evaluate(MtebSearch(name="me/bm25"), Tiny(), cache=None)
    assert found.task_results[0].scores["test"][0]["recall_at_10"] == pytest.approx(2 / 3, abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_mteb_takes_the_search_and_its_description(collection):
    protocols = pytest.importorskip("mteb.models.models_protocols", reason="mteb is not installed")
    search = MtebSearch(name="me/bm25")
    assert isinstance(search, protocols.SearchProtocol)
    assert search.mteb_model_meta.name == "me/bm25"
