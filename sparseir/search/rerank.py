"""The second step of COIL-tok: exact scores of token vectors for the hits of a sparse index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import SparseVectors
from sparseir.data.records import Document
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.queries import LexicalQueryEncoder
from sparseir.search.query_encoder import ModelQueryEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.towers.coil import TokenBatch
    from sparseir.search.filters.filters import Filter
    from sparseir.search.query_encoder import QueryEncoder
    from sparseir.search.results import Hits
    from sparseir.search.searcher import Searcher

DEPTH = 100
"""Hits that are scored exactly by default."""

_KEPT = 20_000
"""Documents whose token vectors are kept: about 25 kB each at 200 tokens of 32 dimensions."""


class CoilReranker:
    """Scores texts exactly with a coil_tok encoder; token vectors of documents are kept for later queries.

    Raises
    ------
    ConfigError : an encoder of another kind.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        from sparseir.models.towers.coil import CoilTower

        towers = encoder.document_tower, encoder.query_tower
        if not all(isinstance(tower, CoilTower) for tower in towers):
            raise ConfigError(f"reranking compares the token vectors of a coil_tok encoder; this one is {encoder.kind}")
        self._encoder = encoder
        self._kept: OrderedDict[str, TokenBatch] = OrderedDict()

    @classmethod
    def of(cls, query_encoder: QueryEncoder) -> CoilReranker:
        """With the model that encodes a searcher's queries, beside a lexical channel or alone.

        Raises
        ------
        ConfigError : queries are looked up in a table, or encoded by a model of another kind.
        """
        if isinstance(query_encoder, LexicalQueryEncoder):
            if query_encoder.learned is None:
                raise ConfigError("reranking compares the token vectors of a model; this index holds BM25 alone")
            return cls.of(query_encoder.learned)  # type: ignore[arg-type]
        if not isinstance(query_encoder, ModelQueryEncoder):
            raise ConfigError("reranking needs the coil_tok model the index was built with: name it with --model")
        return cls(query_encoder.encoder)

    def scores(self, query: str, documents: Sequence[str]) -> list[float]:
        """Exact score of each document, in order; 0 for one that shares no token with the query."""
        import torch

        from sparseir.models.towers.coil import TokenBatch, coil_scores

        asked = self._tokens([query], query=True)[0]
        missing = [text for text in dict.fromkeys(documents) if text not in self._kept]
        self._kept.update(zip(missing, self._tokens(missing, query=False), strict=True))
        parts = []
        for text in documents:
            self._kept.move_to_end(text)
            parts.append(self._kept[text])
        if not parts:
            return []
        numbers = [torch.full_like(part.text, number) for number, part in enumerate(parts)]
        together = TokenBatch(
            torch.cat(numbers),
            torch.cat([part.term_ids for part in parts]),
            torch.cat([part.vectors for part in parts]),
            len(parts),
        )
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        row: list[float] = coil_scores(asked, together)[0].tolist()
        return row

    def search(
        self, searcher: Searcher, text: str, k: int = 10, *, depth: int = DEPTH, filter: Filter | None = None
    ) -> Hits:
        """The k best of the first `depth` hits by falling exact score, ties in the order they had.

        What a lexical channel adds to a hit is added to its exact score as well, in the impacts of the index.

        For k > depth the other hits follow in their order; if their scores would exceed the reranked ones, all are
        lowered by one constant.

        Raises
        ------
        DataError : the index stores no texts (it was built from vectors).
        """
        hits = searcher.search(text, max(k, depth), filter=filter)
        count = min(depth, len(hits.docnos))
        stored = searcher.fields(hits.ordinals[:count])
        texts = [_content(fields, docno) for fields, docno in zip(stored, hits.docnos, strict=False)]
        exact = np.array(self.scores(text, texts), np.float32) + _lexical_scores(searcher, text, hits.ordinals[:count])
        order = np.argsort(-exact, kind="stable")
        rest = hits.scores[count:]
        if len(rest):
            rest = rest - max(0.0, float(rest[0]) - float(exact[order[-1]]))
        places = [*order.tolist(), *range(count, len(hits.docnos))][:k]
        return hits.reordered(places, np.concatenate([exact[order], rest]).astype(np.float32)[:k])

    def _tokens(self, texts: Sequence[str], *, query: bool) -> list[TokenBatch]:
        import torch

        from sparseir.models.inference import evaluating
        from sparseir.models.towers.coil import CoilTower

        encoder = self._encoder
        tower = encoder.query_tower if query else encoder.document_tower
        assert isinstance(tower, CoilTower)
        tokenize = encoder.tokenize_queries if query else encoder.tokenize_documents
        out = []
        with torch.inference_mode(), evaluating(tower):
            for text in texts:  # one at a time: the vectors do not depend on what else is asked for
                features = {name: value.to(encoder.device) for name, value in tokenize([text]).items()}
                out.append(tower.counted(tower.vectors(features), features))
        return out


def _lexical_scores(searcher: Searcher, text: str, ordinals: NDArray[np.int64]) -> NDArray[np.float32]:
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
