"""The encoder that a command was given. Imports torch: a command imports this module when it runs."""

from __future__ import annotations

from sparseir.errors import ConfigError
from sparseir.models.encoder import SparseEncoder


def load_encoder(model: str, device: str, *, untrained: bool) -> SparseEncoder:
    """The encoder of a model folder or hub id.

    Parameters
    ----------
    untrained : take one whose head is fresh, too.

    Raises
    ------
    ConfigError : there is none; or its head is fresh, so that a text would get thousands of terms that mean nothing.
    """
    encoder = SparseEncoder.load(model, device=device)
    if encoder.untrained and not untrained:
        terms = encoder.encode_documents(["What a text weighs in terms before any training says little about it."]).nnz
        raise ConfigError(
            f"{model} is a base without a trained head: a sentence gets {terms:,} terms that mean nothing. Train it "
            "(sparseir train RECIPE --output MODEL), index words without a model (sparseir index build INDEX --bm25 --corpus "
            "INPUT), or say --untrained to encode with it all the same"
        )
    return encoder
