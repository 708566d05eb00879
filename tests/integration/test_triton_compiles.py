"""Triton's kernels compile to machine code for sm_80 and sm_90 and spill nothing; no device is needed.

The interpreter checks what they compute and not their types: it took kernels that the compiler refuses.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
triton = pytest.importorskip("triton", reason="the extra 'gpu' is not installed")

HEAD = {
    **{"counted": "*u8", "lengths": "*i32", "bias": "*fp32", "top": "*fp32", "token": "*i32"},
    **{"batch": "i32", "length": "i32", "width": "i32", "num_terms": "i32"},
}
HEAD_TILES = {"TOKENS": 128, "TERMS": 128, "GROUP": 8, "PRECISION": "tf32"}
SCORES = {
    **{"start": "*i64", "impacts": "*u8", "table": "*i32", "scores": "*i32"},
    **{"first_doc": "i32", "num_docs": "i32", "span": "i32", "num_rows": "i32"},
}
LISTS = {
    **{"docs": "*i32", "impacts": "*u8", "query": "*i64", "start": "*i64", "length": "*i64"},
    **{"weights": "*fp32", "out": "*fp32", "num_docs": "i32"},
}
SUMS = {"starts": "*i64", "rows": "*i64", "gains": "*fp32", "out": "*fp32", "width": "i32"}


def compiled(function, types, sizes, arch, **options):
    """The kernel for arguments of these types; pointers and widths divide by 16, as torch's allocations do."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = {name: "constexpr" if name in sizes else types[name] for name in function.arg_names}
    aligned = [i for i, (name, kind) in enumerate(types.items()) if kind.startswith("*") or name == "width"]
    attributes = {(i,): [["tt.divisibility", 16]] for i in aligned}
    source = ASTSource(fn=function, signature=types, constexprs=sizes, attrs=attributes)
    target = GPUTarget("cuda", arch, 32)
    return triton.compile(source, target=target, options={"enable_fp_fusion": True, **options})


def spilled_bytes(kernel, folder) -> int:
    """Local memory of the kernel, by the tool that comes with Triton."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    cubin = folder / "kernel.cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    usage = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    return sum(int(n) for n in re.findall(r"LOCAL:(\d+)", usage)) + sum(
        int(n) for n in re.findall(r"STACK:(\d+)", usage)
    )


@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize("operand", ["bf16", "fp32"])
@pytest.mark.parametrize("argmax", [False, True])
def test_the_head_compiles_to_tensor_core_instructions(arch, operand, argmax, tmp_path):
    from sparseir.models.head.triton import _max_over_tokens

    types = {**HEAD, "states": f"*{operand}", "table": f"*{operand}"}
    sizes = {**HEAD_TILES, "DEPTH": 64 if operand == "bf16" else 32, "ARGMAX": argmax}
    kernel = compiled(_max_over_tokens, types, sizes, arch, num_warps=8, num_stages=3)
    assert ("wgmma" if arch == 90 else "mma.sync") in kernel.asm["ptx"]
    assert kernel.metadata.shared <= 99 << 10, "what a block may take on every device since Ampere"
    assert spilled_bytes(kernel, tmp_path) == 0


@pytest.mark.parametrize("arch", [80, 90])
def test_the_other_kernels_compile(arch, tmp_path):
    from bench.gpu.atomics import _add_lists
    from sparseir.models.head.triton import _segment_sum
    from sparseir.search.gpu.triton_backend import _score_documents

    kernels = [
        compiled(_segment_sum, {**SUMS, "table": f"*{kind}"}, {"ROWS": 16, "COLUMNS": 256}, arch)
        for kind in ("bf16", "fp32")
    ]
    kernels += [
        compiled(_score_documents, {**SCORES, "rows": kind}, {"DOCS": 32, "TERMS": 32}, arch)
        for kind in ("*u16", "*i32")
    ]
    kernels.append(compiled(_add_lists, LISTS, {"BLOCK": 1024}, arch))
    for kernel in kernels:
        assert spilled_bytes(kernel, tmp_path) == 0
