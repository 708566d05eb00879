"""From documents to a searchable index in one pass: encode, index, take the query side along."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import Documents, add_documents, build_index, build_shards, open_index
from indexer.format.manifest import EncoderEntry
from indexer.index import Index
from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows, windows_of
from sparseir.data.records import Document
from sparseir.data.stores.write_tokens import remove as remove_tokens
from sparseir.encode.activity import Activity
from sparseir.encode.kept_parts import KeptEmbedder, KeptParts
from sparseir.encode.options import IndexingOptions
from sparseir.encode.stream import EncodedStream, IdfCount
from sparseir.encode.token_vectors import StoredTokens, stored_tokens
from sparseir.encode.windows import outdated_passages, passages
from sparseir.encode.words.projected import embedder
from sparseir.encode.words.stream import (
    LexicalStream,
    check_model_given,
    checked_config,
    has_channel_at,
    new_channel,
    stored_channel,
)
from sparseir.lexical.channel import BM25_KIND, LexicalChannel

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


_FEW = 100
"""Fewer documents say too little of the likeness of their words."""

FEW_DOCUMENTS = (
    "the dense model's words are those of {} documents, which is few, and stay so for documents that are added; "
    "build again when there are hundreds"
)

_ADVICE = {
    True: "--windows SIZE/STEP, such as 128/64, indexes passages of them",
    False: "these are passages with long titles; give smaller --windows",
}
"""On texts that were cut, by whether they were whole."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """An index just built, with the time each half took and the activity of its documents."""

    index: Index
    encode_seconds: float
    build_seconds: float
    activity: Activity


def index_documents(
    path: str | Path,
    encoder: SparseEncoder | None,
    documents: Iterable[Document],
    *,
    options: IndexingOptions | None = None,
    progress: Progress = silent,
) -> Indexed:
    """Encode a stream of documents and build an index of them, or add them to one.

    Title, text and every other key of a document are stored. An inference-free encoder's query table travels with
    the index, which then answers text without a model, and so does the vocabulary of a lexical channel. Without an
    encoder the index is one of BM25.

    Raises
    ------
    DataError : documents that cannot be read or indexed.
    ConfigError : the path is taken; an unknown language; settings that do not go with a lexical channel; no such dense model.
    """
    chosen, target = options or IndexingOptions(), Path(path)
    if chosen.mode == "build" and (encoder is None or chosen.lexical is not None):
        chosen = replace(chosen, config=checked_config(chosen.config, learned=encoder is not None))
        if chosen.embed is None and chosen.lexical is not None and chosen.lexical.expansion_model is not None:
            chosen = replace(chosen, embed=embedder(chosen.lexical))  # one that is not here is said before the work
    windows = chosen.windows if chosen.mode == "build" else windows_of(open_index(target))
    if windows is not None:
        documents = passages(documents, windows, encoder, chosen.lexical)
    parts, chosen = _kept_parts(target, encoder, chosen)
    tokens = stored_tokens(target, encoder, chosen, None if parts is None else parts.folder)
    stream = EncodedStream(encoder, documents, chosen, progress, parts, tokens)
    try:
        return _index_stream(path, stream, encoder, chosen, windows, parts, tokens, progress)
    finally:
        if tokens is not None:
            tokens.close()


def _index_stream(
    path: str | Path,
    stream: EncodedStream,
    encoder: SparseEncoder | None,
    chosen: IndexingOptions,
    windows: Windows | None,
    parts: KeptParts | None,
    tokens: StoredTokens | None,
    progress: Progress,
) -> Indexed:
    """Write the index of a stream of documents, and what stands beside it."""
    start, target = time.perf_counter(), Path(path)
    with tempfile.TemporaryDirectory(prefix="sparseir-query-") as query_side:
        table = None if encoder is None else encoder.query_table
        if table is not None:
            table.save(query_side)
            if chosen.corpus_idf:
                stream.idf = IdfCount(table, Path(query_side), weighed=encoder is not None and encoder.kind == "deepct")
        lexical = _lexical_stream(target, stream, encoder, chosen, progress)
        activity = Activity()

        def batches() -> Iterator[Documents]:
            for batch in stream if lexical is None else lexical:
                activity.add(batch.vectors)
                yield batch
            # The words of all documents are known only now.
            if lexical is not None:
                lexical.save(query_side, carried=None if chosen.mode == "build" else target)

        entry = encoder_entry(encoder) if encoder is not None else bm25_entry(chosen)
        side = None if table is None and lexical is None and windows is None else query_side
        if windows is not None:
            windows.save(query_side)
        growing = lexical is not None and chosen.mode != "build"
        index = write_index(path, batches(), chosen, query_side=side, growing=growing, encoder=entry, progress=progress)
    if tokens is not None:
        tokens.publish(index)
    elif chosen.mode == "build":
        remove_tokens(target)
    if parts is not None:
        parts.remove()
        if parts.taken:
            index.notes = (*index.notes, f"{parts.taken:,} documents were encoded before the interruption")
    if lexical is not None and lexical.projection is not None and index.num_docs < _FEW:
        index.notes = (*index.notes, FEW_DOCUMENTS.format(index.num_docs))
    if stream.cut is not None and (said := stream.cut.note(_ADVICE[windows is None])) is not None:
        index.notes = (*index.notes, said)
    elapsed = time.perf_counter() - start
    return Indexed(index, stream.seconds, elapsed - stream.seconds, activity)


def _kept_parts(
    target: Path, encoder: SparseEncoder | None, chosen: IndexingOptions
) -> tuple[KeptParts | None, IndexingOptions]:
    """Where a build that can be resumed keeps what networks made, and options that keep embeddings there.

    None where no network runs: counting words again is as quick as reading counts.
    """
    if chosen.mode != "build" or chosen.resume is None or (encoder is None and chosen.embed is None):
        return None, chosen
    settings: dict[str, object] = {"batch": chosen.batch}
    if encoder is not None:
        settings |= {
            "encoder": encoder.fingerprint,
            "dtype": chosen.dtype,
            "max_active_dims": chosen.max_active_dims,
        }
    if chosen.token_vectors:
        settings["token_vectors"] = True
    if chosen.embed is not None and chosen.lexical is not None:
        settings["expansion_length"] = chosen.lexical.expansion_length
    parts = KeptParts(target, settings, resume=chosen.resume)
    embed = None if chosen.embed is None else KeptEmbedder(chosen.embed, parts)
    return parts, replace(chosen, embed=embed)


def has_looked_up_queries(encoder: SparseEncoder | None) -> bool:
    """Whether queries need no model: where they do not, words beside its terms have always raised quality (docs/lexical.md)."""
    return encoder is not None and encoder.query_table is not None


def _lexical_stream(
    path: Path,
    batches: Iterable[Documents],
    encoder: SparseEncoder | None,
    chosen: IndexingOptions,
    progress: Progress,
) -> LexicalStream | None:
    """What adds the lexical channel to documents; None where the index has none."""
    if chosen.mode != "build":
        check_model_given(path, encoder is not None)
        if not has_channel_at(path):
            return None
        return LexicalStream(
            batches,
            partial(stored_channel, path),
            path=path,
            added_to=path,
            num_threads=chosen.num_threads,
            embed=chosen.embed,
        )
    if encoder is not None and chosen.lexical is None:
        return None
    terms, size = ([], 0) if encoder is None else (encoder.terms(), encoder.num_terms)
    channel = new_channel(chosen.lexical or LexicalConfig(), terms, size)
    return LexicalStream(
        batches,
        lambda: channel,
        path=path,
        doc_scale=chosen.config.doc_scale,
        num_threads=chosen.num_threads,
        embed=chosen.embed,
        progress=progress,
    )


def bm25_entry(chosen: IndexingOptions) -> EncoderEntry | None:
    """How an index names what made it, when that is BM25 alone; documents that are added follow the index."""
    if chosen.mode != "build":
        return None
    config = chosen.lexical or LexicalConfig()
    return EncoderEntry(fingerprint=LexicalChannel(config).fingerprint, kind=BM25_KIND, name=f"bm25-{config.language}")


def write_index(
    path: str | Path,
    batches: Iterable[Documents],
    chosen: IndexingOptions,
    *,
    query_side: str | Path | None,
    growing: bool = False,
    encoder: EncoderEntry | None,
    source: str | None = None,
    progress: Progress,
) -> Index:
    """Build, or add to what stands there: an index keeps its config, and its query side unless that is growing."""
    if chosen.mode == "build":
        build = build_index if chosen.shards is None else partial(build_shards, shards=chosen.shards)
        return build(
            path,
            batches,
            config=chosen.config,
            query_side=query_side,
            encoder=encoder,
            source=source,
            overwrite=chosen.overwrite,
            memory_budget=chosen.memory_budget,
            num_threads=chosen.num_threads,
            progress=progress,
        )
    return add_documents(
        path,
        batches,
        replace_existing=chosen.mode == "replace",
        also_replaced=None if windows_of(open_index(path)) is None else outdated_passages,
        grown_query_side=query_side if growing else None,
        merge=chosen.merge,
        encoder=encoder,
        num_threads=chosen.num_threads,
        progress=progress,
    )


def encoder_entry(encoder: SparseEncoder) -> EncoderEntry:
    """How an index names the encoder of its vectors."""
    return EncoderEntry(fingerprint=encoder.fingerprint, kind=encoder.kind, name=encoder.config.base)
