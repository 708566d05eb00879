"""The torch backend on the CPU equals the oracle to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from sparseir.errors import ConfigError
from sparseir.search.gpu import GpuConfig, GpuEngine
from tests.gpu_cases import WINDOW_SHIFT, check_case, make_case, standard_cases

CONFIG = GpuConfig(backend="torch", device="cpu", window_shift=WINDOW_SHIFT)


@pytest.mark.parametrize("name", standard_cases())
def test_equals_the_oracle(name):
    check_case(standard_cases()[name], CONFIG)


def test_batches_are_cut_to_the_memory_they_may_use():
    """96 KiB for the scores hold 12 windows of 64 documents at once; 40 queries over 8 windows take many steps."""
    case = make_case(40, 500, lengths=[7] * 40)
    check_case(case, GpuConfig(backend="torch", device="cpu", window_shift=WINDOW_SHIFT, gpu_memory=4 * 12 * 64 * 32))


def test_k_must_be_positive():
    case = make_case(1, 10)
    with pytest.raises(ConfigError, match="k is 0"):
        GpuEngine(case.segments(), CONFIG).search(case.queries, 0)
    ordinals, scores = GpuEngine([], CONFIG).search(case.queries, 3)
    assert (ordinals == -1).all()
    assert not np.any(scores)
