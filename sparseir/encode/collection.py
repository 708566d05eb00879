"""A collection of texts to a file of vectors: in parts, for one shard of many, going on after a stop."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import Documents, SparseVectors
from indexer.interchange import Vocabulary, open_vectors, write_vectors
from indexer.interchange.jsonl.text import json_value
from indexer.interchange.sources import format_of
from indexer.progress import Progress, silent
from sparseir.config.encode import EncodeConfig
from sparseir.data.records import Document, Query
from sparseir.data.stores.tokens import DESCRIPTION, NamesDigest, TokenVectors, tokens_folder
from sparseir.data.stores.write_tokens import TokenWriter
from sparseir.data.stores.write_tokens import publish as publish_tokens
from sparseir.data.stores.write_tokens import remove as remove_tokens
from sparseir.encode.lengths import CutCount
from sparseir.errors import ConfigError, DataError, LockedError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

logger = logging.getLogger(__name__)

_PARTS = "encoding.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """What `encode_collection` wrote.

    num_rows, nnz : of the vectors. before : an earlier run wrote them, and there was nothing to do.
    """

    num_rows: int
    nnz: int
    before: bool = False


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


def encode_collection(
    encoder: SparseEncoder,
    documents: Iterable[Document | Query],
    output: str | Path,
    *,
    options: CollectionOptions | None = None,
    progress: Progress = silent,
    note: Callable[[str], None] = logger.warning,
) -> Encoded:
    """Encode a stream of texts into a vector file, rows in the order of the stream.

    Finished parts stand in `<output>.parts` until all are there; then they are joined, and the folder goes. One part
    is held in memory at a time. `.<output>.encoded.json` says what the finished vectors are of.

    Parameters
    ----------
    output : .jsonl[.gz], .npz, .csr or .ciff (whole weights only).
    note : takes one line on texts that were longer than the model reads.

    Raises
    ------
    ConfigError
        The output exists, its ending is unknown, or `resume` finds vectors or parts of another model or other settings;
        token vectors of an encoder that gives none.
    DataError
        Documents that cannot be read, or differ from those of the run that is resumed; no document at all.
    LockedError
        Another run encodes into the same output.
    """
    chosen, path = options or CollectionOptions(), Path(output)
    if chosen.token_vectors:
        from sparseir.models.token_vectors import check_has_tokens

        check_has_tokens(encoder)
    folder = path.with_name(path.name + ".parts")
    before = finished_before(path, encoder, lambda: documents, chosen, stopped=folder.is_dir())
    if before is not None:
        return before
    with _held(folder, path) as there:
        return _encode_parts(
            path, folder, encoder, documents, chosen, resume=chosen.resume and there, progress=progress, note=note
        )


def finished_before(
    path: Path,
    encoder: SparseEncoder,
    read: Callable[[], Iterable[Document | Query]],
    options: CollectionOptions,
    *,
    stopped: bool,
) -> Encoded | None:
    """What stands at the output, where a run that is resumed had finished; None where there is something to do.

    Parameters
    ----------
    read : gives the texts. stopped : a run was stopped between writing the output and removing its parts.

    Raises
    ------
    ConfigError : the output's ending is unknown; it exists and may not be replaced, or is of another run.
    """
    if format_of(path) is None:
        raise ConfigError(f"{path}: unknown ending; expected .jsonl, .jsonl.gz, .npz or .csr")
    if not path.exists() or options.overwrite:
        return None
    if not options.resume:
        raise ConfigError(f"{path} exists; give another output, or say --overwrite (overwrite=True), which replaces it")
    return None if stopped else _finished(path, encoder, read(), options)


@contextmanager
def _held(folder: Path, output: Path) -> Iterator[bool]:
    """Hold the folder of parts, made where it is not there, against other runs of that output; whether it was there.

    Raises
    ------
    LockedError
    """
    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _locked(descriptor, folder):
            raise LockedError(
                f"another run encodes into '{output}'; wait until it is done (the lock goes with its process), or give "
                "another output"
            )
        yield there
    finally:
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    """Whether the lock could be had, of a folder that is still there: a run that ends takes its folder with it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _encode_parts(
    path: Path,
    folder: Path,
    encoder: SparseEncoder,
    documents: Iterable[Document | Query],
    chosen: CollectionOptions,
    *,
    resume: bool,
    progress: Progress,
    note: Callable[[str], None],
) -> Encoded:
    """Make the parts that are not there, and join them."""
    _record(path).unlink(missing_ok=True)
    _prepare(folder, encoder, chosen, resume=resume)
    cut = CutCount(encoder, queries=chosen.queries)
    tokens = token_writer(folder, encoder) if chosen.token_vectors else None
    files = list(_make_parts(folder, encoder, documents, chosen, cut, progress, tokens))
    if not files:
        shutil.rmtree(folder)
        index, count = chosen.shard
        raise DataError(
            "no text to encode"
            if count == 1
            else f"shard {index}/{count} holds no text: shards take turns at parts of {chosen.config.part_size:,} texts, and "
            f"there are fewer than {index} parts; give fewer shards"
        )
    texts = _shard_digest(file.stem.rpartition("-")[2] for file in files)
    written = finish(path, _rows(files, encoder.num_terms), encoder, chosen, texts, tokens, folder)
    shutil.rmtree(folder)
    said = cut.note("index windows of them (index build --windows), or raise model.max_document_length")
    if said is not None:
        note(said)
    return written


def finish(
    path: Path,
    rows: Iterable[Documents],
    encoder: SparseEncoder,
    options: CollectionOptions,
    texts: str,
    tokens: TokenWriter | None = None,
    folder: Path | None = None,
) -> Encoded:
    """Write the vectors, and beside them what they are of.

    Parameters
    ----------
    texts : digest of names and texts. tokens : token vectors that were kept. folder : where they are joined.
    """
    record, names = _record(path), NamesDigest()
    record.unlink(missing_ok=True)
    remove_tokens(path)  # of vectors that stood here
    vocabulary = Vocabulary.fixed(encoder.terms(), num_terms=encoder.num_terms)
    written = write_vectors(path, _named(rows, names), vocabulary=vocabulary)
    if tokens is not None and folder is not None:
        part = tokens.join(folder / "joined")
        about = {"encoder": encoder.fingerprint, "created": texts, "names": names.hexdigest(), **tokens.sizes}
        publish_tokens(path, folder / "joined", part, first=0, state=about, added=False)
    state = {"texts": texts, "rows": written.num_rows, "nnz": written.nnz, "bytes": path.stat().st_size}
    record.write_text(json.dumps(describe_run(encoder, options) | state) + "\n", encoding="utf-8")
    return Encoded(written.num_rows, written.nnz)


def _named(rows: Iterable[Documents], names: NamesDigest) -> Iterator[Documents]:
    for batch in rows:
        names.add(batch.docnos or ())
        yield batch


def _record(path: Path) -> Path:
    return path.with_name(f".{path.name}.encoded.json")


def _finished(
    path: Path, encoder: SparseEncoder, documents: Iterable[Document | Query], options: CollectionOptions
) -> Encoded:
    """The vectors that stand at the output, if they are those this run would write.

    Raises
    ------
    ConfigError : they are others, or nothing says what they are.
    """
    try:
        found = json_value(_record(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        rows, nnz = int(found["rows"]), int(found["nnz"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} exists, and nothing says what it was made of ({error}); give another output, or say --overwrite (overwrite=True)"
        ) from None
    wanted = describe_run(encoder, options) | {
        "texts": shard_digest(encoder, documents, options),
        "bytes": path.stat().st_size,
    }
    differing = [key for key, value in wanted.items() if found.get(key) != value]
    if options.token_vectors and not differing and not (tokens_folder(path) / DESCRIPTION).is_file():
        differing = [f"folder beside it ({tokens_folder(path).name} is gone)"]
    if differing:
        raise ConfigError(
            f"{path} is finished, with another {', '.join(differing)}; give another output, or say --overwrite (overwrite=True)"
        )
    return Encoded(rows, nnz, before=True)


def describe_run(encoder: SparseEncoder, options: CollectionOptions) -> dict[str, Any]:
    """What the vectors of a run depend on besides the texts; equal for runs that may share parts."""
    described = {
        "encoder": encoder.fingerprint,
        "config": asdict(options.config),
        "shard": list(options.shard),
        "queries": options.queries,
    }
    return described | ({"token_vectors": True} if options.token_vectors else {})


def _prepare(folder: Path, encoder: SparseEncoder, options: CollectionOptions, *, resume: bool) -> None:
    """Make the folder that of the parts of this very run: empty, or as it was left when the run was stopped."""
    description = describe_run(encoder, options)
    if resume:
        try:
            found = json_value((folder / _PARTS).read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"{_PARTS} holds no object")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{folder}: cannot tell what its parts are ({error}); start again without resume"
            ) from None
        differing = [key for key in description if found.get(key) != description[key]]
        if differing:
            raise ConfigError(
                f"{folder}: its parts were made with another {', '.join(differing)}; "
                "resume with the same model and settings, or start again without resume"
            )
        return
    for left in folder.iterdir():  # the folder itself stays: it is locked
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    (folder / _PARTS).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _make_parts(
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
    return _shard_digest(texts_digest(*_names_and_texts(part, encoder)) for _, part in _parts(documents, options))


def _shard_digest(parts: Iterable[str]) -> str:
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


def _rows(files: Iterable[Path], num_terms: int) -> Iterator[Documents]:
    for file in files:
        yield from open_vectors(file, num_terms=num_terms)
