"""Quality of a run, by ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from indexer import SparseVectors
from sparseir.errors import ConfigError, MissingExtraError
from sparseir.search.runs import Run

Qrels = Mapping[str, Mapping[str, int]]
"""qid → docno → relevance grade."""


def measure(qrels: Qrels, run: Run, measures: Sequence[str]) -> dict[str, float]:
    """Mean of each measure over ALL judged queries; a query the run does not answer counts 0.

    Parameters
    ----------
    measures : names as ir-measures writes them, e.g. "nDCG@10", "RR@10", "R@100".

    Raises
    ------
    ConfigError
        Every name that is no measure, together.
    MissingExtraError
        ir-measures is not installed.
    """
    try:
        import ir_measures
    except ImportError:
        raise MissingExtraError("ir-measures", "evaluate", "measuring a run") from None
    parsed, unknown = [], []
    for name in measures:
        try:
            parsed.append(ir_measures.parse_measure(name))
        except (ValueError, NameError, SyntaxError, TypeError):
            unknown.append(name)
    if unknown:
        raise ConfigError(f"not measures: {', '.join(unknown)}; examples of names: nDCG@10, RR@10, R@100, AP, P@5")
    # A query with judgements but no relevant document measures nothing; ir-measures counts it 0 like trec_eval -c.
    values = ir_measures.calc_aggregate(
        parsed, {q: dict(d) for q, d in qrels.items()}, {q: run.get(q, {}) for q in qrels}
    )
    return {str(name): float(values[m]) for name, m in zip(measures, parsed, strict=True)}


def flops(queries: SparseVectors, documents: SparseVectors) -> float:
    """Expected multiply-adds to score one query against one document, Σ_v p_v·d_v.

    p_v and d_v are the shares of queries and documents in which term v is active.
    Source: Paria et al. 2020, arXiv:2004.05665, as reported by the SPLADE papers.
    """
    if not len(queries) or not len(documents):
        return 0.0
    size = max(queries.num_terms, documents.num_terms)
    query_share = np.bincount(queries.term_ids, minlength=size) / len(queries)
    document_share = np.bincount(documents.term_ids, minlength=size) / len(documents)
    return float(query_share @ document_share)
