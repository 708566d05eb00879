"""Figures that a known system must give on a known collection: whether an evaluation measures what it should."""

from __future__ import annotations

from dataclasses import dataclass

BM25 = "BM25"


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure that was published before.

    Parameters
    ----------
    dataset, split, num_documents, num_queries : the collection; another size is another collection.
    system, measure, value : what is known. tolerance : how far a figure may be from it.
    source : where it is published.
    """

    dataset: str
    split: str
    num_documents: int
    num_queries: int
    value: float
    system: str = BM25
    measure: str = "nDCG@10"
    tolerance: float = 0.0005
    source: str = "docs/evaluate.md"


@dataclass(frozen=True, slots=True)
class Check:
    """A figure beside its reference."""

    measure: str
    expected: float
    tolerance: float
    found: float
    passed: bool
    source: str


# BM25 is computed in whole numbers over 8-bit impacts, the same on every machine; the last digit is that of the page.
REFERENCES = (
    Reference("scifact", "test", 5183, 300, 0.6762),
    Reference("nfcorpus", "test", 3633, 323, 0.3183),
    Reference("cranfield", "test", 1400, 225, 0.3513),
    Reference("cacm", "test", 3204, 52, 0.4933),
)


def check(
    dataset: str, split: str, num_documents: int, num_queries: int, system: str, measures: dict[str, float]
) -> Check | None:
    """A system's figure against its reference; None where there is none.

    A collection of BEIR counts under its name there and as an id of ir_datasets, beir/scifact/test.
    """
    parts = dataset.split("/")
    name = parts[1] if parts[0] == "beir" and len(parts) > 1 else dataset
    key = (name, split, num_documents, num_queries, system)
    for one in REFERENCES:
        if key == (one.dataset, one.split, one.num_documents, one.num_queries, one.system) and one.measure in measures:
            found = measures[one.measure]
            passed = abs(found - one.value) <= one.tolerance
            return Check(one.measure, one.value, one.tolerance, found, passed, one.source)
    return None
