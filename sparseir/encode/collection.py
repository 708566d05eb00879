"""A collection of texts to a file of vectors: in parts, for one shard of many, going on after a stop."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import Documents
from indexer.interchange import open_vectors
from indexer.interchange.jsonl.text import json_value
from indexer.progress import Progress, silent
from sparseir.data.records import Document, Query
from sparseir.encode.collection_parts import CollectionOptions, joined_digest, make_parts, token_writer
from sparseir.encode.collection_record import Encoded, describe_run, finish, finished_before, record_path
from sparseir.encode.lengths import CutCount
from sparseir.errors import ConfigError, DataError, LockedError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

logger = logging.getLogger(__name__)

_PARTS = "encoding.json"


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
    record_path(path).unlink(missing_ok=True)
    _prepare(folder, encoder, chosen, resume=resume)
    cut = CutCount(encoder, queries=chosen.queries)
    tokens = token_writer(folder, encoder) if chosen.token_vectors else None
    files = list(make_parts(folder, encoder, documents, chosen, cut, progress, tokens))
    if not files:
        shutil.rmtree(folder)
        index, count = chosen.shard
        raise DataError(
            "no text to encode"
            if count == 1
            else f"shard {index}/{count} holds no text: shards take turns at parts of {chosen.config.part_size:,} texts, and "
            f"there are fewer than {index} parts; give fewer shards"
        )
    texts = joined_digest(file.stem.rpartition("-")[2] for file in files)
    written = finish(path, _rows(files, encoder.num_terms), encoder, chosen, texts, tokens, folder)
    shutil.rmtree(folder)
    said = cut.note("index windows of them (index build --windows), or raise model.max_document_length")
    if said is not None:
        note(said)
    return written


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


def _rows(files: Iterable[Path], num_terms: int) -> Iterator[Documents]:
    for file in files:
        yield from open_vectors(file, num_terms=num_terms)
