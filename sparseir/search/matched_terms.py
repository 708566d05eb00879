"""A model over an index that nothing says it made: the model's terms are found in the index by their strings.

Vectors encoded elsewhere have ids of their own, in the order in which their terms were first seen; the ids of a model mean
other terms there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.interchange.vocabulary import Vocabulary
from sparseir.errors import DataError
from sparseir.lexical.channel import BM25_KIND, STEM_MARK
from sparseir.search.model_queries import ModelQueryEncoder


class MatchedQueryEncoder(ModelQueryEncoder):
    """The query tower of a model, its terms renamed to those of an index; terms that the index lacks are left out.

    Parameters
    ----------
    model : the encoder. ids : int64 (terms of the model,), the id of each in the index, -1 where there is none.
    num_terms : size of the vocabulary of the index.
    """

    def __init__(self, model: ModelQueryEncoder, ids: NDArray[np.int64], num_terms: int) -> None:
        super().__init__(model.encoder, name=model.name)
        self._ids, self._size = ids, num_terms
        self._strings = {int(i): term for term, i in zip(self._terms, ids.tolist(), strict=False) if i >= 0}

    @classmethod
    def of(cls, model: ModelQueryEncoder, index: Index, *, any_model: bool) -> MatchedQueryEncoder:
        """The encoder for an index that another model made, or none that is known.

        Parameters
        ----------
        any_model : search although terms of the index are none of the model's, or nothing tells.

        Raises
        ------
        DataError : the index holds no learned terms, or no term of the model; without any_model also where it holds others.
        """
        if index.encoder is not None and index.encoder.kind == BM25_KIND:
            raise DataError(
                f"index {index.path.name!r} holds words alone and no learned terms; search it without a model"
            )
        known = Vocabulary.of_index(index.query_files, index.num_terms).terms
        own = model.encoder.terms()
        if known is None:
            ids = _same_numbers(model, index, any_model=any_model)
        else:
            if not any_model:
                _check_known(known, set(own), model, index)
            places = {term: i for i, term in enumerate(known)}
            ids = np.full(model.encoder.num_terms, -1, np.int64)
            ids[: len(own)] = [places.get(term, -1) for term in own]
        if (ids < 0).all():
            raise DataError(f"index {index.path.name!r} holds no term of {model.name!r}; search it with another model")
        return cls(model, ids, index.num_terms)

    @property
    def num_terms(self) -> int:
        return self._size

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors:
        """One row per text, terms ascending."""
        rows = super().encode_batch(texts)
        ids = self._ids[rows.term_ids]
        row = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))[ids >= 0]
        weights, ids = rows.weights[ids >= 0], ids[ids >= 0]
        order = np.lexsort((ids, row))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))]).astype(np.int64)
        return SparseVectors(indptr, ids[order].astype(np.uint32), weights[order], self._size)

    def token(self, term_id: int) -> str:
        """The string of a term of the index."""
        return self._strings.get(int(term_id), f"[{term_id}]")


def _same_numbers(model: ModelQueryEncoder, index: Index, *, any_model: bool) -> NDArray[np.int64]:
    """The ids of the model as they are: an index whose terms are numbers has nothing else to compare than their range."""
    size = model.encoder.num_terms
    if size != index.num_terms and not any_model:
        raise DataError(
            f"index {index.path.name!r} was built from vectors whose terms are numbers up to {index.num_terms - 1}, and "
            f"{model.name!r} has {size} terms, so nothing shows that they are the same; search with --query-vectors, build the "
            "index with --model beside --vectors, or say --any-model if that model made the vectors"
        )
    ids = np.arange(size)
    return np.where(ids < index.num_terms, ids, -1)


def _check_known(known: Sequence[str], own: set[str], model: ModelQueryEncoder, index: Index) -> None:
    """Refuse a vocabulary with strings that are not the model's; those of stems and of padding are nobody's."""
    others = [
        term for i, term in enumerate(known) if term not in own and term != f"[{i}]" and not term.startswith(STEM_MARK)
    ]
    if others:
        shown = ", ".join(map(repr, others[:3]))
        raise DataError(
            f"index {index.path.name!r} was built from vectors of another vocabulary than that of {model.name!r}: "
            f"{len(others):,} of its {len(known):,} terms are none of the model's ({shown}); search with the model that made "
            "the vectors, with --query-vectors, or say --any-model to search by the terms they share"
        )
