"""The CUDA kernels, run on the CPU by the emulated device, equal the oracle to the bit."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from sparseir.errors import ConfigError
from sparseir.search.gpu import GpuConfig
from sparseir.search.gpu.cuda_backend import CudaBackend
from sparseir.search.gpu.cuda_task import Task
from sparseir.search.gpu.layout import build_layout
from sparseir.search.gpu.residency import LayoutOnDevice
from sparseir.search.gpu.windows import plan_groups, plan_waves, share_memory, spread_order
from tests.gpu_cases import WINDOW_SHIFT, all_ties, check_case, make_case, standard_cases
from tests.gpu_emulation import SHUFFLED, emulated_backend, emulated_library

CONFIG = GpuConfig(window_shift=WINDOW_SHIFT)


@pytest.mark.parametrize("name", ["0 documents", "193 documents", "long queries", "everything"])
@pytest.mark.parametrize("group", [1, 4])
def test_equals_the_oracle(name, group):
    """The rest of the cases: tests/property/test_gpu_kernels.py."""
    check_case(standard_cases()[name], CONFIG, (1, 20), open_backend=emulated_backend(SHUFFLED, group=group))


def count_calls(monkeypatch, name):
    calls = []
    method = getattr(CudaBackend, name)

    def counted(self, *arguments, **options):
        calls.append(options.get("again", False))
        return method(self, *arguments, **options)

    monkeypatch.setattr(CudaBackend, name, counted)
    return calls


def test_overflow_falls_back_and_drops_nothing(monkeypatch):
    """600 equal scores and room for 16 candidates: counting cannot separate them, so all scores are looked at."""
    last_resort = count_calls(monkeypatch, "_search_all_scores")
    check_case(all_ties(600), CONFIG, (16,), open_backend=emulated_backend(capacity=16))
    assert len(last_resort) == 2


def test_overflow_is_searched_again_from_the_threshold_it_gave(monkeypatch):
    """Room for 64 candidates and no sample: the first search overflows, the second fits, nothing else is needed."""
    searches = count_calls(monkeypatch, "_search_chunk")
    last_resort = count_calls(monkeypatch, "_search_all_scores")
    case = make_case(51, 1500, lengths=[12, 8])
    check_case(case, CONFIG, (40,), open_backend=emulated_backend(capacity=64))
    assert True in searches
    assert not last_resort


def test_a_dense_head_changes_nothing():
    """11 queries are two tiles of eight, the second padded; 32 of 60 terms are in the head."""
    case = make_case(56, 200, lengths=[9, 0, 30, 2, 9, 9, 60, 1, 9, 5, 4])
    check_case(case, CONFIG, (10,), open_backend=emulated_backend(SHUFFLED, head_terms=32))


def test_more_hits_than_the_device_sorts():
    check_case(make_case(53, 1500, lengths=[6, 3]), CONFIG, (1024, 1025), open_backend=emulated_backend())


def test_batches_are_cut_to_the_memory():
    """Room for the layout and one query at a time."""
    case = make_case(54, 400, lengths=[5] * 12)
    (postings,) = case.segments()
    need = build_layout(postings, window_shift=WINDOW_SHIFT).nbytes
    check_case(case, CONFIG, (10,), open_backend=emulated_backend(memory=need + 40_000))


def test_the_callers_context_is_put_back():
    """Also where a search is refused."""
    contexts = ctypes.CDLL(emulated_library()).sir_emulation_contexts
    before = contexts()
    check_case(make_case(57, 100), CONFIG, (3,), open_backend=emulated_backend())
    with pytest.raises(ConfigError):
        check_case(make_case(57, 100), CONFIG, (3,), open_backend=emulated_backend(memory=10))
    assert contexts() == before


def count_groups(monkeypatch):
    """How many groups of windows each layout goes through the device in."""
    counted = []
    method = LayoutOnDevice.__init__

    def counting(self, *arguments):
        method(self, *arguments)
        counted.append(len(self.groups))

    monkeypatch.setattr(LayoutOnDevice, "__init__", counting)
    return counted


@pytest.mark.parametrize("name", ["two levels", "everything"])
@pytest.mark.parametrize("head_terms", [0, 32])
def test_a_layout_larger_than_the_memory_goes_through_in_groups(name, head_terms, monkeypatch):
    """The emulated device copies a group only when somebody waits for it, so a launch too early reads poison."""
    counted = count_groups(monkeypatch)
    case = standard_cases()[name]
    backend = emulated_backend(SHUFFLED, windows_at_once=1, head_terms=head_terms, capacity=64)
    check_case(case, CONFIG, (1, 20), open_backend=backend)
    assert max(counted) > 2


def test_a_memory_that_holds_no_window_is_refused():
    case = make_case(54, 400)
    with pytest.raises(ConfigError, match="a window of this segment takes"):
        check_case(case, CONFIG, (10,), open_backend=emulated_backend(memory=3000))
    with pytest.raises(ConfigError, match="gpu_memory is 100 bytes"):
        check_case(case, CONFIG, (10,), open_backend=emulated_backend(memory=100))


def test_memory_is_shared_between_segments():
    """All fit: each has what the others leave. Else the small ones stay, and what they leave is for the rest."""
    gib = 1 << 30
    assert share_memory([3 * gib, gib], 8 * gib) == [7 * gib, 5 * gib]
    assert share_memory([6 * gib, gib, 2 * gib], 8 * gib) == [5 * gib, gib + 5 * gib // 4, 2 * gib + 5 * gib // 4]
    assert share_memory([], gib) == []


def test_groups_by_hand():
    sizes = np.array([5, 4, 3, 9, 1, 1])
    assert plan_groups(sizes, 9) == [(0, 2), (2, 3), (3, 4), (4, 6)]
    assert plan_groups(sizes, 100) == [(0, 6)]
    assert plan_groups(sizes[:0], 10) == [(0, 0)]
    with pytest.raises(ConfigError, match="takes 9 bytes"):
        plan_groups(sizes, 8)
    billions = np.array([3 << 31, 3 << 31, 1 << 31])
    assert plan_groups(billions, 6 << 31) == [(0, 2), (2, 3)]


def test_windows_that_exceed_shared_memory_are_refused():
    with pytest.raises(ConfigError, match="window_shift"):
        check_case(make_case(1, 10), GpuConfig(window_shift=16), open_backend=emulated_backend())


def test_offsets_beyond_two_to_the_31():
    """The functions the kernels use: 8.8 million documents times 243 queries, and 3 billion postings."""
    library = ctypes.CDLL(emulated_library())
    library.sir_emulation_table_place.restype = ctypes.c_uint64
    library.sir_emulation_posting_place.restype = ctypes.c_uint64
    library.sir_emulation_sort_key.restype = ctypes.c_uint64
    table = library.sir_emulation_table_place(
        ctypes.c_uint32(1023), ctypes.c_uint64(8_841_823), ctypes.c_uint64(8_841_822)
    )
    assert table == 1023 * 8_841_823 + 8_841_822
    place = library.sir_emulation_posting_place(
        ctypes.c_uint64(3_000_000_000), ctypes.c_uint32(4_000_000_000), ctypes.c_uint32(70_000)
    )
    assert place == 7_000_070_000
    library.sir_emulation_window_place.restype = ctypes.c_uint64
    row = library.sir_emulation_window_place(ctypes.c_uint32(1079), ctypes.c_uint32(3), ctypes.c_uint64(8192 * 512))
    assert row == 1076 * 8192 * 512
    high = library.sir_emulation_sort_key(ctypes.c_int32(2**31 - 1), ctypes.c_uint32(0))
    assert high == (2**31 - 1) << 32 | 0xFFFFFFFF
    assert high > library.sir_emulation_sort_key(ctypes.c_int32(2**31 - 1), ctypes.c_uint32(1))


def test_the_task_is_the_same_on_both_sides():
    library = ctypes.CDLL(emulated_library())
    library.sir_emulation_task_bytes.restype = ctypes.c_size_t
    assert ctypes.sizeof(Task) == library.sir_emulation_task_bytes()


def test_every_window_is_scored_once():
    for windows in (1, 2, 3, 10, 64, 65, 1075, 12_000):
        order = spread_order(windows)
        assert sorted(order.tolist()) == list(range(windows))
        for k in (1, 1000, 50_000):
            waves = plan_waves(windows, 8192, k, max(8192, 32 * k))
            seen = np.concatenate([np.arange(first, first + count) for first, count in waves.emit])
            assert seen.tolist() == list(range(windows))
            assert waves.sample <= windows


def test_a_prefix_of_the_windows_is_spread():
    """Of 1,000 windows, the first 20 leave no gap above 3 times the even one."""
    first = np.sort(spread_order(1000)[:20].astype(np.int64))
    assert np.diff(first, prepend=0, append=1000).max() <= 150
