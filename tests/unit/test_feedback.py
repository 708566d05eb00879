"""Second searches with words of the first hits: the formula by hand, one answer everywhere, and what is refused."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, delete_documents
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.errors import ConfigError, SparseIRError
from sparseir.search.feedback.options import Feedback
from sparseir.search.feedback.rows import DocumentRows
from sparseir.search.filters.expressions import allowed_documents
from sparseir.search.searcher import Searcher
from tests.lexical_cases import TableEncoder
from tests.lexical_cases import documents as texts_named
from tests.unit.test_shard_folders import QUERIES, command, documents

ENGINES = ["exhaustive", "maxscore", "wand", "block_max_wand", "block_filter"]


def build(path, encoder=None, docs=None, **options):
    config = IndexConfig(metadata=("part",))
    indexing = IndexingOptions(config=config, lexical=LexicalConfig(), batch=7, **options)
    return index_documents(path, encoder, docs or documents(), options=indexing).index


@pytest.fixture(scope="module", params=[None, TableEncoder()], ids=["words", "both"])
def built(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("feedback")
    build(folder / "whole", request.param)
    build(folder / "parts", request.param, shards=3)
    return folder


def by_hand(searcher, text, feedback):
    """The query of the second search from impacts that the engine looks up, in plain Python."""
    index, encoder = searcher.index, searcher.queries.encoder
    query = dict(zip(*(a.tolist() for a in encoder.encode(text)), strict=True))
    ranking = searcher.search_vectors(encoder.encode_batch([text]), feedback.documents)
    found = [(o, float(s)) for o, s in zip(ranking.ordinals[0], ranking.scores[0], strict=True) if o >= 0]
    if not found:
        return query
    shares = [math.exp(4 * (score / found[0][1] - 1)) for _, score in found]
    terms = np.arange(index.num_terms, dtype=np.uint32)
    sums = np.zeros(index.num_terms)
    for share, (ordinal, _) in zip(shares, found, strict=True):
        impacts = searcher.engine.impacts(terms, allowed_documents(index, np.array([ordinal])))
        sums += share / sum(shares) * impacts * index.doc_scale
    gains = sums * encoder.word_weights(terms)
    gains[[term for term, weight in query.items() if weight > 0]] = 0
    gains[np.array(index.document_frequencies(terms.tolist())) < 2] = 0  # no other document to find by it
    best = [t for t in sorted(terms.tolist(), key=lambda t: (-gains[t], t))[: feedback.terms] if gains[t] > 0]
    if not best:
        return query
    length = math.sqrt(sum(gains[t] ** 2 for t in best))
    scale = feedback.weight * math.sqrt(sum(w * w for w in query.values())) / length
    return {**query, **{t: scale * gains[t] for t in best}}


@pytest.mark.parametrize("feedback", [Feedback(), Feedback(documents=3, terms=2, weight=1.5), Feedback(documents=100)])
def test_queries_are_those_of_the_formula(built, feedback):
    with Searcher.open(built / "whole") as searcher:
        for text, row in zip(QUERIES, range(len(QUERIES)), strict=True):
            terms, weights = searcher.encode_queries(QUERIES, feedback=feedback).row(row)
            expected = by_hand(searcher, text, feedback)
            assert terms.tolist() == sorted(expected)
            assert weights.tolist() == pytest.approx([expected[t] for t in terms.tolist()], rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", ["whole", "parts"])
def test_engines_shards_and_batches_agree_to_the_bit(built, engine, place):
    with (
        Searcher.open(built / "whole", engine="exhaustive") as plain,
        Searcher.open(built / place, engine=engine) as other,
    ):
        batch = other.search(QUERIES, 7, feedback=Feedback())
        for text, hits in zip(QUERIES, batch, strict=True):
            expected = plain.search(text, 7, feedback=Feedback())
            assert hits.docnos == other.search(text, 7, feedback=Feedback()).docnos == expected.docnos
            assert hits.scores.tolist() == expected.scores.tolist()
            for docno, score in zip(expected.docnos[:2], expected.scores.tolist(), strict=False):
                told = other.explain(text, docno, feedback=Feedback())
                assert told.score == score
                assert sum(term.product for term in told.terms) == told.integer_score


def test_words_of_the_first_hits_find_what_the_query_does_not_say(tmp_path):
    texts = ["jaguar speed cat predator", "jaguar car", "cat predator stalks", "weather", "cooking pasta"]
    build(tmp_path / "i", docs=texts_named(texts))
    with Searcher.open(tmp_path / "i") as searcher:
        assert searcher.search("jaguar speed").docnos == ["d0", "d1"]
        hits = searcher.search("jaguar speed", feedback=Feedback(documents=1))
        assert hits.docnos == ["d0", "d1", "d2"]
        added = [t.token for t in searcher.explain("jaguar speed", "d2", feedback=Feedback(documents=1)).terms]
        assert sorted(added) == ["cat", "predat"]


def test_documents_that_a_filter_hides_teach_nothing(tmp_path):
    """Words of other people's documents must not come back in a query, nor in what explains it."""
    docs = documents(30)
    secret = [type(docs[0])("s0", "cat secretword", "", {"part": 9})]
    build(tmp_path / "with", docs=[*docs, *secret])
    with Searcher.open(tmp_path / "with") as searcher:

        def names(**filter):
            vectors = searcher.encode_queries(["cat secretword"], feedback=Feedback(documents=1, terms=1000), **filter)
            return {searcher.queries.encoder.token(t) for t in vectors.term_ids.tolist()}

        assert names() == {"cat", "secretword"}  # s0 itself: nothing more to learn
        allowed = names(filter="part<9")
        first = searcher.search("cat secretword", 1, filter="part<9", feedback=Feedback(documents=1))[0].docno
        said = next(d.text for d in docs if d.docno == first).split()
        assert allowed > {"cat", "secretword"}
        stems = {searcher.queries.encoder.lexical.analyzer.stem(word) for word in said}
        assert allowed - {"cat", "secretword"} <= stems
        many = searcher.search(["cat secretword"], 3, filter="part<9", feedback=Feedback())[0]
        one = searcher.search("cat secretword", 3, filter="part<9", feedback=Feedback())
        assert (many.docnos, many.scores.tolist()) == (one.docnos, one.scores.tolist())


def test_a_query_that_finds_nothing_stays_as_it_is(built):
    with Searcher.open(built / "whole") as searcher:
        assert searcher.search("zebra", feedback=Feedback()).docnos == []
        assert searcher.search("", feedback=Feedback()).docnos == []
        assert len(searcher.search([], feedback=Feedback())) == 0


def test_words_weigh_what_they_would_in_a_query(built):
    """Fitted or not, alpha or not: a word that is added weighs as one that is said."""
    for alpha in (None, 0.5, 0.0):
        with Searcher.open(built / "whole", alpha=alpha) as searcher:
            encoder = searcher.queries.encoder
            for term in range(encoder.lexical.first_term, encoder.num_terms):
                weight = encoder.word_weights(np.array([term], np.uint32))[0]
                said = dict(zip(*(a.tolist() for a in encoder.stems(encoder.token(term))), strict=True))
                assert np.float32(weight) == said.get(term, 0.0)
            learned = np.arange(encoder.lexical.first_term, dtype=np.uint32)
            assert not encoder.word_weights(learned).any()


def test_passages_teach_by_the_best_of_each_document(tmp_path):
    build(tmp_path / "i", windows=Windows(8, 4))
    with Searcher.open(tmp_path / "i") as searcher:
        for text in QUERIES[:3]:
            hits = searcher.search(text, 5, feedback=Feedback())
            assert len(set(hits.docnos)) == 5
            assert searcher.explain(text, hits.docnos[0], feedback=Feedback()).score == hits.scores[0]


@pytest.mark.parametrize(("fewest", "first"), [(1, 0), (2, 0), (40, 0), (1, 5)])
def test_rows_are_documents_as_they_are_indexed(built, fewest, first):
    with Searcher.open(built / "parts") as searcher:
        index, rows = searcher.index, DocumentRows(searcher.index, searcher.engine, fewest=fewest, first_term=first)
        ordinals = np.array([41, 3, 3, 59, 0])
        for _ in range(2):  # read, and remembered
            for ordinal, (terms, impacts) in zip(ordinals, rows.of(ordinals), strict=True):
                every = np.arange(index.num_terms, dtype=np.uint32)
                expected = searcher.engine.impacts(every, allowed_documents(index, np.array([ordinal])))
                expected[np.array(index.document_frequencies(every.tolist())) < fewest] = 0
                expected[:first] = 0
                assert terms.tolist() == np.flatnonzero(expected).tolist()
                assert impacts.tolist() == expected[expected > 0].tolist()


def test_deleted_documents_teach_nothing(tmp_path):
    build(tmp_path / "i", docs=texts_named(["cat zebra", "cat dog", "dog", "park"]))
    delete_documents(tmp_path / "i", ["d0"])
    with Searcher.open(tmp_path / "i") as searcher:
        vectors = searcher.encode_queries(["cat"], feedback=Feedback())
        assert {searcher.queries.encoder.token(t) for t in vectors.term_ids.tolist()} == {"cat", "dog"}


@pytest.mark.parametrize(
    "values",
    [{"documents": 0}, {"documents": 101}, {"documents": 1.5}, {"documents": True}, {"terms": 0}, {"terms": 1001}]
    + [{"weight": w} for w in (0, -1, math.nan, math.inf, 101, "1", True)],
)
def test_numbers_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match="feedback"):
        Feedback(**values)


def test_an_index_without_words_is_refused(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 2))
    learned = Searcher.open(tmp_path / "i", query_encoder=TableEncoder().query_table)
    with learned, pytest.raises(ConfigError, match="has learned terms alone; build it with --lexical or --bm25"):
        learned.search("cat", feedback=Feedback())
    with Searcher.open(tmp_path / "i") as searcher, pytest.raises(SparseIRError, match="carries no query side"):
        searcher.search("cat", feedback=Feedback())


def test_from_the_command_line(built, tmp_path, capsys):
    index = built / "whole"
    assert command("search", index, "dogs running", "--feedback", 2, "--json", "-k", 3) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with Searcher.open(index) as searcher:
        expected = searcher.search("dogs running", 3, feedback=Feedback())
    assert [hit["docno"] for hit in shown] == expected.docnos
    (tmp_path / "q.tsv").write_text("q1\tdogs running\n")
    assert command("search", index, "--queries", tmp_path / "q.tsv", "--feedback", 2, "-k", 3) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == expected.docnos
    assert command("explain", index, "dogs running", expected.docnos[0], "--feedback", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(float(expected.scores[0]))
    for words, fault in (
        (["--feedback", 0], "--feedback is 0; expected at least 1"),
        (["--feedback", 1000], "feedback of 1000 documents; expected a whole number from 1 to 100"),
        (["--feedback-weight", 0.5], "--feedback-weight is of the words that --feedback adds; give both"),
        (["--feedback", 2, "--feedback-weight", -1], "feedback with a weight of -1.0"),
        (["--feedback", 2, "--rerank", 5], "give it or --feedback, not both"),
    ):
        assert command("search", index, "dogs", *words) == 2
        assert fault in capsys.readouterr().err


def test_terms_that_a_segment_does_not_have_are_refused(built):
    with Searcher.open(built / "whole") as searcher:
        native, here = searcher.engine.native, np.zeros(1, np.uint32)
        for place in (searcher.index.segments[0].header.num_terms, 2**32 - 1):
            with pytest.raises(SparseIRError, match="there is no term at place"):
                native.document_vectors(0, here, np.array([0, place], np.uint32))
        assert [len(a) for a in native.document_vectors(0, here, np.zeros(0, np.uint32))] == [0, 0, 0]


def test_threads_that_begin_together_find_what_one_finds(built):
    """What words weigh is remembered; nobody may see it half written."""
    with Searcher.open(built / "whole") as searcher:
        expected = [hits.scores.tolist() for hits in searcher.search(QUERIES, 9, feedback=Feedback())]
    for _ in range(20):
        with Searcher.open(built / "whole") as searcher, ThreadPoolExecutor(8) as pool:
            ready = Barrier(8)

            def ask(number, searcher=searcher, ready=ready):
                ready.wait()
                return searcher.search(QUERIES[number % 5], 9, feedback=Feedback()).scores.tolist()

            for number, scores in enumerate(pool.map(ask, range(8))):
                assert scores == expected[number % 5]


def test_vectors_of_a_smaller_vocabulary_may_get_words_beyond_it(built):
    with Searcher.open(built / "whole") as searcher:
        terms, weights = searcher.queries.encoder.encode("cat")
        narrow = SparseVectors.from_rows(
            [dict(zip(terms.tolist(), weights.tolist(), strict=True))], int(terms.max()) + 1
        )
        wide = searcher.with_feedback(narrow, Feedback())
        assert wide.num_terms == searcher.index.num_terms
        assert wide.term_ids.tolist() == searcher.encode_queries(["cat"], feedback=Feedback()).term_ids.tolist()


def test_a_term_that_weighs_nothing_and_is_added_is_there_once(built):
    with Searcher.open(built / "whole") as searcher:
        found = searcher.encode_queries(["cat"], feedback=Feedback())
        terms, weights = searcher.queries.encoder.encode("cat")
        added = next(t for t in found.term_ids.tolist() if t not in terms)
        order = np.argsort([*terms.tolist(), added])
        asked = SparseVectors(
            np.array([0, len(order)]),
            np.array([*terms.tolist(), added], np.uint32)[order],
            np.array([*weights.tolist(), 0], np.float32)[order],
            searcher.index.num_terms,
        )
        again = searcher.with_feedback(asked, Feedback())
        assert again.term_ids.tolist() == found.term_ids.tolist()
        assert again.weights.tolist() == found.weights.tolist()


def test_weights_near_the_largest_float_stay_numbers(built):
    with Searcher.open(built / "whole") as searcher:
        heavy = searcher.encode_queries(["cat park"])
        heavy = SparseVectors(heavy.indptr, heavy.term_ids, heavy.weights * np.float32(1e37), heavy.num_terms)
        assert np.isfinite(searcher.with_feedback(heavy, Feedback(weight=100)).weights).all()


def test_a_document_that_is_left_out_teaches_nothing(tmp_path):
    texts = ["cat dog bird", "cat dog fish snake", "fish snake lizard", "cat dog bird"]
    build(tmp_path / "i", docs=texts_named(texts))
    with Searcher.open(tmp_path / "i") as searcher:
        vectors = searcher.encode_queries(["cat dog bird"] * 2)
        told = searcher.with_feedback(vectors, Feedback(documents=2), leave_out=np.array([-1, 0]))
        words = [{searcher.queries.encoder.token(t) for t in told.row(i)[0].tolist()} for i in (0, 1)]
        assert words == [{"cat", "dog", "bird"}, {"cat", "dog", "bird", "fish", "snake"}]


def test_explanations_under_the_filter_of_their_search(built, capsys):
    with Searcher.open(built / "whole") as searcher:
        hits = searcher.search("dogs running", 3, filter="part=1", feedback=Feedback())
    assert (
        command(
            "explain", built / "whole", "dogs running", hits.docnos[0], "--feedback", 2, "--filter", "part=1", "--json"
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(float(hits.scores[0]))
    assert command("explain", built / "whole", "dogs", "d0", "--filter", "part=1") == 2
    assert "a score is the same under any" in capsys.readouterr().err
    assert (
        command("search", built / "whole", "dogs", "--feedback", 2, "--recall-target", 0.9, "--calibrate-on", "q") == 2
    )
    assert "--calibrate-on tunes one search" in capsys.readouterr().err
