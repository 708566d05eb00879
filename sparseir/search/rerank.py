"""The second step of COIL: exact scores of token vectors for the hits of a sparse index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import Index, SparseVectors
from sparseir.data.records import Document
from sparseir.data.stores.tokens import DESCRIPTION, TokenStore, TokenVectors, check_belongs, tokens_folder
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.queries import LexicalQueryEncoder
from sparseir.search.query_encoder import ModelQueryEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sparseir.models.encoder import SparseEncoder
    from sparseir.search.filters.filters import Filter
    from sparseir.search.results import Hits
    from sparseir.search.searcher import Searcher

DEPTH = 100
"""Hits that are scored exactly by default."""

_KEPT = 20_000
"""Documents whose token vectors are kept: about 25 kB each at 200 tokens of 32 dimensions."""

Tokens = tuple["NDArray[np.uint32]", "NDArray[np.float32]", "NDArray[np.float32]"]
"""Of one text: terms (T,), their vectors (T, D), and the vector of the text itself (C,), where C may be 0."""


class CoilReranker:
    """Scores documents exactly with a coil encoder, by vectors that are stored beside the index, or by its texts.

    Token vectors of texts are kept for later queries.

    Parameters
    ----------
    encoder : of the kind coil_tok or coil_full. store : token vectors of the documents by ordinal; None: texts are encoded.

    Raises
    ------
    ConfigError : an encoder of another kind.
    """

    def __init__(self, encoder: SparseEncoder, store: TokenStore | None = None) -> None:
        from sparseir.models.towers.coil import CoilTower

        towers = encoder.document_tower, encoder.query_tower
        if not all(isinstance(tower, CoilTower) for tower in towers):
            raise ConfigError(
                f"reranking compares the token vectors of a coil_tok or coil_full encoder; this one is {encoder.kind}"
            )
        self.encoder, self.store = encoder, store
        self._kept: OrderedDict[str, Tokens] = OrderedDict()

    @classmethod
    def of(cls, searcher: Searcher) -> CoilReranker:
        """With the model that encodes a searcher's queries, beside a lexical channel or alone, and with stored vectors.

        Raises
        ------
        ConfigError : queries are looked up in a table, or encoded by a model of another kind.
        DataError : token vectors beside the index that are damaged, or another index's.
        """
        encoder = searcher.queries.encoder
        if isinstance(encoder, LexicalQueryEncoder):
            if encoder.learned is None:
                raise ConfigError("reranking compares the token vectors of a model; this index holds BM25 alone")
            encoder = encoder.learned  # type: ignore[assignment]
        if not isinstance(encoder, ModelQueryEncoder):
            raise ConfigError("reranking needs the coil model the index was built with: name it with --model")
        return cls(encoder.encoder, stored_vectors(searcher))

    def query(self, text: str) -> TokenVectors:
        """The token vectors of one query."""
        from sparseir.models.token_vectors import token_vectors

        return token_vectors(self.encoder, [text], query=True, stored_as="float32")

    def scores(self, query: str, documents: Sequence[str]) -> list[float]:
        """Exact score of each text, in order; 0 for one that shares no token with the query and has no vector of its own."""
        from sparseir.models.token_vectors import token_vectors

        missing = [text for text in dict.fromkeys(documents) if text not in self._kept]
        for text in missing:  # one at a time: the vectors do not depend on what else is asked for
            self._kept[text] = token_vectors(self.encoder, [text], stored_as="float32").text(0)
        parts = []
        for text in documents:
            self._kept.move_to_end(text)
            parts.append(self._kept[text])
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return exact_scores(self.query(query), parts).tolist()

    def search(
        self, searcher: Searcher, text: str, k: int = 10, *, depth: int = DEPTH, filter: Filter | None = None
    ) -> Hits:
        """The k best of the first `depth` hits by falling exact score, ties in the order they had.

        What a lexical channel adds to a hit is added to its exact score as well, in the impacts of the index.

        For k > depth the other hits follow in their order; if their scores would exceed the reranked ones, all are
        lowered by one constant.

        Raises
        ------
        DataError : the index stores no texts (it was built from vectors), and no token vectors are beside it.
        """
        hits = searcher.search(text, max(k, depth), filter=filter)
        count = min(depth, len(hits.docnos))
        ordinals = hits.ordinals[:count]
        if self.store is not None:
            given = exact_scores(self.query(text), (self.store.of(ordinal) for ordinal in ordinals.tolist()))
        else:
            stored = searcher.fields(ordinals)
            texts = [_content(fields, docno) for fields, docno in zip(stored, hits.docnos, strict=False)]
            given = np.array(self.scores(text, texts), np.float32)
        exact = given + lexical_scores(searcher, text, ordinals)
        order = np.argsort(-exact, kind="stable")
        rest = hits.scores[count:]
        if len(rest):
            rest = rest - max(0.0, float(rest[0]) - float(exact[order[-1]]))
        places = [*order.tolist(), *range(count, len(hits.docnos))][:k]
        return hits.reordered(places, np.concatenate([exact[order], rest]).astype(np.float32)[:k])


def stored_vectors(searcher: Searcher) -> TokenStore | None:
    """The token vectors beside the index of a searcher; None where there are none.

    Raises
    ------
    DataError : damaged ones, or those of another index.
    """
    index = searcher.index
    if not isinstance(index, Index) or not (tokens_folder(index.path) / DESCRIPTION).is_file():
        return None
    store = TokenStore(tokens_folder(index.path))
    check_belongs(store, index)
    return store


def exact_scores(query: TokenVectors, documents: Iterable[Tokens]) -> NDArray[np.float32]:
    """`coil_scores` of one query and some documents, float32 (N,); the same, to the bit, whatever other documents there are."""
    import torch

    from sparseir.models.towers.coil import TokenBatch, coil_scores

    parts = list(documents)
    if not parts:
        return np.zeros(0, np.float32)
    counts = torch.tensor([len(terms) for terms, _, _ in parts])
    together = TokenBatch(
        torch.repeat_interleave(torch.arange(len(parts)), counts),
        torch.from_numpy(np.concatenate([terms for terms, _, _ in parts]).astype(np.int64)),
        torch.from_numpy(np.concatenate([vectors for _, vectors, _ in parts])),
        len(parts),
    )
    asked = TokenBatch(
        torch.zeros(len(query.terms), dtype=torch.int64),
        torch.from_numpy(query.terms.astype(np.int64)),
        torch.from_numpy(query.vectors),
        1,
    )
    whole = np.stack([own for _, _, own in parts])
    # Row by row, not one product of matrices, whose last bits follow from its shape.
    return coil_scores(asked, together)[0].numpy() + (whole * query.whole).sum(1, dtype=np.float32)


def lexical_scores(searcher: Searcher, text: str, ordinals: NDArray[np.int64]) -> NDArray[np.float32]:
    """What the stems of a query score in each document, 0 where the index has no lexical channel; float32 (N,)."""
    out = np.zeros(len(ordinals), np.float32)
    encoder = searcher.queries.encoder
    if not isinstance(encoder, LexicalQueryEncoder) or not len(ordinals):
        return out
    terms, weights = encoder.stems(text)
    if len(terms):
        query = SparseVectors(np.array([0, len(terms)], np.int64), terms, weights, encoder.num_terms)
        ranking = searcher.search_vectors(query, len(ordinals), filter=searcher.prepare_filter(ordinals, view="never"))
        found = dict(zip(ranking.ordinals[0].tolist(), ranking.scores[0].tolist(), strict=True))
        out[:] = [found.get(ordinal, 0.0) for ordinal in ordinals.tolist()]
    return out


def _content(fields: Mapping[str, Any], docno: str) -> str:
    """What was encoded of a document, from its stored fields."""
    if "text" not in fields:
        raise DataError(
            f"the index stores no text of document {docno!r} to rerank by; build it with --model and --corpus"
        )
    return Document(docno, str(fields["text"]), str(fields.get("title") or "")).content
