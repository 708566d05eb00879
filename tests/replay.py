"""Searches with known answers for builds that run no Python, such as one for another processor under an emulator.

    python -m tests.replay COMMAND…     runs COMMAND FILE (native/test/replay.c), which ends with an error where hits differ

The answers are the oracle's: degenerate shapes, ties, deletions and filters in all layouts, and collections of several
windows of 65,536 documents.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests import oracle
from tests.segment_reference import Rules, build_segment, compact_rules, packed_rules
from tests.strategies import Collection, random_collection

LAYOUTS = (Rules, packed_rules, compact_rules)
SMALL, LARGE = 400, 6


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 64)


def encode(c: Collection, k: int, rng: np.random.Generator, rules: Rules) -> bytes:
    """One case: a random order, and deletions or a filter in two of three."""
    order = rng.permutation(c.num_docs)
    passing = np.ones(c.num_docs, bool)
    deleted = allowed = b""
    if kind := rng.integers(3):
        passing = rng.random(c.num_docs) < rng.choice([0.02, 0.5, 0.95])  # by doc_id
        bits = np.zeros(-(-c.num_docs // 64) * 64, bool)
        bits[: c.num_docs] = passing if kind == 1 else ~passing
        packed = np.packbits(bits, bitorder="little").tobytes()
        allowed, deleted = (packed, b"") if kind == 1 else (b"", packed)
    segment = bytes(build_segment(c.indptr, c.term_ids, c.impacts, order=order, rules=rules))
    score = oracle.scores(c.indptr, c.term_ids, c.impacts, c.query_terms, c.query_weights, c.num_terms)
    ordinals, scores = oracle.rank(score, k, allowed=order[passing])
    head = np.array([len(segment), len(deleted), len(allowed) // 8, k, len(c.query_terms), 0, 0, 0], np.uint64)
    hits = (ordinals.astype(np.int64), scores.astype(np.uint32))
    query = (c.query_terms.astype(np.uint32), c.query_weights.astype(np.uint32))
    parts = (head.tobytes(), segment, deleted, allowed, *(a.tobytes() for a in (*query, *hits)))
    return b"".join(map(padded, parts))


def cases(seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    for number in range(SMALL):
        c = random_collection(
            rng,
            num_docs=int(rng.choice([0, 1, 31, 32, 33, 65, int(rng.integers(2, 400)), int(rng.integers(2, 5000))])),
            num_terms=int(rng.integers(1, 24)),
            density=float(rng.choice([0.02, 0.2, 0.6, 1.0])),
            impact_levels=int(rng.choice([1, 2, 5, 255])),
            query_terms=int(rng.integers(1, 24)),
        )
        rules = LAYOUTS[number % 3](rows_from=int(rng.choice([0, 10**9])))
        yield encode(c, int(rng.choice([1, 2, 10, 100, 1000])), rng, rules)
    for number in range(LARGE):
        c = random_collection(
            rng, num_docs=140_000, num_terms=12, density=0.3, impact_levels=200, query_terms=int(rng.integers(2, 13))
        )
        yield encode(c, int(rng.choice([1, 10, 1000])), rng, LAYOUTS[number % 3]())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases"
        file.write_bytes(b"".join(cases(2027)))
        raise SystemExit(subprocess.run([*sys.argv[1:], str(file)], check=False).returncode)


if __name__ == "__main__":
    main()
