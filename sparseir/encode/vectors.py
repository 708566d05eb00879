"""From vectors encoded elsewhere to a searchable index: their terms, their texts, and what may go into which index."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import Documents, open_index
from indexer.index import Index
from indexer.interchange import Vocabulary
from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.sources import open_vectors, open_vectors_of
from indexer.progress import Progress, silent
from sparseir.data.corpus.reader import absent_field
from sparseir.data.records import Document
from sparseir.data.stores.write_tokens import remove as remove_tokens
from sparseir.encode.corpus_fields import CorpusFields
from sparseir.encode.indexing import encoder_entry, write_index
from sparseir.encode.options import IndexingOptions
from sparseir.encode.stream import stored_fields
from sparseir.encode.token_vectors import encoded_tokens
from sparseir.encode.words.stream import check_no_channel
from sparseir.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

_LOOKED_AT = 1024
"""Vectors that are looked at together for the fields beside them."""


def index_vectors(
    path: str | Path,
    source: str | Path,
    *,
    corpus: Iterable[Document] | None = None,
    corpus_name: str = "the corpus",
    options: IndexingOptions | None = None,
    encoder: SparseEncoder | None = None,
    progress: Progress = silent,
) -> Index:
    """Build an index of encoded documents in any vector format, or add them to one.

    What else stands in the lines of JSON vectors is stored, to be shown and filtered by; of a field that the corpus has
    too, the corpus' value. Notes of the index say what the two sides did not have in common.

    Parameters
    ----------
    source : file or folder for `indexer.interchange.sources.open_vectors_of`.
    corpus : the documents the vectors were made of, in any order; found by name. corpus_name : for messages.
    encoder : what made the vectors; its vocabulary then gives term strings their ids, and its query side travels with
        the index. Without it, terms that are strings take ids in the order they are first seen, and travel too; those of
        vectors that are added later take the ids that follow.

    Raises
    ------
    DataError : vectors that cannot be read or indexed, or none; most of them without a document in the corpus; a field to
        filter by that neither side has.
    ConfigError : the path is taken; vectors of unknown origin for an index that a model made, or the reverse; token vectors
        that are to be taken along and are not there (`IndexingOptions.token_vectors`).
    """
    chosen, target = options or IndexingOptions(), Path(path)
    adds = chosen.mode != "build"
    if adds:
        check_no_channel(target, "vectors")
        check_same_maker(open_index(target), encoder, source)
    opened = _open(target, source, chosen, encoder)  # faults of the file's head are said before anything is written
    with ExitStack() as open_files:
        joined = None
        if corpus is not None:
            joined = CorpusFields(
                corpus, name=corpus_name, folder=target.parent, stored=stored_fields, progress=progress
            )
            open_files.callback(joined.close)
        if not adds:
            _check_metadata(chosen.config.metadata, opened, () if joined is None else joined.names)
        tokens = encoded_tokens(target, encoder, chosen, Path(source))
        if tokens is not None:
            open_files.callback(tokens.close)
        query_side = Path(open_files.enter_context(tempfile.TemporaryDirectory(prefix="sparseir-query-")))
        notes: list[str] = []

        def batches() -> Iterator[Documents]:
            # Opened again: the writer holds its lock now, so the terms of the index are those that this commit replaces.
            vectors, rows = _open(target, source, chosen, encoder) if adds else opened, 0
            for batch in vectors:
                rows += len(batch)
                progress("reading vectors", rows, None)
                batch = batch if tokens is None else tokens.take(batch)
                yield batch if joined is None else _with_texts(batch, joined)
            if rows == 0:
                raise DataError("holds no documents; expected one or more vectors", path=source)
            if tokens is not None:
                tokens.join()
            if joined is not None:
                notes.extend(joined.finish())
            _save_terms(query_side, open_index(target) if adds else None, vectors)

        if encoder is not None and encoder.query_table is not None and not adds:
            encoder.query_table.save(query_side)
        grows = adds and encoder is None and open_index(target).query_side is not None
        entry = None if encoder is None else encoder_entry(encoder)
        index = write_index(
            path,
            batches(),
            chosen,
            query_side=query_side,
            growing=grows,
            encoder=entry,
            source=None if encoder is not None else Path(source).name,
            progress=progress,
        )
        if tokens is not None:
            tokens.publish(index)
        elif not adds:
            remove_tokens(target)
    index.notes = (*index.notes, *notes)
    return index


def check_same_maker(index: Index, encoder: SparseEncoder | None, source: str | Path) -> None:
    """Refuse vectors whose terms or scale cannot be those of the index they are to be added to.

    Raises
    ------
    ConfigError : nothing says that the model of the index made them, or the index was made of vectors without a model.
    """
    made_by = index.encoder
    if made_by is not None and encoder is None:
        name = made_by.name or made_by.fingerprint[:12]
        raise ConfigError(
            f"index {index.path.name!r} was made by the model {name}, and nothing says that {source} was: name the model if "
            "it was (--model), else build an index of these vectors alone"
        )
    if made_by is None and encoder is not None and index.manifest.next_ordinal:
        raise ConfigError(
            f"index {index.path.name!r} was made of vectors without a model, whose terms have ids of their own; add vectors "
            "of the same source without --model, or build a new index with it"
        )


def _open(path: Path, source: str | Path, chosen: IndexingOptions, encoder: SparseEncoder | None) -> VectorSource:
    def vocabulary() -> Vocabulary | None:
        """What terms mean: as the encoder says, or as the index that is added to."""
        if encoder is not None:
            return Vocabulary.fixed(encoder.terms(), num_terms=encoder.num_terms)
        if chosen.mode == "build":
            return None
        index = open_index(path)
        return Vocabulary.of_index(index.query_files, index.num_terms, grows=True)

    return open_vectors_of(source, vocabulary, num_terms=encoder.num_terms if encoder else None)


def _check_metadata(wanted: Sequence[str], vectors: VectorSource, of_corpus: Iterable[str]) -> None:
    """Refuse a field to filter by that no document has; the vectors are read as far as it takes to see all of them.

    Raises
    ------
    DataError
    """
    known = dict.fromkeys(of_corpus)
    missing = [name for name in wanted if name not in known]
    if missing and vectors.format == "jsonl":  # no other format has fields beside its vectors
        for batch in open_vectors(vectors.path, limits=BatchLimits(rows=_LOOKED_AT)):
            for fields in batch.fields or ():
                known |= dict.fromkeys(key for key, value in fields.items() if value != [])
            missing = [name for name in missing if name not in known]
            if not missing:
                return
    if missing:
        raise absent_field(missing[0], known, vectors.path)


def _with_texts(batch: Documents, joined: CorpusFields) -> Documents:
    own = batch.fields or [{}] * len(batch)
    texts = joined.of(batch.docnos)
    return replace(batch, fields=[{**mine, **theirs} for mine, theirs in zip(own, texts, strict=True)])


def _save_terms(query_side: Path, index: Index | None, vectors: VectorSource) -> None:
    """Terms that take ids as they are first seen, all of them known when the vectors have been read."""
    if index is not None:
        _grow(query_side, index, vectors)
    elif vectors.vocabulary is not None and vectors.vocabulary.terms is not None:
        vectors.vocabulary.save(query_side)


def _grow(folder: Path, index: Index, vectors: VectorSource) -> None:
    """The query side of an index with the terms that its new documents brought; nothing where they brought none.

    Raises
    ------
    DataError : terms that are numbers beyond those the index has strings for.
    """
    side, found = index.query_side, vectors.vocabulary
    known = Vocabulary.of_index(index.query_files, index.num_terms).terms
    if side is None or known is None or index.encoder is not None:
        return
    terms = None if found is None else found.terms
    if terms is None or len(terms) <= len(known):
        if vectors.num_terms > max(index.num_terms, len(known)):
            raise DataError(
                f"has terms up to number {vectors.num_terms - 1}, and the index strings for {len(known)}; give the strings of "
                "the terms too (FILE.terms beside it), or vectors as .jsonl",
                path=vectors.path,
            )
        return
    shutil.copytree(side, folder, dirs_exist_ok=True)
    Vocabulary.fixed(terms).save(folder)
