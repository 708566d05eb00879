"""Every case, group and order of threads through the emulated CUDA kernels."""

from __future__ import annotations

import pytest

from sparseir.search.gpu import GpuConfig
from tests.gpu_cases import WINDOW_SHIFT, check_case, make_case, standard_cases
from tests.gpu_emulation import BACKWARDS, FORWARDS, SHUFFLED, emulated_backend

CONFIG = GpuConfig(window_shift=WINDOW_SHIFT)


@pytest.mark.parametrize("name", standard_cases())
@pytest.mark.parametrize("group", [1, 4])
def test_equals_the_oracle(name, group):
    check_case(standard_cases()[name], CONFIG, (1, 10, 300), open_backend=emulated_backend(group=group))


@pytest.mark.parametrize("schedule", [FORWARDS, BACKWARDS, SHUFFLED, 8])
def test_the_order_of_threads_and_blocks_does_not_show(schedule):
    """A missing barrier would make the answer depend on it. 64 candidates force samples, waves and second searches."""
    case = make_case(51, 1500, levels=4)
    check_case(case, CONFIG, (3, 40), open_backend=emulated_backend(schedule, capacity=64, group=4))


@pytest.mark.parametrize("threads", [32, 96, 512])
def test_any_block_size(threads):
    case = make_case(52, 300, num_terms=700, lengths=[650, 2, 40])
    check_case(case, CONFIG, (7,), open_backend=emulated_backend(threads=threads))


@pytest.mark.parametrize("window_shift", [5, 8, 10, 13])
def test_any_window_size(window_shift):
    case = make_case(55, 2500, lengths=[9, 1, 30])
    config = GpuConfig(window_shift=window_shift)
    check_case(case, config, (10,), open_backend=emulated_backend(SHUFFLED, capacity=256, group=4))


@pytest.mark.parametrize(
    "name", ["0 documents", "65 documents", "700 documents", "one level", "long queries", "everything"]
)
@pytest.mark.parametrize("head_terms", [1, 40])
def test_a_dense_head_changes_nothing(name, head_terms):
    """1 is rounded up to 32 columns, 40 to 64, more than most of these collections have terms."""
    backend = emulated_backend(SHUFFLED, head_terms=head_terms, capacity=96)
    check_case(standard_cases()[name], CONFIG, (10,), open_backend=backend)
