"""How query weights are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sparseir.errors import ConfigError

FEWEST = 30
"""Queries below which there is nothing to choose a strength by."""

HoldOut = Literal["queries", "topics"]
"""Which parts of the judged queries choose how far a fit goes: drawn ones, or parts about other things than the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How `fit_query_weights` works.

    depth : candidates of a query.
    max_queries : most queries that are used, drawn by `seed`; a query of 200 candidates takes some 10 kB, and 100 kB where
        words are added.
    added_words : most words that one word of a query may add, where the index has words; 0: none. If the candidates of
        all queries hold more than 50 million postings, fewer queries are drawn.
    hold_out : what chooses how far the fit goes. "queries" drawn from those judged stand for further ones like these;
        "topics", queries about other things than those fitted, for questions that the judgements are not about.
    num_threads : of searching and fitting. seed : of the draw, and of the parts that are held out.
    """

    depth: int = 200
    max_queries: int = 20_000
    added_words: int = 10
    hold_out: HoldOut = "queries"
    num_threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least {least}, found {value}"
            for name, value, least in (
                ("depth", self.depth, 2),
                ("max_queries", self.max_queries, FEWEST),
                ("added_words", self.added_words, 0),
                ("num_threads", self.num_threads, 1),
                ("seed", self.seed, 0),
            )
            if value < least
        ]  # fmt: skip
        if self.hold_out not in get_args(HoldOut):
            faults.append(f"hold_out: expected one of {', '.join(get_args(HoldOut))}, found {self.hold_out!r}")
        if faults:
            raise ConfigError("; ".join(faults))
