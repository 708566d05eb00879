"""Quality of a run, by ir-measures."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.data.records import Qrels
from sparseir.errors import ConfigError, MissingExtraError
from sparseir.search.runs import Run

EXAMPLES = "nDCG@10, RR@10, R@100, AP, P@5"
_LARGEST_CUTOFF = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run scores.

    Parameters
    ----------
    means : measure → its aggregate, for most the mean, over all judged queries.
    per_query : measure → float64 (queries,), a value for each judged query in the order of the qrels.
    """

    means: dict[str, float]
    per_query: dict[str, NDArray[np.float64]]


def check_measures(names: Sequence[str]) -> None:
    """Compute every measure of one made-up query, so that what cannot be computed is known before any work.

    Raises
    ------
    ConfigError
        No name at all, or every name that is no measure or cannot be computed here, together.
    MissingExtraError
        ir-measures is not installed.
    """
    if not names:
        raise ConfigError(f"no measure is named; examples: {EXAMPLES}")
    parsed = _parsed(names)
    faults = []
    for name, measure in zip(names, parsed, strict=True):
        try:
            _calculated({"1": {"a": 1, "b": 0}}, {"1": {"a": 2.0, "b": 1.0}}, [measure])
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, AssertionError, OSError) as error:
            faults.append(f"{name}{_reason(error)}")
    if faults:
        raise ConfigError(f"measures that cannot be computed here: {'; '.join(faults)}")


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
    return measured(qrels, run, measures).means


def measured(qrels: Qrels, run: Run, measures: Sequence[str]) -> Measured:
    """Means and the values of single queries; parameters and errors as for `measure`."""
    parsed = _parsed(measures)
    # Some programs behind ir-measures read whole numbers as names of queries, so all are given those.
    numbers = {qid: str(i) for i, qid in enumerate(qrels, 1)}
    # A query with judgements but no relevant document measures nothing; ir-measures counts it 0 like trec_eval -c.
    judged = {numbers[qid]: dict(row) for qid, row in qrels.items()}
    found = _calculated(judged, {numbers[qid]: run.get(qid, {}) for qid in qrels}, parsed)
    values = {m: np.zeros(len(qrels)) for m in parsed}
    for one in found.per_query:
        values[one.measure][int(one.query_id) - 1] = one.value
    named = list(zip(measures, parsed, strict=True))
    return Measured({name: float(found.aggregated[m]) for name, m in named}, {name: values[m] for name, m in named})


def _calculated(qrels: Qrels, run: Run, parsed: list[Any]) -> Any:
    import ir_measures

    try:
        return ir_measures.calc(parsed, qrels, run)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"the program that computes it stopped with {error.returncode}") from error


def _parsed(names: Sequence[str]) -> list[Any]:
    try:
        import ir_measures
    except ImportError:
        raise MissingExtraError("ir-measures", "evaluate", "measuring a run") from None
    parsed, unknown = [], []
    for name in names:
        try:
            parsed.append(ir_measures.parse_measure(name))
            _check_numbers(parsed[-1])
        except (ArithmeticError, AssertionError, LookupError, NameError, SyntaxError, TypeError, ValueError):
            unknown.append(repr(name) if not name.strip() else name)
    if unknown:
        raise ConfigError(
            f"not measures: {', '.join(unknown)}; examples of names: {EXAMPLES} (a cutoff, after @, is 1 or more)"
        )
    return parsed


def _check_numbers(measure: Any) -> None:
    """*subtle:* trec_eval ends the process at a cutoff of 0, so it must never see one."""
    for key, least in (("cutoff", 1), ("rel", 1)):
        value = measure.params.get(key, least)
        if isinstance(value, int) and not least <= value <= _LARGEST_CUTOFF:
            raise ValueError(f"{key} is {value}")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if missing := re.match(r"invalid param (\w+)=<object", text):
        return f" needs its parameter {missing[1]}"
    if package := text.partition("support this measure: - ")[2]:
        return f" needs {package.replace(' - ', ' or ')}"
    return f": {text[:200] or type(error).__name__}"
