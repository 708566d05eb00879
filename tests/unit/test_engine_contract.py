"""What every engine promises, that one more is a module and a line, and that the CPU's need nothing of the others."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from sparseir.errors import ConfigError, DataError
from sparseir.search import engines
from sparseir.search.approximate import ApproximateConfig
from sparseir.search.cpu import CpuEngine
from sparseir.search.engines import Engine
from sparseir.search.query_encoder import QuerySide
from sparseir.search.results import Ranking
from sparseir.search.searcher import Searcher

ROOT = Path(__file__).parents[2]
ALL = ["auto", "exhaustive", "wand", "exact_float", ApproximateConfig(bound_factor=1.0), "torch on the CPU"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Documents {0: 1, 2: 3}, {2: 2}, {}, {1: 4} with impacts equal to the weights."""
    rows = [{0: 1.0, 2: 3.0}, {2: 2.0}, {}, {1: 4.0}]
    config = IndexConfig(doc_scale=1.0, stored_weights="f32", metadata=("part",))
    folder = tmp_path_factory.mktemp("engines") / "index"
    return build_index(
        folder, SparseVectors.from_rows(rows, 9), fields=[{"part": i % 2} for i in range(4)], config=config
    ).path


def opened(path, engine) -> Searcher:
    if engine == "torch on the CPU":
        pytest.importorskip("torch")
        from sparseir.search.gpu import GpuConfig

        engine = GpuConfig(backend="torch", device="cpu", window_shift=6)
    return Searcher.open(path, engine=engine)


@pytest.mark.parametrize("engine", ALL, ids=str)
def test_what_every_engine_promises(path, engine):
    """Query {2: 1, 0: 1, 2³² - 3: 1}: 3 + 1 and 2; a term that no index holds adds nothing; then padding."""
    searcher = opened(path, engine)
    query = np.array([2, 0, 2**32 - 3], np.uint32), np.ones(3, np.float32)
    one = searcher.search_terms(*query, k=3)
    assert one.ordinals.tolist() == [0, 1, -1]
    assert one.scores.tolist() == [4.0, 2.0, -np.inf]
    batch = searcher.search_vectors(SparseVectors.from_rows([{2: 1.0}, {}], 9), k=1)
    assert (batch.ordinals.tolist(), batch.scores.tolist()) == ([[0], [-1]], [[3.0], [-np.inf]])
    assert searcher.search_terms(*query, k=3, filter="part=1").ordinals.tolist() == [1, -1, -1]
    assert searcher.search_terms([], [], k=1).ordinals.tolist() == [-1]
    only_first = searcher.prepare_filter(["0"]).bitmaps
    assert searcher.engine.impacts(np.array([0, 1, 2, 8], np.uint32), only_first).tolist() == [1, 0, 3, 0]
    assert searcher.engine.impacts(np.zeros(0, np.uint32), only_first).tolist() == []
    for terms, weights, message in (
        ([0], [-1.0], "negative"),
        ([0, 0], [1.0, 2.0], "twice"),
        ([9], [1.0], "vocabulary"),
    ):
        with pytest.raises(DataError, match=message):
            searcher.search_terms(terms, weights, k=1)


def test_a_restriction_does_not_outlive_a_search_that_fails(path):
    searcher = Searcher.open(path, filter_memory=10.0)
    for view in ("never", "now"):
        prepared = searcher.prepare_filter("part=1", view=view)
        with pytest.raises(DataError, match="negative"):
            searcher.search_terms([2], [-1.0], k=2, filter=prepared)
        assert searcher.search_terms([2], [1.0], k=2).ordinals.tolist() == [0, 1]


@pytest.mark.parametrize("engine", ["auto", "exact_float", ApproximateConfig(bound_factor=1.0)], ids=str)
def test_a_dropped_searcher_lets_go_of_its_index_at_once(path, engine):
    """By reference counts alone: a service that opens every new commit must not wait for the collector."""
    searcher = Searcher.open(path, engine=engine, filter_memory=10.0)
    searcher.search_terms([2], [1.0], k=2, filter=searcher.prepare_filter("part=1", view="now"))
    parts = [weakref.ref(part) for part in (searcher.engine, searcher.index, searcher.filters)]
    gc.disable()
    try:
        del searcher
        assert [part() for part in parts] == [None] * 3
    finally:
        gc.enable()


def test_counts_go_on_where_larger_searches_need_more_scratch(path):
    searcher, before = Searcher.open(path, engine="exhaustive"), 0
    for k, num_terms in ((1, 3), (400, 3), (1, 300)):
        searcher.search_terms(np.arange(num_terms, dtype=np.uint32), np.ones(num_terms, np.float32), k)
        scored = searcher.stats()["postings_scored"]
        assert scored > before
        before = scored


def test_another_engine_is_a_module_and_a_line(path, monkeypatch):
    class First(Engine):
        """Finds the first document, whatever is asked for."""

        name = "first"

        def search_vectors(self, vectors, k, allowed):
            ordinals, scores = np.full((len(vectors), k), -1), np.full((len(vectors), k), -np.inf, np.float32)
            ordinals[:, 0], scores[:, 0] = 0, 1.0
            return Ranking(ordinals, scores)

        def impacts(self, term_ids, document):
            return np.zeros(len(term_ids), np.int64)

    module = ModuleType("first_engine")
    module.open_engine = lambda choice, index, native, num_threads: First()
    monkeypatch.setitem(sys.modules, "first_engine", module)
    monkeypatch.setitem(engines._MODULES, "first", "first_engine")
    searcher = Searcher.open(path, engine="first")
    assert searcher.search_terms([1], [1.0], k=2).ordinals.tolist() == [0, -1]
    assert searcher.search_terms([1], [1.0], k=2, filter="part=0").ordinals.tolist() == [0, -1]
    assert searcher.stats() == {}
    assert searcher.calibrations == []
    with pytest.raises(ConfigError, match="'first' has nothing to calibrate"):
        searcher.calibrate(SparseVectors.empty(1, 9), 10)
    with pytest.raises(ConfigError, match="the first engine filters by bitmaps"):
        searcher.prepare_filter("part=0", view="now")
    with pytest.raises(DataError, match="twice"):
        searcher.search_terms([1, 1], [1.0, 2.0], k=2)


def test_unknown_engines_are_refused_with_the_names_of_all(path):
    for open_it in (
        lambda: Searcher.open(path, engine="fast"),
        lambda: CpuEngine(Searcher.open(path).engine.native, engine="gpu-ish"),
    ):
        with pytest.raises(ConfigError, match=r"does not exist; there are: auto, .*approximate, exact_float, gpu"):
            open_it()


def test_a_cpu_search_imports_nothing_of_the_gpu_engine_nor_torch_nor_scipy(path):
    program = """
import sys
import numpy as np
from indexer import SparseVectors
from sparseir import Searcher
for engine in ("auto", "exact_float", "approximate"):
    searcher = Searcher.open(sys.argv[1], engine=engine)
    searcher.search_terms(np.array([2], np.uint32), np.ones(1, np.float32), 2, filter="part=1")
    searcher.search_vectors(SparseVectors.from_rows([{2: 1.0}], 9), 2)
heavy = [m for m in sys.modules if m.startswith("sparseir.search.gpu") or m in ("torch", "scipy", "transformers")]
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_query_encoder_is_opened_once_though_threads_ask_together():
    made = []

    def slowly():
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    side, found = QuerySide(slowly), []
    threads = [threading.Thread(target=lambda: found.append(side.encoder)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == made * 4
