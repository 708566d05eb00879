"""What an evaluation measures and keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparseir.data.passages import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What to measure and what to keep.

    Parameters
    ----------
    split : which judgements, the file qrels/<split>.tsv of a BEIR folder.
    k : depth of the run; measures of a larger depth find nothing below it.
    measures : in the notation of ir-measures; a query without hits counts 0.
    baselines : systems run on the same queries, of bm25, dense and hybrid.
    corpus_idf : an inference-free model's query weights are counted again on each collection.
    lexical : a BM25 channel of stemmed words is indexed beside the model's terms.
    windows : passages are indexed, and a document's best one counts; of the bm25 baseline too.
    data_dir : where BEIR names are looked for.
    runs, indexes : folders to keep run files and indexes in.
    dense_model, dense_length : of the dense baseline, and tokens of a text it reads.
    device : "auto", "cpu" or "cuda".
    overwrite : replace kept results.
    """

    split: str = "test"
    k: int = 1000
    measures: tuple[str, ...] = ("nDCG@10", "RR@10", "R@100")
    baselines: tuple[str, ...] = ("bm25",)
    corpus_idf: bool = False
    lexical: bool = False
    windows: Windows | None = None
    data_dir: Path | None = None
    runs: Path | None = None
    indexes: Path | None = None
    dense_model: str = "all-MiniLM-L6-v2"
    dense_length: int = 256
    device: str = "auto"
    overwrite: bool = False
