"""DeepCT's loss."""

from __future__ import annotations

from torch import Tensor


def query_term_recall(predicted: Tensor, recall: Tensor, counted: Tensor) -> Tensor:
    """Σ (ŷ − y)² / n over the counted tokens of a batch, n of them; 0 where there are none.

    Parameters
    ----------
    predicted, recall : (B, L): ŷ, and y, the share of a document's queries that hold the token's word.
    counted : bool (B, L), the first piece of every word.

    Source: Dai & Callan 2019 (arXiv:1910.10687), eq. 2; one mean over a batch, as in the authors' code.
    """
    squares = (predicted.float() - recall).square() * counted
    return squares.sum() / counted.sum().clamp(min=1)
