"""The Triton kernels in Triton's interpreter: the backend equals the oracle to the bit, the head the plain formula.

The interpreter must be chosen before Triton is first imported, so the cases run in a process of their own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

SCRIPT = """
from sparseir.search.gpu import GpuConfig
from tests.gpu_cases import check_case, standard_cases

for name, case in standard_cases().items():
    config = GpuConfig(backend="triton", device="cpu", window_shift=6)
    check_case(case, config, (1, 10) if case.num_docs < 300 else (10,))
    print(name)
"""


HEAD_SCRIPT = """
from tests.triton_head_cases import CHECKS

for check in CHECKS:
    check("cpu")
    print(check.__name__)
"""


def interpreted(script: str) -> str:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_interpreted_scores_equal_the_oracle():
    assert "everything" in interpreted(SCRIPT)


def test_the_interpreted_head_equals_the_plain_formula():
    assert "check_same_bits_every_time" in interpreted(HEAD_SCRIPT)
