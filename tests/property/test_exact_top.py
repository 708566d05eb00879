"""Exact search by token vectors equals scoring every document, ties and what rounding cuts included."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from indexer import Documents, add_documents, build_index, delete_documents  # noqa: E402
from indexer.config import IndexConfig  # noqa: E402
from indexer.format.manifest import EncoderEntry  # noqa: E402
from sparseir.data.stores import write_tokens  # noqa: E402
from sparseir.data.stores.tokens import TokenStore, TokenVectors  # noqa: E402
from sparseir.search import exact_top  # noqa: E402
from sparseir.search.rerank import CoilReranker, exact_scores, stored_vectors  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402

V, D = 9, 3


class Given(CoilReranker):
    """Token vectors of a query that no model made."""

    def __init__(self, store: TokenStore | None, asked: TokenVectors) -> None:
        self.store, self._asked = store, asked

    def query(self, text: str) -> TokenVectors:
        return self._asked


class Silent:
    """A query side that is not asked."""

    num_terms = V


@dataclass(frozen=True)
class Case:
    texts: TokenVectors
    added: TokenVectors
    query: TokenVectors
    deleted: list[int]
    allowed: list[int] | None
    k: int
    doc_scale: float
    first_depth: int


def some(rng: np.random.Generator, count: int, cls_dim: int, *, coarse: bool, longest: int) -> TokenVectors:
    """Random texts; of coarse vectors many are the same, and so are many scores."""
    lengths = rng.integers(0, longest, count)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shape = int(starts[-1]), D

    def values(*size: int) -> np.ndarray:
        if coarse:
            return rng.integers(-1, 3, size).astype(np.float16)
        return (rng.standard_normal(size) * rng.choice([0.01, 1, 30], size=(size[0], 1))).astype(np.float16)

    terms = rng.integers(0, V, shape[0]).astype(np.uint32)
    return TokenVectors(starts, terms, values(*shape), values(count, cls_dim))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cls_dim, coarse = draw(st.sampled_from([0, 2])), draw(st.booleans())
    count, more = draw(st.integers(1, 60)), draw(st.integers(0, 8))
    texts, added, asked = (some(rng, n, cls_dim, coarse=coarse, longest=m) for n, m in ((count, 6), (more, 6), (1, 8)))
    asked = TokenVectors(asked.starts, asked.terms, asked.vectors.astype(np.float32), asked.whole.astype(np.float32))
    every = range(count + more)
    return Case(
        texts,
        added,
        asked,
        draw(st.lists(st.sampled_from(every), unique=True, max_size=5)),
        draw(st.none() | st.lists(st.sampled_from(every), unique=True, min_size=1)),
        draw(st.integers(1, 12)),
        draw(st.sampled_from([0.0, 0.002])),  # the second cuts most weights to 255 steps
        draw(st.sampled_from([1, 4, 256])),
    )


def written(folder: Path, case: Case) -> Searcher:
    """An index of norms and its store, in two commits, with deletions."""
    path = folder / "index"
    entry = EncoderEntry(fingerprint="f" * 16, kind="coil_full", name="given")
    for part, (texts, first) in enumerate(((case.texts, 0), (case.added, len(case.texts)))):
        if not len(texts):
            continue
        batch = Documents(texts.norms(V), [f"d{first + i}" for i in range(len(texts))])
        if part:
            index = add_documents(path, [batch], encoder=entry, merge="none")
        else:
            index = build_index(path, [batch], config=IndexConfig(doc_scale=case.doc_scale), encoder=entry)
        writer = write_tokens.TokenWriter(folder / "kept", num_terms=V, token_dim=D, cls_dim=texts.whole.shape[1])
        writer.keep(writer.file(str(part)), texts)
        state = {"encoder": entry.fingerprint, "created": index.manifest.created, **writer.sizes}
        made = writer.join(folder / "made")
        write_tokens.publish(path, folder / "made", made, first=first, state=state, added=bool(part))
    if case.deleted:
        delete_documents(path, ordinals=case.deleted)
    return Searcher.open(path, query_encoder=Silent())  # type: ignore[arg-type]


def brute_force(case: Case, store: TokenStore) -> list[tuple[float, int]]:
    """(score, ordinal) of every candidate, the best first."""
    out = []
    asked = set(case.query.norms(V, summed=True).term_ids.tolist())
    for ordinal in range(len(case.texts) + len(case.added)):
        tokens = store.of(ordinal)
        held = {int(t) for t, v in zip(tokens[0], tokens[1], strict=True) if np.linalg.norm(v) > 0}
        allowed = case.allowed is None or ordinal in case.allowed
        if ordinal not in case.deleted and allowed and (store.cls_dim or held & asked):
            out.append((float(exact_scores(case.query, [tokens])[0]), ordinal))
    if not len(case.query.terms) and not case.query.whole.any():
        return []
    return sorted(out, key=lambda pair: (-pair[0], pair[1]))[: case.k]


@given(cases())
@settings(deadline=None, max_examples=150)
def test_exact_search_is_scoring_everything(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_top, "_FIRST_DEPTH", case.first_depth)
        patch.setattr(exact_top, "_DEEPER", 2)
        patch.setattr(exact_top, "_SCORED_AT_ONCE", 2)
        searcher = written(Path(folder), case)
        store = stored_vectors(searcher)
        assert store is not None
        store.verify()
        allowed = None if case.allowed is None else np.array(case.allowed, np.int64)
        found = exact_top.search_exactly(Given(store, case.query), searcher, "given", case.k, filter=allowed)
        expected = brute_force(case, store)
        assert found.hits.ordinals.tolist() == [ordinal for _, ordinal in expected]
        assert found.hits.scores.tolist() == [score for score, _ in expected]
        assert found.hits.docnos == [f"d{ordinal}" for _, ordinal in expected]


def test_most_documents_are_never_scored() -> None:
    """One document in a hundred has a long vector: the bound of the others is below its score."""
    rng = np.random.default_rng(3)
    texts = some(rng, 2000, 0, coarse=False, longest=8)
    scaled = (
        texts.vectors / np.maximum(1e-3, np.linalg.norm(texts.vectors.astype(np.float32), axis=1))[:, None]
    ).astype(np.float16)
    heavy = np.repeat(np.arange(2000) % 100 == 0, np.diff(texts.starts))
    scaled[heavy] *= 20
    texts = TokenVectors(texts.starts, texts.terms, scaled, texts.whole)
    asked = TokenVectors(
        np.array([0, 3]),
        np.array([1, 4, 4], np.uint32),
        np.abs(scaled[heavy][:3]).astype(np.float32),
        np.zeros((1, 0), np.float32),
    )
    case = Case(texts, some(rng, 0, 0, coarse=True, longest=1), asked, [], None, 3, 0.0, 256)
    with tempfile.TemporaryDirectory() as folder:
        searcher = written(Path(folder), case)
        store = stored_vectors(searcher)
        assert store is not None
        found = exact_top.search_exactly(Given(store, asked), searcher, "given", 3)
        assert found.hits.scores.tolist() == [score for score, _ in brute_force(case, store)]
        assert found.scored < 200
