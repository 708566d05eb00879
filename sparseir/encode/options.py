"""How documents become an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from indexer.config import IndexConfig
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows
from sparseir.encode.words.projected import Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexingOptions:
    """How `index_documents` works.

    config : of the index. batch : documents encoded at a time. max_active_dims : keep the heaviest terms of a document.
    num_threads, memory_budget (bytes, 0 for none) : of the index build. overwrite : replace an index at the path.
    dtype : of the network, "native" or "float32"; see `SparseEncoder.encode_documents`.
    shards : build so many shards, which together are the index; None builds one index.
    resume : of a build with an encoder: keep its encoded batches beside the index until that stands, and where True take
    those that a stopped build of the same texts, model and settings left. None keeps nothing.
    mode : "build" an index, "add" to one, or "replace" documents of the same name while adding.
    corpus_idf : weigh the query terms of an inference-free encoder by their idf in these documents, not by the model's
    table.
    windows : index passages of the texts, so long and so far apart; documents that are added to an index get its own.
    lexical : build the index with a lexical channel of these settings. Documents that are added to an index get its own.
    merge : of small segments when documents are added, "tiered" or "none"; see `indexer.config.AddOptions`.
    token_vectors : store the token vectors of a coil encoder beside the index, for exact search: of texts, or those beside vectors
    that were encoded with them; of documents that are added, None stores them where those of the others are.
    embed : the channel's dense model, where somebody has it loaded; None loads it where the channel names one.
    """

    config: IndexConfig = field(default_factory=IndexConfig)
    batch: int = 1024
    max_active_dims: int | None = None
    num_threads: int = 1
    memory_budget: int = 0
    overwrite: bool = False
    corpus_idf: bool = False
    lexical: LexicalConfig | None = None
    windows: Windows | None = None
    shards: int | None = None
    dtype: Literal["native", "float32", "bfloat16"] = "native"
    resume: bool | None = None
    mode: Literal["build", "add", "replace"] = "build"
    merge: str = "tiered"
    token_vectors: bool | None = None
    embed: Embedder | None = None
