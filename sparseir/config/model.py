"""The `model` section: which encoder, from which weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from sparseir.errors import ConfigError

EncoderKind = Literal[
    "splade",
    "splade_doc",
    "inference_free",
    "unicoil",
    "deepimpact",
    "deepct",
    "coil_tok",
    "coil_full",
    "bge_m3",
    "csr",
]

LOOKED_UP_KINDS = ("splade_doc", "inference_free", "deepimpact", "deepct")
"""Kinds whose queries are looked up in a table; those of the others run a network."""

EXPANDED_KINDS = ("unicoil", "deepimpact")
"""Kinds that read a document's expansion after its text."""

_FIRST_KEYS = frozenset({
    "kind", "base", "shared_towers", "pooling", "activation", "top_k_query", "top_k_document", "max_query_length",
    "max_document_length", "fresh_head_bias", "head_scale", "zero_specials", "lexical_residual", "lexical_residual_start",
    "trainable_idf", "token_dim", "csr_expansion", "csr_k", "csr_dead_after",
})  # fmt: skip
"""Keys that every fingerprint holds. Closed: a new key does not join them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What maps a text to weighted terms."""

    kind: EncoderKind = "inference_free"
    """The encoder. splade: masked-LM head on both sides; splade_doc: on documents, queries weigh 1 a token;
    inference_free: on documents, queries weigh idf; unicoil, bge_m3: one number for each of the text's own tokens;
    deepimpact, deepct: for each of its words; coil_tok: one vector for each token; coil_full: and one for the text; csr: latents of a sparse autoencoder over a dense encoder."""

    base: str = "all-MiniLM-L6-v2"
    """Folder or hub id of the starting weights: a masked LM, or an encoder without a head, which gets a fresh one."""

    shared_towers: bool = True
    """Whether queries and documents share one network, where both have one."""

    pooling: Literal["max", "sum"] = "max"
    """Over the tokens of a text: max (SPLADE v2, ++ and v3) or sum (SPLADE v1). For kinds with a masked-LM head."""

    activation: Literal["log1p", "double_log1p"] = "log1p"
    """On positive document logits: log(1 + x), or log(1 + log(1 + x)) (ℓ0 activation). Queries always take log1p."""

    top_k_query: int | None = None
    """Keep the k largest weights of a query, in training as in use; null keeps all."""

    top_k_document: int | None = None
    """Keep the k largest weights of a document, in training as in use; null keeps all."""

    max_query_length: int = 64
    """Tokens of a query a network reads, specials included. Queries looked up in a table are never cut."""

    max_document_length: int = 256
    """Tokens of a document the network reads, specials included."""

    fresh_head_bias: float = -3.0
    """First vocabulary bias of a head made for a base that has none; it sets the first sparsity."""

    head_scale: float = 1.0
    """Factor on the output of the head's last normalisation; below 1 tames a head whose logits are too large."""

    zero_specials: bool = True
    """Whether special tokens weigh 0, in training as in use."""

    lexical_residual: bool = False
    """Whether each token of the document itself adds a learned positive weight to its own term, times BM25's saturation
    of how often the token occurs."""

    lexical_residual_start: float = 0.5
    """What every token of a document adds before saturation, whatever training makes of the rest; > 0."""

    trainable_idf: bool = False
    """Whether the query weights of an inference_free encoder learn."""

    token_dim: int = 32
    """coil_tok, coil_full: dimensions of a token's vector."""

    cls_dim: int = 768
    """coil_full: dimensions of the vector of the whole text, which the first token's is projected to."""

    csr_expansion: int = 4
    """csr: number of latents, in multiples of the dense encoder's dimensions."""

    csr_k: int = 32
    """csr: latents kept a text."""

    csr_dead_after: int = 30
    """csr: optimiser steps without a text that activates it after which a latent is dead and joins the auxiliary loss."""

    word_vocabulary: int = 0
    """deepimpact, deepct: how many words (or stems) of the training texts are the vocabulary, those of most documents; 0: of the
    whole words that the base's tokenizer has."""

    deepct_k1: float = 10.0
    """deepct: BM25's k1 over frequencies that go up to 100."""

    deepct_b: float = 0.9
    """deepct: BM25's b, how much a document's length counts."""

    deepct_stemmer: str = "none"
    """deepct: whose stems the index's words are, of documents and queries; the frequencies of a stem's words are summed, and stop
    words weigh nothing. porter as in the authors' index; any of Snowball's languages; none: words as they are."""

    csr_normalise: bool = False
    """csr: codes have length 1 and scores are cosines, in training as in use: the paper's contrastive term."""

    expansion_separator: bool = False
    """unicoil, deepimpact: the tokenizer's separator token stands between a document's text and the words of its expansion,
    in training as in use, as in the authors' code."""

    def identity(self) -> dict[str, Any]:
        """What fingerprints of encoders are taken of: all keys but `base`.

        A key that is not in `_FIRST_KEYS` came later and is left out while it has its default: an index made before it
        was there still knows its encoder.
        """
        later = {f.name: f.default for f in dataclasses.fields(self) if f.name not in _FIRST_KEYS}
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: v for k, v in values.items() if k != "base" and (k not in later or v != later[k])}

    @property
    def idf_queries(self) -> bool:
        """Whether a query's weights are idf of the collection, until training changes them."""
        return self.kind in ("inference_free", "deepct")

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least 1, found {value}"
            for name in (
                "max_query_length",
                "max_document_length",
                "token_dim",
                "cls_dim",
                "csr_expansion",
                "csr_k",
                "csr_dead_after",
            )
            if (value := getattr(self, name)) < 1
        ]
        faults += [
            f"{name}: expected at least 1 or null, found {value}"
            for name in ("top_k_query", "top_k_document")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        faults += [
            f"{name}: expected a positive number, found {value}"
            for name in ("head_scale", "lexical_residual_start")
            if not (value := getattr(self, name)) > 0
        ]
        if self.word_vocabulary < 0:
            faults.append(f"word_vocabulary: expected at least 0, found {self.word_vocabulary}")
        if self.word_vocabulary and self.kind not in ("deepimpact", "deepct"):
            faults.append(f"word_vocabulary: belongs to deepimpact and deepct, not to {self.kind}")
        if self.expansion_separator and self.kind not in EXPANDED_KINDS:
            faults.append(f"expansion_separator: belongs to {' and '.join(EXPANDED_KINDS)}, not to {self.kind}")
        if not self.deepct_k1 > 0:
            faults.append(f"deepct_k1: expected a positive number, found {self.deepct_k1}")
        if not 0 <= self.deepct_b <= 1:
            faults.append(f"deepct_b: expected a number from 0 to 1, found {self.deepct_b}")
        masked_lm = self.kind in ("splade", "splade_doc", "inference_free")
        if self.lexical_residual and not masked_lm:
            faults.append(f"lexical_residual: belongs to kinds with a masked-LM head, not to {self.kind}")
        if self.pooling == "sum" and not masked_lm:
            faults.append(f"pooling: sum belongs to kinds with a masked-LM head, not to {self.kind}")
        if self.trainable_idf and self.kind != "inference_free":
            faults.append(f"trainable_idf: belongs to inference_free, not to {self.kind}")
        if faults:
            raise ConfigError("\n".join(faults))
