"""Collections and query batches every GPU backend must answer as the oracle does, on a device or off."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexer.native.queries import QueryBatch
from sparseir.search.gpu import GpuConfig, GpuEngine, SegmentPostings
from tests import oracle


@dataclass(frozen=True, kw_only=True)
class Case:
    """Documents in input order (CSR of impacts) and integer queries; how the index holds them; what may be found."""

    indptr: np.ndarray
    term_ids: np.ndarray
    impacts: np.ndarray
    num_terms: int
    queries: QueryBatch
    splits: tuple[int, ...] = ()  # first row of every segment but the first
    order: np.ndarray | None = None  # order[position] = row, over all rows; must keep segments apart
    deleted: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    allowed: np.ndarray | None = None

    @property
    def num_docs(self) -> int:
        return len(self.indptr) - 1

    def segments(self) -> list[SegmentPostings]:
        borders = [0, *self.splits, self.num_docs]
        return [self._segment(lo, hi) for lo, hi in itertools.pairwise(borders)]

    def allowed_by_segment(self) -> list[np.ndarray] | None:
        """The filter as the engine takes it: a flag for every position of every segment."""
        if self.allowed is None:
            return None
        rows = np.arange(self.num_docs) if self.order is None else self.order
        return np.split(np.isin(rows, self.allowed), list(self.splits))

    def _segment(self, lo: int, hi: int) -> SegmentPostings:
        rows = np.arange(lo, hi) if self.order is None else self.order[lo:hi]
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        gone = np.flatnonzero(np.isin(rows, self.deleted))
        return SegmentPostings.from_rows(
            indptr,
            self.term_ids[at],
            self.impacts[at],
            ordinals=None if self.order is None else rows - lo,
            ordinal_base=lo,
            deleted=gone if len(gone) else None,
        )

    def expected(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        allowed = np.arange(self.num_docs) if self.allowed is None else self.allowed
        allowed = np.setdiff1d(allowed, self.deleted)
        answers = []
        for q in range(len(self.queries)):
            lo, hi = self.queries.indptr[q], self.queries.indptr[q + 1]
            score = oracle.scores(
                self.indptr,
                self.term_ids,
                self.impacts,
                self.queries.ids[lo:hi],
                self.queries.weights[lo:hi],
                self.num_terms,
            )
            answers.append(oracle.rank(score, k, allowed=allowed))
        shape = (len(self.queries), k)
        return (
            np.array([a[0] for a in answers], np.int64).reshape(shape),
            np.array([a[1] for a in answers], np.int64).reshape(shape),
        )


def make_queries(rng: np.random.Generator, num_terms: int, lengths: list[int]) -> QueryBatch:
    """One query per length; terms may lie outside the collection, weights are 1..4095."""
    terms = [np.sort(rng.choice(num_terms, min(n, num_terms), replace=False)) for n in lengths]
    flat = np.concatenate([*terms, np.zeros(0, np.int64)])
    limit = min(4095, (2**31 - 1) // (255 * max(1, max(map(len, terms), default=1))))
    return QueryBatch(
        indptr=np.concatenate([[0], np.cumsum([len(t) for t in terms])]).astype(np.int64),
        ids=flat.astype(np.uint32),
        weights=rng.integers(1, limit + 1, len(flat)).astype(np.int32),
    )


def make_case(
    seed: int,
    num_docs: int,
    *,
    num_terms: int = 60,
    density: float = 0.2,
    levels: int = 255,
    lengths: list[int] | None = None,
    **options: object,
) -> Case:
    """A random collection: skewed term frequencies, empty documents, `levels` distinct impacts (1: every score ties)."""
    rng = np.random.default_rng(seed)
    share = np.minimum(1.0, density * 3 / (1 + rng.permutation(num_terms) / 4))
    present = rng.random((num_docs, num_terms)) < share
    if num_docs:
        present[rng.random(num_docs) < 0.05] = False
    rows, term_ids = np.nonzero(present)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_docs))]).astype(np.int64)
    impacts = rng.integers(256 - levels, 256, len(term_ids)).astype(np.uint8)
    queries = make_queries(rng, num_terms, [0, 1, 5, num_terms, 12, 3] if lengths is None else lengths)
    return Case(
        indptr=indptr,
        term_ids=term_ids.astype(np.uint32),
        impacts=impacts,
        num_terms=num_terms,
        queries=queries,
        **options,  # type: ignore[arg-type]
    )


def all_ties(num_docs: int) -> Case:
    """Every document scores the same: the k smallest ordinals must come back, in order."""
    return Case(
        indptr=np.arange(num_docs + 1, dtype=np.int64),
        term_ids=np.zeros(num_docs, np.uint32),
        impacts=np.full(num_docs, 255, np.uint8),
        num_terms=1,
        queries=QueryBatch(indptr=np.array([0, 1, 1]), ids=np.zeros(1, np.uint32), weights=np.array([4095], np.int32)),
        order=np.random.default_rng(1).permutation(num_docs),
    )


WINDOW_SHIFT = 6
"""Windows of 64 documents, so that small collections have many and every edge is met."""


def standard_cases() -> dict[str, Case]:
    """Window edges (64·m and one either side), ties, long queries, filters, deletions, segments, reordering."""
    rng = np.random.default_rng(5)
    cases = {f"{n} documents": make_case(n, n) for n in (0, 1, 63, 64, 65, 191, 192, 193, 700)}
    cases |= {
        "one level": make_case(21, 500, levels=1),
        "two levels": make_case(22, 500, levels=2, density=0.6),
        "all ties": all_ties(600),
        "dense rows": make_case(23, 300, density=1.0),
        "long queries": make_case(24, 200, num_terms=3000, density=0.05, lengths=[107, 600, 3000, 0, 2500]),
        "no hit": make_case(25, 100, density=0.0),
        "filter": make_case(26, 400, allowed=np.sort(rng.choice(400, 90, replace=False))),
        "filter lets nothing through": make_case(27, 100, allowed=np.zeros(0, np.int64)),
        "deletions": make_case(28, 400, deleted=np.sort(rng.choice(400, 30, replace=False))),
        "reordered": make_case(29, 400, order=rng.permutation(400), levels=3),
        "three segments": make_case(30, 500, splits=(130, 131), levels=4),
        "everything": make_case(
            31,
            500,
            splits=(200,),
            levels=3,
            order=np.concatenate([rng.permutation(200), 200 + rng.permutation(300)]),
            deleted=np.sort(rng.choice(500, 40, replace=False)),
            allowed=np.sort(rng.choice(500, 300, replace=False)),
        ),
    }
    return cases


def check_case(case: Case, config: GpuConfig, ks: tuple[int, ...] = (1, 10, 1000), **options: Any) -> None:
    """Ordinals and scores equal the oracle's, for every k, twice."""
    engine = GpuEngine(case.segments(), config, **options)
    for k in ks:
        want_ordinals, want_scores = case.expected(k)
        for _ in range(2):
            ordinals, scores = engine.search(case.queries, k, case.allowed_by_segment())
            np.testing.assert_array_equal(scores, want_scores)
            np.testing.assert_array_equal(ordinals, want_ordinals)
