"""The gpu engine on a CUDA device equals the oracle to the bit.

make test-gpu, make sanitize-cuda
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from sparseir.errors import NativeError
from sparseir.search.gpu import GpuConfig, GpuEngine
from sparseir.search.gpu.cuda_backend import CudaBackend, CudaLimits
from sparseir.search.gpu.driver import Driver
from sparseir.search.gpu.head import split_head
from sparseir.search.gpu.layout import build_layout
from tests.gpu_cases import WINDOW_SHIFT, all_ties, check_case, make_case, standard_cases

pytestmark = pytest.mark.gpu
CONFIG = GpuConfig(window_shift=WINDOW_SHIFT)


class PoisonedDriver(Driver):
    """Fills whatever it allocates with 0xA5, so that memory nobody wrote does not pass for zeros."""

    def call(self, name: str, *arguments: Any) -> None:
        super().call(name, *arguments)
        if name == "cuMemAlloc_v2":
            place = ctypes.c_uint64(arguments[0]._obj.value)
            super().call("cuMemsetD8_v2", place, ctypes.c_ubyte(0xA5), arguments[1])


@pytest.fixture(scope="module")
def driver() -> Driver:
    try:
        made = PoisonedDriver()
        made.use()
        return made
    except NativeError as error:
        pytest.skip(str(error))


def opener(driver, *, capacity=None, group=None, threads=512, head_terms=0):
    def open_backend(layout, postings, config):
        others, head = postings, None
        if head_terms:
            head, others = split_head(postings, head_terms, layout.window_docs)
        layout = build_layout(others, window_shift=layout.window_shift, group=group)
        limits = CudaLimits(memory=4 << 30, capacity=capacity, threads=threads)
        return CudaBackend(layout, postings, driver, limits, head=head)

    return open_backend


@pytest.mark.parametrize("name", standard_cases())
@pytest.mark.parametrize("group", [1, 4])
def test_equals_the_oracle(driver, name, group):
    check_case(standard_cases()[name], CONFIG, open_backend=opener(driver, group=group))


@pytest.mark.parametrize("name", standard_cases())
@pytest.mark.parametrize("head_terms", [32, 256])
def test_a_dense_head_changes_nothing(driver, name, head_terms):
    check_case(standard_cases()[name], CONFIG, open_backend=opener(driver, head_terms=head_terms))


@pytest.mark.parametrize("edge", [-1, 0, 1])
@pytest.mark.parametrize("window_shift", [5, 10, 13])
def test_window_edges(driver, edge, window_shift):
    """3 windows of documents, one less, one more."""
    case = make_case(70, 3 * (1 << window_shift) + edge, density=0.05, num_terms=120, lengths=[107, 20, 1])
    check_case(case, GpuConfig(window_shift=window_shift), (10, 1000), open_backend=opener(driver))


@pytest.mark.parametrize("capacity", [16, 200])
def test_forced_overflow_drops_nothing(driver, capacity):
    check_case(all_ties(5000), CONFIG, (1, 10, 16), open_backend=opener(driver, capacity=capacity))
    check_case(make_case(71, 4000, levels=2), CONFIG, (10, 100), open_backend=opener(driver, capacity=capacity))


@pytest.mark.parametrize("threads", [32, 128, 256])
def test_any_block_size(driver, threads):
    check_case(make_case(72, 900), CONFIG, (10,), open_backend=opener(driver, threads=threads))


def test_more_hits_than_the_device_sorts(driver):
    check_case(make_case(73, 9000), CONFIG, (1024, 1025, 5000), open_backend=opener(driver))


def test_a_large_batch_gives_the_same_bits_every_time(driver):
    """2,000 queries over 60,000 documents, compared with the torch backend on the device, five times."""
    case = make_case(74, 60_000, density=0.01, num_terms=400, levels=6, lengths=[45] * 2000)
    (postings,) = case.segments()
    pytest.importorskip("torch")
    reference = GpuEngine([postings], GpuConfig(backend="torch", device="cuda")).search(case.queries, 100)
    engine = GpuEngine([postings], GpuConfig(), open_backend=opener(driver))
    for _ in range(5):
        for got, want in zip(engine.search(case.queries, 100), reference, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("backend", ["triton", "torch", "auto"])
def test_other_backends_on_the_device(driver, backend):
    if backend == "triton":
        pytest.importorskip("triton")
    config = GpuConfig(backend=backend, device="cuda", window_shift=WINDOW_SHIFT)
    for name in ("700 documents", "long queries", "everything"):
        check_case(standard_cases()[name], config)
