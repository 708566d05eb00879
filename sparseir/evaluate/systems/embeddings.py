"""Dense embeddings of a collection, made once for the dense baseline and for indexes that take words from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparseir.config.lexical import LexicalConfig
from sparseir.evaluate.judged import JudgedCollection

if TYPE_CHECKING:
    from sparseir.models.networks.dense import RememberedEmbeddings

SharedEmbeddings = dict[str, dict[tuple[str, int], "RememberedEmbeddings"]]
"""Collection → model and tokens → its embeddings, kept by whoever evaluates a collection more than once; 1.5 kB a text
of all-MiniLM-L6-v2."""


def remembered(collection: JudgedCollection, model: str, tokens: int) -> RememberedEmbeddings:
    """The embeddings of a collection by a model that reads so many tokens of a text."""
    from sparseir.models.networks.dense import RememberedEmbeddings

    key = model, tokens
    if key not in collection.embeddings:
        collection.embeddings[key] = RememberedEmbeddings(model, max_length=tokens, bf16=True)
    return collection.embeddings[key]


def of_channel(collection: JudgedCollection, channel: LexicalConfig | None) -> RememberedEmbeddings | None:
    """Those that a lexical channel takes words from; None where it takes none."""
    if channel is None or channel.expansion_model is None:
        return None
    return remembered(collection, channel.expansion_model, channel.expansion_length)


def spent(embeddings: RememberedEmbeddings) -> tuple[float, float]:
    """Wall-clock and processor seconds that embedding has taken so far."""
    kinds = embeddings.on_documents, embeddings.on_queries
    return sum(kind.seconds for kind in kinds), sum(kind.cpu_seconds for kind in kinds)
