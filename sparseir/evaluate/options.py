"""What an evaluation measures, compares and keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sparseir.config.ablation import BASELINES
from sparseir.config.lexical import LexicalConfig
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.passages import Windows
from sparseir.errors import ConfigError
from sparseir.evaluate.significance import Test
from sparseir.query_weights.options import HoldOut
from sparseir.search.feedback.options import Feedback

FUSIONS = ("rrf", "convex")
SameId = Literal["text", "drop", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What to measure, to compare and to keep.

    Parameters
    ----------
    split : which judgements, the file qrels/<split>.tsv of a BEIR folder; of collections that name none of their own.
    k : depth of the run; measures of a larger depth find nothing below it.
    measures : in the notation of ir-measures; a query without hits counts 0. The first one is what is compared, tuned
        and drawn.
    baselines : systems run on the same queries, of bm25 and dense.
    fusions : each model (or without one the first system) with each other kind of system, by rrf or convex.
    fuse_weight : of the first of the two in a convex fusion, 0..1.
    tune : split whose queries choose that weight instead; none of them may be judged.
    fit : split to whose judgements the query weights of the indexes built here are fitted, for a further row of each; none
        of its queries may be judged.
    fit_hold_out : what chooses how far that goes, as `hold_out` of `sparseir.query_weights.FitOptions`.
    feedback : each index with words is also searched with words of its first hits, for a further row; None for none.
    same_id : what becomes of a document named as the query: "text" leaves it out where the two are one text, "drop"
        always (as BEIR's code does), "keep" never.
    against : the system that the others are compared with; None for the first.
    test, resamples, seed : of significance and intervals.
    corpus_idf : an inference-free model's query weights are counted again on each collection.
    lexical : each model also runs with a BM25 channel of stemmed words beside its terms; None for those whose queries are
        looked up.
    channel : settings of that channel, and of the bm25 baseline but for its words of neighbours and alpha.
    max_active_dims : of each document as many terms of a model, the heaviest; None for all that it gives.
    windows : passages are indexed, and a document's best one counts; of the bm25 baseline too.
    data_dir : where BEIR names are looked for. form, fields : of the corpora, as for `sparseir.data.open_dataset`.
    expansions : of the documents of the one collection, for models that read them (doc2query).
    runs, indexes, plots : folders to keep run files, indexes and plots in.
    tag : last column of the run files; None for the name of the system.
    ir_metadata : run files begin with comments on how they were made.
    dense_model, dense_length : of the dense baseline, and tokens of a text it reads.
    device : "auto", "cpu" or "cuda".
    overwrite : replace kept results.
    """

    split: str = "test"
    k: int = 1000
    measures: tuple[str, ...] = ("nDCG@10", "RR@10", "R@100")
    baselines: tuple[str, ...] = ("bm25",)
    fusions: tuple[str, ...] = ()
    fuse_weight: float = 0.5
    tune: str | None = None
    fit: str | None = None
    fit_hold_out: HoldOut = "queries"
    feedback: Feedback | None = None
    same_id: SameId = "text"
    against: str | None = None
    test: Test = "randomisation"
    resamples: int = 10_000
    seed: int = 0
    corpus_idf: bool = False
    lexical: bool | None = None
    channel: LexicalConfig = field(default_factory=LexicalConfig)
    max_active_dims: int | None = None
    windows: Windows | None = None
    data_dir: Path | None = None
    form: str | None = None
    fields: FieldMap | None = None
    expansions: Path | None = None
    runs: Path | None = None
    indexes: Path | None = None
    plots: Path | None = None
    tag: str | None = None
    ir_metadata: bool = False
    dense_model: str = "all-MiniLM-L6-v2"
    dense_length: int = 256
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, given, allowed in (
            ("baselines", self.baselines, BASELINES),
            ("fuse", self.fusions, FUSIONS),
            ("same-id", (self.same_id,), ("text", "drop", "keep")),
            ("test", (self.test,), ("randomisation", "t-test")),
            ("fit-hold-out", (self.fit_hold_out,), get_args(HoldOut)),
        ):
            _check_names(name, given, allowed)
        if not 0 <= self.fuse_weight <= 1:
            raise ConfigError(f"fuse-weight is {self.fuse_weight}; expected a number from 0 to 1")
        if self.max_active_dims is not None and self.max_active_dims < 1:
            raise ConfigError(f"max-active-dims is {self.max_active_dims}; expected 1 or more")
        if self.resamples < 1:
            raise ConfigError(f"resamples is {self.resamples}; expected 1 or more")
        if self.tune is not None and "convex" not in self.fusions:
            raise ConfigError("tune chooses the weight of a convex fusion; name one: --fuse convex")
        if self.tune == self.split:
            raise ConfigError(f"tune is {self.tune!r}, the split that is judged; name a development split")
        if self.fit == self.split:
            raise ConfigError(
                f"fit is {self.fit!r}, the split that is judged; name that of other queries, such as train"
            )
        if self.fit is None and self.fit_hold_out != "queries":
            raise ConfigError(
                f"fit-hold-out is {self.fit_hold_out!r}, and nothing is fitted; name a split: --fit train"
            )
        if self.fit is not None and self.windows is not None:
            raise ConfigError("fit is of whole documents, and windows make an index of passages; leave one out")
        if self.ir_metadata and self.runs is None:
            raise ConfigError("ir-metadata heads the run files; name a folder for them: --runs")


def _check_names(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise ConfigError(f"--{option}: unknown {', '.join(unknown)}; there are {', '.join(allowed)}")
