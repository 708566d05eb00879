"""Recall that approximate search promises, beside what real queries get.

    python -m bench.search.approximate INDEX QUERIES.npz [--shape siamese] [--k 10 --k 100] [--target 0.95] [--json out.json]

Knobs are calibrated on pseudo-queries, and on the first half of the queries; recall is measured on the second half, against
the exact integer ranking. The time is left out of the choice, so that small indexes, where exact search is always faster,
show whether a promise is kept too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.vectors import load
from indexer import SparseVectors
from sparseir.search.calibration.calibration import Calibrator, Sample, lower_bound
from sparseir.search.calibration.pseudo_queries import SHAPES, pseudo_queries
from sparseir.search.cpu import CpuEngine, Knobs, open_native
from sparseir.search.searcher import Searcher

NUM_PSEUDO = 384


class Untimed(Sample):
    """A sample to which every setting is twice as fast as exact search."""

    def time_ratio(self, knobs: Knobs) -> float:
        return 0.5


def promise(searcher: Searcher, calibrate: SparseVectors, real: SparseVectors, k: int, target: float) -> dict[str, Any]:
    """Recall promised after calibrating on some queries, and recall of others; no knobs where nothing was shown."""
    engine, middle = CpuEngine(open_native(searcher.index)), len(calibrate) // 3
    parts = (calibrate.slice(0, middle), calibrate.slice(middle, len(calibrate)), real)
    tuning, checking, measured = (Untimed(engine, part, k) for part in parts)
    found = Calibrator(tuning, checking, target=target, max_blocks=0).run()
    line: dict[str, Any] = {"k": k, "target": target, "queries": len(real)}
    if found is None:
        return line | {"knobs": None}
    knobs, values, _ = found
    return line | {
        "knobs": [knobs.bound_factor, knobs.bound_mass],
        "promised": round(lower_bound(values), 4),
        "calibrated": round(float(values.mean()), 4),
        "real": round(float(measured.measure(knobs).mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="siamese")
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--target", type=float, action="append")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    searcher, queries = Searcher.open(options.index), load(options.queries)
    middle = len(queries) // 2
    real = queries.slice(middle, len(queries))
    sources = {
        "pseudo": pseudo_queries(searcher.index, open_native(searcher.index), options.shape, NUM_PSEUDO),
        "given": queries.slice(0, middle),
    }
    lines = []
    for k in options.k or [10, 100]:
        for target in options.target or [0.9, 0.95, 0.98]:
            for source, calibrate in sources.items():
                lines.append({"source": source} | promise(searcher, calibrate, real, k, target))
                print(json.dumps(lines[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
