"""Quality of a run, by ir-measures."""

from __future__ import annotations

from collections.abc import Sequence

from sparseir.data.records import Qrels
from sparseir.errors import ConfigError, MissingExtraError
from sparseir.search.runs import Run


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
