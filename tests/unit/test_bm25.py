from __future__ import annotations

import math

import numpy as np
import pytest

from sparseir.errors import DataError
from sparseir.lexical.analysis import ENGLISH_STOP_WORDS
from sparseir.lexical.memory import BM25


def test_scores_by_hand():
    """N = 3, 'cat' in two documents of length 1 and 2, average length (2 + 1 + 0) / 3 = 1.

    idf = ln(1 + 1.5/2.5) = 0.47000; document 0: 1/(1 + .9·(.6 + .4·2)) = .442478; document 2 is empty.
    """
    bm25 = BM25(["cat dog", "cats", ""])
    idf = math.log(1 + 1.5 / 2.5)
    want = [idf / (1 + 0.9 * (0.6 + 0.4 * 2)), idf / (1 + 0.9 * (0.6 + 0.4 * 1)), 0]
    np.testing.assert_allclose(bm25.scores("the cat"), want, rtol=1e-5)


def test_search_orders_and_leaves_out_what_does_not_match():
    bm25 = BM25(["cat sat", "dog", "cat", "cat"])
    rows, scores = bm25.search("cats unheard", 10)
    assert rows.tolist() == [2, 3, 0]
    assert (np.diff(scores) <= 0).all()
    assert bm25.search("cats", 1)[0].tolist() == [2]  # a tie at the cut: the smaller row


@pytest.mark.parametrize("query", ["", "the", "unheard"])
def test_queries_without_known_words_find_nothing(query):
    rows, scores = BM25(["cat"]).search(query, 5)
    assert len(rows) == len(scores) == 0


def test_a_corpus_without_words_finds_nothing_and_none_at_all_is_refused():
    assert len(BM25(["", "the"]).search("the", 5)[0]) == 0
    with pytest.raises(DataError, match="at least one document"):
        BM25([])


def test_scores_are_those_of_bm25s():
    bm25s = pytest.importorskip("bm25s", reason="the extra 'dev' is not installed")
    import Stemmer

    rng = np.random.default_rng(1)
    vocabulary = ["cats", "dog's", "running", "of", "weather", "X-rays", "a", "the", "vaccines", "dosing", "u"]
    texts = [" ".join(rng.choice(vocabulary, rng.integers(0, 20))) for _ in range(60)]
    settings = {"stopwords": sorted(ENGLISH_STOP_WORDS), "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    theirs = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    theirs.index(bm25s.tokenize(texts, allow_empty=True, **settings), show_progress=False)
    ours = BM25(texts)
    for query in ("cats running and the cats", "weather dose", "x-ray vaccine dog"):
        words = bm25s.tokenize([query], return_ids=False, **settings)[0]
        np.testing.assert_allclose(ours.scores(query), theirs.get_scores(words), rtol=2e-6, atol=1e-7)
