"""The encoder that a command was given. Imports torch: a command imports this module when it runs."""

from __future__ import annotations

from sparseir.cli.output.console import note
from sparseir.errors import ConfigError
from sparseir.models.encoder import SparseEncoder
from sparseir.models.probe import doubt, terms_of_a_sentence


def load_encoder(model: str, device: str, *, untrained: bool) -> SparseEncoder:
    """The encoder of a model folder or hub id. A note says so where a plain masked LM does not seem to be trained.

    Parameters
    ----------
    untrained : take one whose head is fresh, too, and say nothing.

    Raises
    ------
    ConfigError : there is none; or its head is fresh, so that a text would get thousands of terms that mean nothing.
    """
    encoder = SparseEncoder.load(model, device=device)
    if untrained:
        return encoder
    if encoder.untrained:
        raise ConfigError(
            f"{model} is a base without a trained head: a sentence gets {terms_of_a_sentence(encoder):,} terms that mean "
            "nothing. Train it (sparseir train RECIPE --output MODEL), index words without a model (sparseir index build "
            "INDEX --bm25 --corpus INPUT), or say --untrained to encode with it all the same"
        )
    doubts = doubt(encoder, model)
    if doubts is not None:
        note(f"{doubts}; --untrained if it is meant so")
    return encoder
