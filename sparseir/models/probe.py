"""Whether a masked LM looks as if it had been trained to be sparse: its folder does not say."""

from __future__ import annotations

from sparseir.models.encoder import SparseEncoder

_SENTENCE = "What a text weighs in terms before any training says little about it."
_DENSE, _FEW = 0.03, 8
"""More than this share of the vocabulary, and than so many terms, no encoder that was trained to be sparse gives a short
sentence: SPLADE's give one or two hundred of 30,522. all-MiniLM-L6-v2 with a head that nothing trained gives 2,101."""


def terms_of_a_sentence(encoder: SparseEncoder) -> int:
    """How many terms the encoder gives one sentence."""
    return encoder.encode_documents([_SENTENCE]).nnz


def doubt(encoder: SparseEncoder, model: str) -> str | None:
    """A sentence for a person on a plain masked LM that gives a text a large part of its vocabulary; None for any other.

    Parameters
    ----------
    model : what the encoder was loaded by.
    """
    if not encoder.plain:
        return None
    terms = terms_of_a_sentence(encoder)
    if terms <= max(_FEW, _DENSE * encoder.num_terms):
        return None
    return (
        f"{model} is a plain masked language model, and a sentence gets {terms:,} of its {encoder.num_terms:,} terms: nothing "
        "seems to have trained it to be sparse, so vectors are long and hits poor. Train it (sparseir train RECIPE --set "
        f"model.base={model} --output MODEL), or index words without a model (--bm25)"
    )
