"""The gpu engine over a built index: segments read from files, layouts kept beside them, queries rounded as everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from indexer import SparseVectors, build_index, open_index
from indexer.config import IndexConfig
from indexer.native.queries import quantize_queries
from indexer.update import add_documents, delete_documents
from sparseir.errors import ConfigError, NativeError
from sparseir.search.gpu import GpuConfig, GpuEngine, backends
from sparseir.search.gpu.driver import Driver
from sparseir.search.gpu.index_source import layout_folder, segment_postings
from sparseir.search.gpu.postings import SegmentPostings
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.gpu_cases import make_case
from tests.gpu_emulation import emulated_library
from tests.segment_reference import build_segment

CONFIG = GpuConfig(backend="torch", device="cpu", window_shift=6)


def vectors_of(case, scale=1.0):
    return SparseVectors.from_arrays(case.indptr, case.term_ids, case.impacts * np.float32(scale), case.num_terms)


def test_queries_round_as_the_oracle_rounds_them():
    rng = np.random.default_rng(2)
    rows = [dict(zip(range(n), rng.gamma(0.5, 2.0, n) + 1e-4, strict=True)) for n in (0, 1, 9, 0, 5000, 40)]
    queries = SparseVectors.from_rows(rows, 5000)
    batch, scales = quantize_queries(queries)
    for q in range(len(rows)):
        weights, scale = oracle.quantize_query(queries.row(q)[1])
        lo, hi = batch.indptr[q : q + 2]
        np.testing.assert_array_equal(batch.weights[lo:hi], weights)
        assert scales[q] == scale
    assert int(batch.weights[batch.indptr[4] : batch.indptr[5]].sum()) * 255 < 2**31


def test_an_index_is_searched_from_its_files_and_its_layouts_are_kept(tmp_path):
    case = make_case(60, 700)
    index = build_index(tmp_path / "index", vectors_of(case))
    want_ordinals, want_scores = case.expected(20)
    fresh = GpuEngine.open(index, CONFIG).search(case.queries, 20)
    kept = sorted(p.name for p in layout_folder(index).iterdir())
    assert len(kept) == len(index.segments)
    again = GpuEngine.open(open_index(tmp_path / "index"), CONFIG).search(case.queries, 20)
    impacts_are_weights = index.doc_scale == 1.0
    for ordinals, scores in (fresh, again):
        np.testing.assert_array_equal(ordinals, fresh[0])
        if impacts_are_weights:
            np.testing.assert_array_equal(ordinals, want_ordinals)
            np.testing.assert_array_equal(scores, want_scores)


def test_damaged_and_stale_layouts_are_replaced(tmp_path):
    """A cut array does not fit the others and is built again; the layout of a segment that is gone is deleted."""
    case = make_case(64, 300)
    index = build_index(tmp_path / "index", vectors_of(case))
    want = GpuEngine.open(index, CONFIG).search(case.queries, 10)
    (place,) = layout_folder(index).iterdir()
    np.save(place / "local.npy", np.load(place / "local.npy")[:-3])
    (layout_folder(index) / "000009.seg-00000000-w6").mkdir()
    for got, expected in zip(GpuEngine.open(index, CONFIG).search(case.queries, 10), want, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert [p.name for p in layout_folder(index).iterdir()] == [place.name]


def test_the_searcher_gives_the_same_on_every_engine(tmp_path):
    """Ordinals and the float scores users see, after an addition and a deletion, by batch and by single query."""
    case = make_case(61, 500, levels=20)
    build_index(tmp_path / "index", vectors_of(case, 0.013))
    add_documents(tmp_path / "index", vectors_of(make_case(62, 90), 0.011))
    delete_documents(tmp_path / "index", ["3", "77", "510"])
    queries = vectors_of(make_case(63, 12, density=0.3))
    cpu, gpu = (Searcher.open(tmp_path / "index", engine=engine) for engine in ("exhaustive", CONFIG))
    want, got = cpu.search_vectors(queries, 30), gpu.search_vectors(queries, 30)
    np.testing.assert_array_equal(got.ordinals, want.ordinals)
    np.testing.assert_array_equal(got.scores, want.scores)
    few = np.arange(40, 560, 7)
    want, got = (s.search_vectors(queries, 30, filter=few) for s in (cpu, gpu))
    np.testing.assert_array_equal(got.ordinals, want.ordinals)
    assert (got.ordinals >= 0).any()
    one = gpu.search_terms(*queries.row(5), k=30, filter=few)
    np.testing.assert_array_equal(one.ordinals, want.ordinals[5])
    np.testing.assert_array_equal(one.scores, want.scores[5])


@pytest.mark.parametrize("num_docs", [0, 1, 300, 3000, 70_000])
def test_segments_read_from_files_equal_segments_from_rows(num_docs, tmp_path):
    """Dense and sparse directories, one and two windows of 65,536."""
    case = make_case(num_docs + 3, num_docs, num_terms=20, density=0.01)
    segment = FakeSegment(build_segment(case.indptr, case.term_ids, case.impacts), tmp_path)
    read = segment_postings(segment)
    direct = SegmentPostings.from_rows(case.indptr, case.term_ids, case.impacts)
    for name in ("term_ids", "docs", "impacts", "list_max", "ladder"):
        np.testing.assert_array_equal(getattr(read, name), getattr(direct, name), err_msg=name)
    filled = read.run_end > read.run_start
    np.testing.assert_array_equal(read.run_row[filled], direct.run_row)
    np.testing.assert_array_equal(read.run_base[filled], direct.run_base)
    np.testing.assert_array_equal(read.run_start[filled], direct.run_start)
    np.testing.assert_array_equal(read.run_end[filled], direct.run_end)


class FakeSegment:
    """What `segment_postings` asks of an opened segment, over the reference builder's bytes."""

    def __init__(self, data: bytes, folder) -> None:
        from indexer.format.segment import SegmentFile

        self.path = folder / "reference.seg"
        self.path.write_bytes(data)
        file = SegmentFile(self.path)
        self.section, self.header = file.section, file.header
        self.num_docs, self.deleted = file.header.num_docs, None


@pytest.mark.parametrize("base", [2**32 - 150, 2**40])
def test_ordinals_may_span_more_than_32_bits(base):
    """Three segments; the last two begin far above the first. Every score ties, so the ordinals decide."""
    case = make_case(65, 400, levels=1, splits=(130, 200), order=np.arange(400))
    bases = (0, base, base + 2**33)
    segments = [replace(s, ordinal_base=b) for s, b in zip(case.segments(), bases, strict=True)]
    shift = np.repeat(np.array(bases) - (0, 130, 200), (130, 70, 200))
    ordinals, scores = GpuEngine(segments, CONFIG).search(case.queries, 350)
    want, want_scores = case.expected(350)
    np.testing.assert_array_equal(scores, want_scores)
    np.testing.assert_array_equal(ordinals, np.where(want >= 0, want + shift[want], -1))


def test_a_compact_index_answers_the_same(tmp_path):
    case = make_case(66, 3000, num_terms=40, density=0.1)
    answers = []
    for layout in ("standard", "compact"):
        index = build_index(tmp_path / layout, vectors_of(case), config=IndexConfig(layout=layout))
        answers.append(GpuEngine.open(index, CONFIG).search(case.queries, 30))
    for standard, compact in zip(*answers, strict=True):
        np.testing.assert_array_equal(compact, standard)


def test_without_a_gpu_the_engine_says_so_and_what_to_do(tmp_path, monkeypatch):
    """Neither by name nor by device does anything fall to the CPU unasked; torch does where it is named."""

    def no_driver(ordinal: int) -> None:
        raise NativeError("the CUDA driver (libcuda.so.1) does not load")

    monkeypatch.setattr(backends, "_driver", no_driver)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    build_index(tmp_path / "index", vectors_of(make_case(67, 30)))
    for engine in (
        "gpu",
        GpuConfig(device="cuda"),
        GpuConfig(backend="torch", device="cuda"),
        GpuConfig(backend="triton"),
    ):
        with pytest.raises(ConfigError, match="needs a CUDA device"):
            Searcher.open(tmp_path / "index", engine=engine)
    with pytest.raises(NativeError, match="libcuda"):
        Searcher.open(tmp_path / "index", engine=GpuConfig(backend="cuda"))
    Searcher.open(tmp_path / "index", engine=GpuConfig(backend="torch"))


def test_a_slower_backend_than_the_kernels_is_announced(monkeypatch):
    def no_compiler(arch: str) -> bytes:
        raise NativeError("the CUDA kernels need NVRTC or nvcc, and neither was found")

    monkeypatch.setattr(backends, "_driver", lambda ordinal: Driver(emulated_library()))
    monkeypatch.setattr("sparseir.search.gpu.compiler.compiled_kernels", no_compiler)
    monkeypatch.setattr(backends, "_torch_device", lambda config, reason: "cpu")
    with pytest.warns(UserWarning, match="neither was found"):
        GpuEngine(make_case(68, 30).segments(), GpuConfig())
