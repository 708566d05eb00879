"""Building an index: sparse vectors in, a committed folder out."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from indexer import files
from indexer.config import IndexConfig
from indexer.documents import SegmentPlan, gather, write_documents
from indexer.errors import ConfigError, DataError
from indexer.index import Index, open_index
from indexer.invert import number_slots
from indexer.lock import LOCK_FILE, write_lock
from indexer.manifest import MANIFEST_FILE, EncoderEntry, Manifest, SegmentEntry, commit, named_files, read_manifest
from indexer.progress import Progress, silent
from indexer.quantize import choose_scale
from indexer.reorder import ForwardRows, fill_forward, inverse_frequency, order_rows, wanted_order
from indexer.segment import SegmentFile
from indexer.stored import column_kinds
from indexer.vectors import SparseVectors

_OWN_FILE = re.compile(r"\d{6,}\.(seg|del-\d{6,}|run[-\w]*)|query-\d{6,}|manifest\.json\.new")


class BuildOptions(TypedDict, total=False):
    """Keywords of `build_index` that concern this one build.

    query_side : folder with the encoder's query side; copied into the index.
    encoder : the model the vectors come from: its fingerprint, or the whole entry.
    overwrite : replace an index that stands at the path; without it that is an error.
    memory_budget : bytes of working memory beyond the input; 0 sets no limit.
    num_threads : threads of the build.
    progress : called as work goes on.
    """

    query_side: str | Path | None
    encoder: EncoderEntry | str | None
    overwrite: bool
    memory_budget: int
    num_threads: int
    progress: Progress


def build_index(
    path: str | Path,
    vectors: Any,
    *,
    docnos: Iterable[str] | None = None,
    fields: Iterable[Mapping[str, Any]] | None = None,
    config: IndexConfig | None = None,
    **options: Unpack[BuildOptions],
) -> Index:
    """Build an index folder from sparse vectors, commit it and open it.

    Parameters
    ----------
    path : the folder to make; its parents must exist.
    vectors : SparseVectors, a scipy sparse matrix, or an iterable of such batches. Row i gets ordinal i.
    docnos : external name of each row; without them a document's name is its ordinal.
    fields : stored fields of each row, JSON values by name.
    config : see IndexConfig.
    options : see BuildOptions.

    Raises
    ------
    DataError : input that cannot be indexed; the row is named.
    ConfigError : the path holds something else, or an index and overwrite was not asked for.
    LockedError : another writer holds the index.
    """
    folder, chosen = Path(path), config or IndexConfig()
    threads, progress = options.get("num_threads", 1), options.get("progress", silent)
    check_target(folder, bool(options.get("overwrite", False)))
    folder.mkdir(exist_ok=True)
    with write_lock(folder):
        documents = gather(vectors, docnos, fields)
        generation, number = 1, next_number(folder)
        if (folder / MANIFEST_FILE).exists():
            generation = read_manifest(folder).generation + 1
        scale = chosen.doc_scale or choose_scale(documents.vectors.weights)
        segments: tuple[SegmentEntry, ...] = ()
        notes: tuple[str, ...] = ()
        if len(documents):
            order, notes = order_documents(documents.vectors, chosen.order, threads, progress)
            plan = SegmentPlan(
                scale=scale or 1.0,
                ordinal_base=0,
                order=order,
                config=chosen,
                num_threads=threads,
                progress=progress,
            )
            segments = (write_documents(folder / f"{number:06d}.seg", documents, plan),)
        manifest = Manifest(
            generation=generation,
            num_terms=documents.vectors.num_terms,
            doc_scale=scale,
            next_ordinal=len(documents),
            segments=segments,
            encoder=_encoder_entry(options.get("encoder")),
            query_side=copy_query_side(folder, options.get("query_side"), number),
            fields=field_kinds(folder, segments),
            config=chosen.as_dict(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            sparseir_version=_version(),
        )
        files.fsync_folder(folder)
        commit(folder, manifest)
        remove_leftovers(folder, manifest)
    return open_index(folder, notes=notes)


def order_documents(
    vectors: SparseVectors, order: str, threads: int, progress: Progress
) -> tuple[NDArray[np.uint32] | None, tuple[str, ...]]:
    """(row of each doc_id, or None for the input order; notes for a person)."""
    kind, notes = wanted_order(order, len(vectors))
    if kind == "input" or len(vectors) < 2:
        return None, notes
    progress("ordering", 0, None)
    slots, _, num_slots = number_slots(vectors)
    rows = ForwardRows.allocate(len(vectors), num_slots)
    idf = inverse_frequency(np.bincount(slots, minlength=num_slots), len(vectors))
    fill_forward(rows, 0, vectors, slots, idf, threads)
    return order_rows(rows, kind, threads), notes


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse to write over what is no index, or over an index without being asked to."""
    if not folder.exists():
        if not folder.parent.is_dir():
            raise ConfigError(f"'{folder.parent}' is no folder; make it first")
        return
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file; an index is a folder")
    if (folder / MANIFEST_FILE).exists():
        if not overwrite:
            raise ConfigError(f"'{folder}' holds an index already; add to it, or ask to overwrite it")
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != LOCK_FILE and not _OWN_FILE.fullmatch(p.name))
    if foreign:
        raise ConfigError(f"'{folder}' is not empty and holds no index (found {foreign[0]!r}); choose another folder")


def next_number(folder: Path) -> int:
    """A file number above every one in use, leftovers included."""
    numbers = [int(m.group()) for p in folder.iterdir() if (m := re.match(r"\d{6,}", p.name))]
    return max(numbers, default=0) + 1


def remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Remove what crashed or earlier writers left and the manifest does not name. Needs the lock."""
    keep = named_files(manifest)
    for path in folder.iterdir():
        if path.name not in keep and _OWN_FILE.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                files.unlink(path)


def copy_query_side(folder: Path, source: str | Path | None, number: int) -> str | None:
    """Copy the query side into the index, durably; its name there."""
    if source is None:
        return None
    origin = Path(source)
    if not origin.is_dir():
        raise DataError("no folder with a query side stands there", path=origin)
    target = folder / f"query-{number:06d}"
    target.mkdir(exist_ok=True)
    for file in sorted(p for p in origin.iterdir() if p.is_file()):
        with files.created(target / file.name) as descriptor:
            files.write(descriptor, file.read_bytes(), 0)
    files.fsync_folder(target)
    return target.name


def _encoder_entry(encoder: EncoderEntry | str | None) -> EncoderEntry | None:
    return EncoderEntry(fingerprint=encoder) if isinstance(encoder, str) else encoder


def field_kinds(folder: Path, segments: Iterable[SegmentEntry]) -> dict[str, str]:
    """Kind of every metadata column; an "int" here and a "float" there are a "float".

    Raises
    ------
    DataError : a field of strings in one segment and of numbers in another.
    """
    kinds: dict[str, str] = {}
    for entry in segments:
        for name, kind in column_kinds(SegmentFile(folder / entry.file)).items():
            known = kinds.setdefault(name, kind)
            if {known, kind} <= {"int", "float"}:
                kinds[name] = kind if known == kind else "float"
            elif known != kind:
                raise DataError(f"metadata field {name!r} is {known} in the index and {kind} in the new documents")
    return kinds


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sparseir")
    except PackageNotFoundError:
        return "unpackaged"
