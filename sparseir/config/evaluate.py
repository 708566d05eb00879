"""The `evaluate` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparseir.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How a model is judged on a collection."""

    split: str = "test"
    """Which judgements: the file qrels/<split>.tsv of a BEIR folder."""

    k: int = 1000
    """Depth of the run: measures that look deeper see nothing below it."""

    measures: tuple[str, ...] = ("nDCG@10", "RR@10", "R@100")
    """Measures in the notation of ir-measures; a query without hits counts 0."""

    baselines: tuple[Literal["bm25", "dense", "hybrid"], ...] = ("bm25",)
    """Systems run on the same queries, to compare with."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k: expected at least 1, found {self.k}")
        if not self.measures:
            raise ConfigError("measures: name at least one, for example nDCG@10")
