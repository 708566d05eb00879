"""The benchmark runner on a collection small enough to check by hand: its figures mean what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

ROOT = Path(__file__).resolve().parents[2]


def _save(path: Path, rows: list[list[tuple[int, float]]]) -> None:
    np.savez(
        path,
        indptr=np.cumsum([0] + [len(row) for row in rows]),
        indices=np.array([term for row in rows for term, _ in row], np.int32),
        data=np.array([weight for row in rows for _, weight in row], np.float32),
        shape=np.array([len(rows), 4]),
    )


def test_exact_peer_has_full_recall_and_absent_ones_are_marked(tmp_path: Path) -> None:
    """Scores of query 0 are 3, 2, 2, 0: with k = 2 either of the tied documents is right. Query 1 matches nothing."""
    data = tmp_path / "tiny"
    data.mkdir()
    _save(data / "docs.npz", [[(0, 3.0)], [(0, 1.0), (1, 1.0)], [(0, 2.0)], [(2, 1.0)]])
    _save(data / "queries.npz", [[(0, 1.0), (1, 1.0)], [(3, 1.0)]])
    command = [sys.executable, "-m", "bench.compare", "--data", str(data), "--k", "2", "--peers", "scipy,kannolo"]
    command += ["--baseline", "scipy", "--rounds", "1", "--cache", str(tmp_path / "cache")]
    result = tmp_path / "result.json"
    command += ["--json", str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["system"].split()[0]: row for row in json.loads(result.read_text())["rows"]}
    assert rows["scipy"]["recall"] == 1.0
    assert rows["scipy"]["cpu_ms"] > 0
    assert rows["kannolo"]["cpu_ms"] is not None or "not" in rows["kannolo"]["note"]
    assert "scipy" in done.stdout
