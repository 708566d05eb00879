"""Holds every exact engine to the scalar exhaustive one, hit for hit and score for score, on an index and queries.

    python -m bench.search.equality INDEX QUERIES.npz [--engines block_filter,auto] [--num-queries 1000]

For every k (1, 10, 100, 1000), on every instruction set of this machine, without and with filters (random documents, and
runs of neighbours, under bitmaps and in views) and with deletions. The reference answers the largest k; answers to smaller ones are its beginnings.
Ends with an error at the first difference.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.search.filters import allowed_sets
from bench.vectors import load
from indexer import Index, open_index
from indexer.merge.subset import subset_segment
from indexer.native.engine import ENGINES, INSTRUCTION_SETS, NativeIndex
from indexer.native.library import NativeError
from sparseir.search.cpu import CpuEngine
from sparseir.search.engines import Allowed
from sparseir.search.filters.expressions import allowed_documents

HITS = (1, 10, 100, 1000)


def deletions(index: Index, share: float) -> list[NDArray[np.uint8]]:
    """A bitmap a segment of randomly deleted documents, padded with zeros."""
    rng = np.random.default_rng(11)
    bitmaps = []
    for segment in index.segments:
        gone = np.zeros(-(-segment.num_docs // 64) * 64, bool)
        gone[: segment.num_docs] = rng.random(segment.num_docs) < share
        bitmaps.append(np.packbits(gone, bitorder="little"))
    return bitmaps


def open_native(index: Index, deleted: list[NDArray[np.uint8]] | None, isa: str) -> NativeIndex | None:
    """None where the processor lacks the instruction set."""
    try:
        return NativeIndex([s.data for s in index.segments], doc_scale=index.doc_scale, deleted=deleted, isa=isa)
    except NativeError:
        return None


def cases(index: Index) -> dict[str, tuple[list[NDArray[np.uint8]] | None, Allowed]]:
    """(deleted, allowed) by name."""
    sets = allowed_sets(index)
    named: dict[str, tuple[list[NDArray[np.uint8]] | None, Allowed]] = {"all": (None, None)}
    for name in ("random 10.00%", "random 0.10%", "runs 1.00%"):
        named[name] = (None, allowed_documents(index, sets[name]))
    for name in ("random 1.00%", "runs 10.00%"):
        named[f"view of {name}"] = (None, allowed_documents(index, sets[name]))
    named["5% deleted"] = (deletions(index, 0.05), None)
    return named


def view_of(index: Index, native: NativeIndex, allowed: list[NDArray[np.uint64]]) -> NativeIndex:
    """An index in memory of the documents allowed, made and searched by the same instruction set."""
    return NativeIndex([subset_segment(index, native, allowed)], doc_scale=index.doc_scale, isa=native.isa)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--cases", default="", help="comma-separated; default all")
    parser.add_argument("--num-queries", type=int, default=1000)
    options = parser.parse_args()
    index = open_index(options.index)
    queries = load(options.queries)
    queries = queries.slice(0, min(options.num_queries, len(queries)))

    def answers(native: NativeIndex, engine: str, k: int, allowed: Allowed) -> tuple[Any, Any]:
        return CpuEngine(native, engine=engine).search_vectors(queries, k, allowed)

    for name, (deleted, allowed) in cases(index).items():
        if options.cases and name not in options.cases.split(","):
            continue
        scalar = open_native(index, deleted, "scalar")
        assert scalar is not None
        want = answers(scalar, "exhaustive", max(HITS), allowed)
        for isa in (i for i in INSTRUCTION_SETS if i != "best"):
            native = open_native(index, deleted, isa)
            if native is None:
                continue
            searched, restriction = native, allowed
            if name.startswith("view") and isinstance(allowed, list):
                searched, restriction = view_of(index, native, allowed), None
            for engine in options.engines.split(","):
                start = time.process_time()
                for k in HITS:
                    got = answers(searched, engine, k, restriction)
                    if not all(np.array_equal(a, b[:, :k]) for a, b in zip(got, want, strict=True)):
                        raise SystemExit(f"{name}: {engine} on {isa} differs at k = {k}")
                spent = time.process_time() - start
                print(f"{name:20} {isa:7} {engine:15} equal, {len(queries)} queries, {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
