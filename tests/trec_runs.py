"""Run files in TREC format, read back."""

from __future__ import annotations

from pathlib import Path


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """qid → docno → score, in the order of the file."""
    run: dict[str, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        qid, _, docno, _, score, _ = line.split()
        run.setdefault(qid, {})[docno] = float(score)
    return run
