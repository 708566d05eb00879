"""The parts of a collection that is encoded: each a file whose name tells what texts it is of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import Documents, SparseVectors
from indexer.interchange import write_vectors
from indexer.progress import Progress
from sparseir.config.encode import EncodeConfig
from sparseir.data.records import Document, Query
from sparseir.data.stores.tokens import TokenVectors
from sparseir.data.stores.write_tokens import TokenWriter
from sparseir.encode.lengths import CutCount
from sparseir.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionOptions:
    """How `encode_collection` works.

    config : batch size, number format, active dims, size of a part.
    shard : (i, n) with 1 ≤ i ≤ n: only parts i, i + n, i + 2n … of the collection. All shards together hold every
        document once.
    queries : the texts are queries.
    resume : keep the finished parts of a run that was stopped; else they are made again. A finished run is left as it is.
    overwrite : replace vectors that stand at the output.
    token_vectors : of documents by a coil encoder: write the vectors of their tokens too, into the folder OUTPUT.tokens.
    """

    config: EncodeConfig = field(default_factory=EncodeConfig)
    shard: tuple[int, int] = (1, 1)
    queries: bool = False
    resume: bool = False
    overwrite: bool = False
    token_vectors: bool = False

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 1 <= index <= count:
            raise ConfigError(f"shard {index}/{count}: expected I/N with I from 1 to N")
        if self.token_vectors and (self.queries or self.config.max_active_dims is not None):
            raise ConfigError(
                "token vectors are of documents, with every term: leave out "
                + ("queries" if self.queries else "max_active_dims (--max-active-dims)")
            )


def make_parts(
    folder: Path,
    encoder: SparseEncoder,
    documents: Iterable[Document | Query],
    options: CollectionOptions,
    cut: CutCount,
    progress: Progress,
    tokens: TokenWriter | None = None,
) -> Iterator[Path]:
    """The shard's part files in order, each encoded unless it is there; token vectors are kept before the vectors."""
    done = 0
    for number, part in _parts(documents, options):
        docnos, texts = _names_and_texts(part, encoder)
        cut.add(texts)
        name = f"{number:06d}-{texts_digest(docnos, texts)}"
        file = folder / f"part-{name}.npz"
        beside = None if tokens is None else tokens.file(name)
        if not file.is_file():
            if any(folder.glob(f"part-{number:06d}-*.npz")):
                raise DataError(
                    f"documents {number * options.config.part_size} and following differ in name or text from those of the run "
                    "that is resumed; start again without resume",
                    path=folder,
                )

            def report(finished: int, before: int = done) -> None:
                progress("encoding", before + finished, None)

            if tokens is not None and beside is not None:
                found = _token_vectors(encoder, texts, options, report)
                tokens.keep(beside, found)
                vectors = found.norms(encoder.num_terms)
            else:
                vectors = _encode(encoder, texts, options, report)
            write_vectors(file, Documents(vectors, docnos))
        done += len(part)
        progress("encoding", done, None)
        yield file


def shard_digest(encoder: SparseEncoder, documents: Iterable[Document | Query], options: CollectionOptions) -> str:
    """Of the names and texts of a shard, as the encoder reads them; equal for runs whose vectors are of the same texts."""
    return joined_digest(texts_digest(*_names_and_texts(part, encoder)) for _, part in _parts(documents, options))


def joined_digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()


def _parts(
    documents: Iterable[Document | Query], options: CollectionOptions
) -> Iterator[tuple[int, list[Document | Query]]]:
    """The shard's parts with their numbers in the whole collection."""
    (index, count), stream = options.shard, iter(documents)
    for number, part in enumerate(iter(lambda: list(islice(stream, options.config.part_size)), [])):
        if number % count == index - 1:
            yield number, part


def _names_and_texts(part: list[Document | Query], encoder: SparseEncoder) -> tuple[list[str], list[str]]:
    return (
        [d.docno if isinstance(d, Document) else d.qid for d in part],
        [encoder.text_of(d) if isinstance(d, Document) else d.text for d in part],
    )


def texts_digest(docnos: list[str], texts: list[str]) -> str:
    """Of the names and texts of a part, for its file's name: a collection that changed since is found out, part by part."""
    digest = hashlib.blake2b(digest_size=8)
    for text in (*docnos, *texts):
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def _encode(
    encoder: SparseEncoder, texts: list[str], options: CollectionOptions, report: Callable[[int], None]
) -> SparseVectors:
    """The rows of one part, a bucket of texts at a time."""
    config = options.config
    encode = encoder.encode_queries if options.queries else encoder.encode_documents
    buckets = [
        encode(
            texts[start : start + config.bucket_size],
            batch_size=config.batch_size,
            max_active_dims=config.max_active_dims,
            dtype=config.dtype,
            progress=lambda done, total, before=start: report(before + done),  # type: ignore[misc]
        )
        for start in range(0, len(texts), config.bucket_size)
    ]
    return SparseVectors.concatenate(buckets)


def _token_vectors(
    encoder: SparseEncoder, texts: list[str], options: CollectionOptions, report: Callable[[int], None]
) -> TokenVectors:
    """Those of one part, a bucket of texts at a time."""
    from sparseir.models.token_vectors import token_vectors

    config, parts = options.config, []
    for start in range(0, len(texts), config.bucket_size):
        bucket = texts[start : start + config.bucket_size]
        parts.append(token_vectors(encoder, bucket, dtype=config.dtype, batch_size=config.batch_size))
        report(start + len(bucket))
    return TokenVectors.concatenate(parts)


def token_writer(folder: Path, encoder: SparseEncoder) -> TokenWriter:
    """What keeps the token vectors of a coil encoder in a folder."""
    from sparseir.models.towers.coil import CoilTower

    tower = encoder.document_tower
    assert isinstance(tower, CoilTower)
    return TokenWriter(folder, num_terms=encoder.num_terms, token_dim=tower.token_dim, cls_dim=tower.cls_dim)
