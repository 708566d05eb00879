"""The torch backend on the CPU equals the oracle to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from sparseir.errors import ConfigError
from sparseir.search.gpu import GpuConfig, GpuEngine
from sparseir.search.gpu.layout import build_layout
from sparseir.search.gpu.torch_backend import TorchBackend
from tests.gpu_cases import WINDOW_SHIFT, check_case, make_case, standard_cases

CONFIG = GpuConfig(backend="torch", device="cpu", window_shift=WINDOW_SHIFT)


@pytest.mark.parametrize("name", standard_cases())
def test_equals_the_oracle(name):
    check_case(standard_cases()[name], CONFIG)


def test_batches_are_cut_to_the_memory_they_may_use():
    """96 KiB for the scores hold 12 windows of 64 documents at once; 40 queries over 8 windows take many steps."""
    case = make_case(40, 500, lengths=[7] * 40)
    check_case(case, GpuConfig(backend="torch", device="cpu", window_shift=WINDOW_SHIFT, gpu_memory=4 * 12 * 64 * 32))


@pytest.mark.parametrize("name", ["two levels", "everything"])
def test_a_layout_larger_than_the_memory_goes_through_in_groups(name):
    """A quarter of gpu_memory holds one or two of the windows: 3 bytes a posting and 24 a list."""
    case = standard_cases()[name]
    layouts = [build_layout(s, window_shift=WINDOW_SHIFT) for s in case.segments()]
    window = max(int((3 * np.diff(t.window_posting) + 24 * np.diff(t.window_entry)).max()) for t in layouts)
    config = GpuConfig(backend="torch", device="cpu", window_shift=WINDOW_SHIFT, gpu_memory=4 * window)
    check_case(case, config, (1, 20))
    assert len(TorchBackend(layouts[0], case.segments()[0], memory=window)._groups) > 2
    with pytest.raises(ConfigError, match="a window of this segment takes"):
        GpuEngine(case.segments(), GpuConfig(backend="torch", window_shift=WINDOW_SHIFT, gpu_memory=100))


def test_k_must_be_positive():
    case = make_case(1, 10)
    with pytest.raises(ConfigError, match="k is 0"):
        GpuEngine(case.segments(), CONFIG).search(case.queries, 0)
    ordinals, scores = GpuEngine([], CONFIG).search(case.queries, 3)
    assert (ordinals == -1).all()
    assert not np.any(scores)
