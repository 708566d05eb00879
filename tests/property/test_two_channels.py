"""A two-channel index equals the oracle to the bit, whatever the engine, and the index without the channel at alpha 0."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import compact_index, delete_documents, open_index
from sparseir.config.lexical import LexicalConfig
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.lexical_cases import WORDS, TableEncoder, documents, factor, idf

STEMS = {"cats": "cat", "dogs": "dog", "running": "run", "runs": "run", "vaccine": "vaccin"}
UNKNOWN = ["zebra", "weasel"]
WORD = st.sampled_from(WORDS[1:] + UNKNOWN)
TEXT = st.lists(WORD, max_size=12).map(" ".join)
ENGINES = ["exhaustive", "maxscore", "wand", "block_max_wand", "block_filter", "auto"]


def stems(text):
    return [STEMS.get(word, word) for word in text.split() if word != "the"]


def expected(texts, query, encoder, alpha):
    """float32 document weights by (row, term) and query weights by term, of both channels, in plain Python."""
    rows = [dict(zip(*map(np.ndarray.tolist, encoder.encode_documents([t]).row(0)), strict=True)) for t in texts]
    full = max((w for row in rows for w in row.values()), default=1.0)
    counted = [Counter(stems(text)) for text in texts]
    lengths = [sum(c.values()) for c in counted]
    average = sum(lengths) / len(texts) if sum(lengths) else 1.0
    frequency = Counter(stem for c in counted for stem in c)
    held = [
        {**row, **{s: np.float32(factor(n, length, average) * full) for s, n in c.items()}}
        for row, c, length in zip(rows, counted, lengths, strict=True)
    ]
    asked = dict(zip(*map(np.ndarray.tolist, encoder.query_table.encode(query)), strict=True))
    for stem, n in Counter(stems(query)).items() if alpha else ():
        if frequency[stem]:
            weight = alpha * idf(frequency[stem], len(texts)) / full
            total = 0.0
            for _ in range(n):
                total += weight
            asked[stem] = np.float32(total)
    return held, asked


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=40), TEXT, st.sampled_from([0.0, 0.3, 1.0, 2.0]))
def test_every_engine_equals_the_oracle(texts, query, alpha):
    encoder = TableEncoder()
    with tempfile.TemporaryDirectory() as folder:
        options = IndexingOptions(lexical=LexicalConfig(alpha=alpha), batch=7)
        index = index_documents(Path(folder) / "i", encoder, documents(texts), options=options).index
        held, asked = expected(texts, query, encoder, alpha)
        number = {term: i for i, term in enumerate(sorted({t for row in held for t in row} | set(asked), key=str))}
        weights = np.array([w for row in held for w in row.values()], np.float32)
        weighed = np.array(list(asked.values()), np.float32)
        query_weights, scale = oracle.quantize_query(weighed)
        score = oracle.scores(
            np.concatenate([[0], np.cumsum([len(row) for row in held])]),
            np.array([number[t] for row in held for t in row], np.int64),
            oracle.quantize_impacts(weights, index.doc_scale),
            np.array([number[t] for t in asked], np.int64),
            query_weights,
            len(number) + 1,
        )
        ordinals, best = oracle.rank(score, 50)
        shown = oracle.shown(best, index.doc_scale, scale)
        for engine in ENGINES:
            hits = Searcher.open(Path(folder) / "i", engine=engine).search(query, 50)
            found = ordinals >= 0
            assert hits.ordinals.tolist() == ordinals[found].tolist()
            assert hits.scores.tolist() == shown[found].tolist()


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=30), TEXT)
def test_alpha_zero_equals_the_index_without_the_channel(texts, query):
    with tempfile.TemporaryDirectory() as folder:
        for name, lexical in (("plain", None), ("both", LexicalConfig())):
            options = IndexingOptions(lexical=lexical)
            index_documents(Path(folder) / name, TableEncoder(), documents(texts), options=options)
        plain = Searcher.open(Path(folder) / "plain").search(query, 30)
        both = Searcher.open(Path(folder) / "both", alpha=0).search(query, 30)
        assert plain.ordinals.tolist() == both.ordinals.tolist()
        if any(word in WORDS for text in texts for word in text.split()):
            assert plain.scores.tolist() == both.scores.tolist()


STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(TEXT, min_size=1, max_size=4)),
    st.tuples(st.just("replace"), TEXT),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("compact"), st.none()),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(TEXT, max_size=5), st.lists(STEP, max_size=6))
def test_updates_keep_documents_findable_and_idf_exact(texts, steps):
    """df and N of the query side are those of what is stored; every live word finds its documents."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "i"
        index_documents(path, None, documents(texts))
        live = {f"d{i}": text for i, text in enumerate(texts)}
        stored, next_name = list(texts), len(texts)
        for action, value in steps:
            before = len(open_index(path).segments)
            if action == "add":
                index_documents(path, None, documents(value, next_name), options=IndexingOptions(mode="add"))
                live |= {f"d{next_name + i}": text for i, text in enumerate(value)}
                stored += value
                next_name += len(value)
            elif action == "replace":
                index_documents(path, None, documents([value], 0), options=IndexingOptions(mode="replace"))
                live["d0"] = value
                stored.append(value)
                next_name = max(next_name, 1)
            elif action == "delete":
                delete_documents(path, [f"d{value}"])
                live.pop(f"d{value}", None)
            else:
                compact_index(path)
            merged = action in ("add", "replace") and len(open_index(path).segments) <= before
            if merged or action == "compact":
                stored = list(live.values())  # segments as small as these are all merged at once
        searcher = Searcher.open(path)
        assert open_index(path).num_docs == len(live)
        for word in [*WORDS[1:-1], *UNKNOWN]:
            stem = stems(word)[0]
            df = sum(stem in stems(text) for text in stored)
            assert searcher.queries.encoder.encode(word)[1].tolist() == (
                [pytest.approx(idf(df, len(stored)))] if df else []
            )
            found = {d for d, text in live.items() if stem in stems(text)}
            assert set(searcher.search(word, 100).docnos) == found
