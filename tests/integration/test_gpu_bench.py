"""The GPU benchmark works up to the device: systems checked against the truth, JSON written, what is missing named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from bench.gpu.profile import parse

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.gpu.run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_can_run_without_a_device_runs_and_answers_right(tmp_path):
    done = run("--check", "--ks", "10", "--json", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert {f["system"] for f in figures} >= {"sparseir torch", "torch.sparse CSR @ dense", "torch index_add"}
    assert all(f["right"] for f in figures)
    assert {f["batch"] for f in figures} == {1, 5}


def test_without_a_device_it_says_so_at_once():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a device")
    done = run("--synthetic", "100000000")
    assert done.returncode == 1
    assert "needs a GPU" in done.stderr


def test_bytes_are_summed_over_launches():
    header = '"ID","Kernel Name","dram__bytes_read.sum","lts__t_bytes.sum","sm__cycles_elapsed.max"'
    text = "\n".join(
        [
            "==PROF== Connected",
            header,
            '"","","Mbyte","Gbyte","cycle"',
            '"0","sir_emit_4","1.5","2","1,000"',
            '"1","sir_emit_4","0.5","1","3,000"',
        ]
    )
    assert parse(text) == {
        "sir_emit_4": {
            "launches": 2.0,
            "bytes read from memory": 2e6,
            "bytes through L2": 3e9,
            "cycles": 4000.0,
        }
    }
