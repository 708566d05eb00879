"""Which terms the columns of a batch's vectors are."""

from __future__ import annotations

from torch import Tensor


class Columns:
    """The terms of a batch's vectors: the whole vocabulary, or some of it.

    With sampled terms the first `exact` columns are the terms of the batch's queries, which the ranking losses need,
    and the rest a uniform sample of the vocabulary, which represents all other terms in the penalty: it is scaled by
    how many of them there are for each sampled one.

    Parameters
    ----------
    terms : int64 (columns,) on the device; None: all V terms in order.
    exact : number of leading columns that represent only themselves.
    num_terms : V.
    """

    def __init__(self, terms: Tensor | None, exact: int, num_terms: int) -> None:
        self.terms = terms
        self.exact = exact
        sampled = 0 if terms is None else len(terms) - exact
        self.factor = 1.0 if terms is None else (num_terms - exact) / max(1, sampled)

    def of(self, values: Tensor) -> Tensor:
        """The entries of a vocabulary-long tensor that the penalty is taken over."""
        return values if self.terms is None else values[self.terms[self.exact :]]

    def penalised(self, weights: Tensor) -> Tensor:
        """The columns the penalty is taken over. Query terms are few among V and left out of a sampled penalty."""
        return weights if self.terms is None else weights[..., self.exact :]

    def scale(self, penalty: Tensor) -> Tensor:
        return penalty * self.factor

    def active_dims_each(self, weights: Tensor) -> Tensor:
        """Number of terms of each vector, estimated where columns are sampled."""
        active = (weights > 0).float()
        if self.terms is None:
            return active.sum(-1)
        return active[..., : self.exact].sum(-1) + active[..., self.exact :].sum(-1) * self.factor

    def active_dims(self, weights: Tensor) -> float:
        """Mean of `active_dims_each`."""
        return float(self.active_dims_each(weights).mean())
