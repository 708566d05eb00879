"""Bytes a kernel moves, counted by Nsight Compute around a run of this benchmark."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys

METRICS = {
    "dram__bytes_read.sum": "bytes read from memory",
    "lts__t_bytes.sum": "bytes through L2",
    "sm__cycles_elapsed.max": "cycles",
}
_KERNELS = "regex:sir_(emit|hybrid_emit)"


def profile(arguments: list[str]) -> dict[str, dict[str, float]] | str:
    """Sums over the scoring launches of one batch, by kernel and metric; or why there are none.

    Parameters
    ----------
    arguments : of bench.gpu.run: the collection, one batch size, one k.
    """
    ncu = shutil.which("ncu")
    if ncu is None:
        return "ncu (Nsight Compute) is not on PATH, so no bytes were counted"
    own = [sys.executable, "-m", "bench.gpu.run", *arguments, "--repeats", "1", "--engines-only"]
    command = [
        ncu,
        "--csv",
        "--page",
        "raw",
        "--print-units",
        "base",
        "--kernel-name",
        _KERNELS,
        "--metrics",
        ",".join(METRICS),
        *own,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"ncu failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-300:]}"
    return parse(done.stdout)


def parse(text: str) -> dict[str, dict[str, float]]:
    """The raw page of ncu as CSV: a header, a row of units, a row a launch; other lines are the program's own."""
    lines = [line for line in text.splitlines() if line.startswith('"')]
    header, units, *launches = csv.reader(lines)
    sums: dict[str, dict[str, float]] = {}
    for row in launches:
        record, unit = dict(zip(header, row, strict=True)), dict(zip(header, units, strict=True))
        kernel = sums.setdefault(record["Kernel Name"], {"launches": 0.0})
        kernel["launches"] += 1
        for metric, name in METRICS.items():
            kernel[name] = kernel.get(name, 0.0) + _number(record[metric], unit[metric])
    return sums


def _number(text: str, unit: str) -> float:
    scale = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(
        unit[:1] if unit.endswith("byte") and unit != "byte" else "", 1.0
    )
    return float(text.replace(",", "")) * scale
