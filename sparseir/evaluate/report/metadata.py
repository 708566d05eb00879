"""How a run was made, in the terms of ir_metadata."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sparseir.evaluate.report.rows import SystemResult


def run_metadata(result: SystemResult, tag: str) -> dict[str, Any]:
    """What heads a run file: platform, implementation, method and data. No names of people or machines.

    Source: Breuer, Keller and Schaer 2022, "ir_metadata: An Extensible Metadata Schema for IR Experiments".
    """
    from sparseir import __version__

    return {
        "schema version": "0.2",
        "platform": {
            "hardware": {
                "cpu": {
                    "model": _cpu_model(),
                    "architecture": platform.machine(),
                    "number of cores": len(os.sched_getaffinity(0)),
                },
                "ram": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
            },
            "operating system": {"kernel": platform.release(), "distribution": platform.system()},
            "software": {"libraries": {"python": [f"sparseir=={__version__}"]}, "python": platform.python_version()},
        },
        "implementation": {
            "executable": {"cmd": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])},
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "method": {"automatic": True, "retrieval": [{"name": result.system}]},
        "data": {"test collection": {"name": result.dataset, "qrels": result.split}},
        "tag": tag,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
