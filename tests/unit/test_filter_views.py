"""When views of filters are made and dropped, and that nobody can tell from the hits."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from indexer.merge import subset
from sparseir.errors import ConfigError
from sparseir.search.approximate import ApproximateConfig
from sparseir.search.searcher import Searcher

NUM_DOCS, NUM_TERMS = 400, 30


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(3)
    rows = [
        {int(t): float(w) for t, w in zip(rng.choice(NUM_TERMS, 8, False), rng.integers(1, 5, 8), strict=True)}
        for _ in range(NUM_DOCS)
    ]
    config = IndexConfig(metadata=("part",), stored_weights="f32")
    fields = [{"part": i % 4} for i in range(NUM_DOCS)]
    folder = tmp_path_factory.mktemp("views") / "index"
    return build_index(folder, SparseVectors.from_rows(rows, NUM_TERMS), fields=fields, config=config).path


@pytest.fixture
def searcher(path):
    return Searcher.open(path, filter_memory=100.0)


QUERY = np.arange(6, dtype=np.uint32), np.linspace(0.3, 2, 6, dtype=np.float32)


def queries(count):
    rows = [{int(t): float(w) for t, w in zip((QUERY[0] + i) % NUM_TERMS, QUERY[1], strict=True)} for i in range(count)]
    return SparseVectors.from_rows(rows, NUM_TERMS)


def hits(searcher, filter, k=20):
    found = searcher.search_terms(*QUERY, k, filter=filter)
    return found.ordinals.tolist(), found.scores.tolist()


def make_due(prepared):
    """Pretend that its searches have cost more than any view."""
    prepared.use.charge(1e9, 1)


def test_a_filter_earns_its_view(searcher):
    prepared = searcher.prepare_filter("part=1")
    first = hits(searcher, "part=1")
    assert prepared.use.view is None
    assert prepared.use.searches == 1
    assert prepared.use.seconds > 0
    make_due(prepared)
    assert hits(searcher, "part=1") == first
    assert prepared.use.view is not None, "an expression is remembered with its view"
    assert prepared.use.searches == 2, "searches in a view are not counted"
    other = searcher.prepare_filter("part=2")
    hits(searcher, "part=2")
    assert other.use.view is None


def test_a_batch_counts_the_queries_it_brings(searcher):
    """Its first queries are searched under the bitmap, and tell what the others would cost."""
    few, many = searcher.prepare_filter(np.arange(0, 400, 3)), searcher.prepare_filter(np.arange(0, 400, 3))
    batch = queries(200)
    for prepared, price in ((few, 1e9), (many, 1e-9)):
        prepared.use.price, prepared.use.view_bytes = price, 1
    want, got = (searcher.search_vectors(batch, 10, filter=prepared) for prepared in (few, many))
    np.testing.assert_array_equal(want.ordinals, got.ordinals)
    np.testing.assert_array_equal(want.scores, got.scores)
    assert few.use.view is None
    assert few.use.searches == 200
    assert many.use.view is not None
    assert many.use.searches < 200


@pytest.mark.parametrize("engine", ["auto", "maxscore", "exact_float", ApproximateConfig(bound_factor=3.0)])
def test_every_engine_answers_alike(path, engine):
    """Under a filter approximate search is exact, in a view as well."""
    searcher = Searcher.open(path, engine=engine, filter_memory=100.0)
    allowed = np.arange(5, 400, 7)
    under_bitmap = searcher.prepare_filter(allowed, view="never")
    in_view = searcher.prepare_filter(allowed, view="now")
    assert under_bitmap.use.view is None
    assert in_view.use.view is not None
    for k in (1, 10, 90):
        assert hits(searcher, under_bitmap, k) == hits(searcher, in_view, k)
    want, got = (searcher.search_vectors(queries(20), 5, filter=f) for f in (under_bitmap, in_view))
    np.testing.assert_array_equal(want.ordinals, got.ordinals)
    np.testing.assert_array_equal(want.scores, got.scores)
    make_due(under_bitmap)
    hits(searcher, under_bitmap)
    assert under_bitmap.use.view is None, "never"


def test_work_in_a_view_is_counted(searcher):
    prepared = searcher.prepare_filter("part=3", view="now")
    before = searcher.stats()["postings_scored"]
    hits(searcher, prepared)
    assert searcher.stats()["postings_scored"] > before
    hits(searcher, None)
    assert len(hits(searcher, None, 400)[0]) == 400, "the restriction is lifted afterwards"


def test_views_not_used_for_longest_make_room(searcher):
    first, second, third = (searcher.prepare_filter(f"part={i}", view="now") for i in range(3))
    hits(searcher, first)
    searcher.filters.views.budget = first.use.view_bytes + third.use.view_bytes + 3 * second.use.view_bytes // 2
    fourth = searcher.prepare_filter("part=3", view="now")
    assert second.use.view is None
    assert second.use.searches == 0, "the next view must be earned anew"
    assert all(f.use.view is not None for f in (first, fourth))
    assert len(hits(searcher, second)[0]) == 20


def test_what_does_not_fit_is_not_made(path):
    searcher = Searcher.open(path, filter_memory=0.01)
    prepared = searcher.prepare_filter("part<3")
    hits(searcher, prepared)
    make_due(prepared)
    hits(searcher, prepared)
    assert prepared.use.view is None
    assert not prepared.use.wanted
    with pytest.raises(ConfigError, match=r"filter_memory=\d"):
        searcher.prepare_filter("part<3", view="now")
    with pytest.raises(ConfigError, match="auto, now, never"):
        searcher.prepare_filter("part<3", view="soon")
    with pytest.raises(ConfigError, match="filter_memory is -1"):
        Searcher.open(path, filter_memory=-1)


def test_a_view_goes_with_its_filter(searcher):
    prepared = searcher.prepare_filter(np.arange(9), view="now")
    assert len(searcher.filters.views._kept) == 1
    del prepared
    gc.collect()
    assert len(searcher.filters.views._kept) == 0


@pytest.mark.parametrize("filter", [np.arange(0), np.arange(NUM_DOCS), ["7"]])
def test_none_all_and_one(searcher, filter):
    assert hits(searcher, searcher.prepare_filter(filter, view="now")) == hits(
        searcher, searcher.prepare_filter(filter, view="never")
    )


def test_an_index_of_nothing(tmp_path):
    searcher = Searcher.open(build_index(tmp_path / "index", SparseVectors.empty(0, NUM_TERMS)).path, filter_memory=1e6)
    prepared = searcher.prepare_filter([])
    hits(searcher, prepared)
    make_due(prepared)
    assert hits(searcher, prepared)[0] == [-1] * 20


def test_one_thread_makes_the_view_and_others_go_on(searcher, monkeypatch):
    """While a view is being made, other threads search under the bitmap; it is made once."""
    made, going_on = [], threading.Event()

    def slowly(*arguments):
        assert going_on.wait(30), "no other search ended while the view was being made"
        made.append(1)
        return filter_views_subset(*arguments)

    filter_views_subset = subset.subset_segment
    monkeypatch.setattr(subset, "subset_segment", slowly)
    prepared = searcher.prepare_filter("part=1")
    want = hits(searcher, prepared)
    make_due(prepared)
    answers = []

    def work():
        answers.append(hits(searcher, prepared))
        if prepared.use.searches >= 3:
            going_on.set()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert answers == [want] * 4
    assert hits(searcher, prepared) == want
