"""The kernels compile without a warning for the architectures the project names; no device is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sparseir.errors import NativeError
from sparseir.search.gpu import compiler

NVCC = shutil.which("nvcc")


SOURCES = {"engine": compiler.source_folder() / "kernels.cu", "bench": Path(__file__).parents[2] / "bench/gpu/micro.cu"}


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_nvcc_compiles_every_kernel(arch, source, tmp_path):
    output = tmp_path / "kernels.cubin"
    command = [NVCC, f"-arch={arch}", "-std=c++17", "-cubin", "-Werror", "all-warnings", "-Xptxas", "-v"]
    done = subprocess.run([*command, "-o", output, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size > 0
    assert not re.search(r"[1-9]\d* bytes spill", done.stderr), "a kernel spills registers"


def test_compiled_once_and_cached(tmp_path):
    try:
        first = compiler.compiled_kernels("sm_90", tmp_path)
    except NativeError as error:
        pytest.skip(str(error))
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(b"from the cache")
    assert compiler.compiled_kernels("sm_90", tmp_path) == b"from the cache"
    assert b"sir_emit_4" in first


def test_neither_compiler_is_an_error_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "_load_nvrtc", lambda: None)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    with pytest.raises(NativeError, match="nvidia-cuda-nvrtc"):
        compiler.compiled_kernels("sm_90", tmp_path)
