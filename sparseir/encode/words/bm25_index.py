"""An index of words alone, of documents that are called by their row and whose texts are kept elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from indexer import Documents
from indexer.index import Index
from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.encode.indexing import IndexingOptions, bm25_entry, write_index
from sparseir.encode.words.stream import LexicalStream, checked_config, new_channel


def write_bm25_index(
    path: str | Path,
    batches: Iterable[Documents],
    options: IndexingOptions,
    *,
    source: str | None = None,
    progress: Progress = silent,
) -> Index:
    """Build a BM25 index that stores no text.

    Parameters
    ----------
    batches : documents with empty vectors, and their texts as fields, which are counted and not kept.
    options : `lexical`, the index's `config`, and how to build. source : what the index is of, for its manifest.

    Raises
    ------
    ConfigError : the path is taken; an unknown language.
    """
    path, config = Path(path), options.lexical or LexicalConfig()
    chosen = replace(options, config=checked_config(options.config, learned=False), lexical=config)
    channel = new_channel(config, [], 0)
    stream = LexicalStream(
        batches,
        lambda: channel,
        path=path,
        doc_scale=chosen.config.doc_scale,
        num_threads=chosen.num_threads,
        progress=progress,
    )
    with tempfile.TemporaryDirectory(prefix="sparseir-query-") as query_side:

        def counted() -> Iterator[Documents]:
            for batch in stream:
                yield replace(batch, fields=None)
            # The words of all documents are known only now.
            stream.save(query_side, carried=None)

        entry = bm25_entry(chosen)
        return write_index(
            path, counted(), chosen, query_side=query_side, encoder=entry, source=source, progress=progress
        )
