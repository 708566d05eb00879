"""Building a collection as several shards: one pass for what they must agree on, then one build a shard.

Agreed before the first shard is built: doc_scale, from the weights of all documents; the size of the vocabulary and the
query side; and the place of every document in the collection. Shard i of N holds documents ⌊i·D/N⌋ to ⌊(i+1)·D/N⌋ − 1 of D.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from indexer.build import build_index
from indexer.build import check_target as check_index_target
from indexer.config import BuildOptions, IndexConfig
from indexer.documents import Documents, read_documents
from indexer.errors import ConfigError, DataError
from indexer.format import files
from indexer.format.lock import LOCK_FILE, write_lock
from indexer.format.manifest import MANIFEST_FILE, ShardEntry
from indexer.format.partial import remove_abandoned
from indexer.format.shard_list import (
    SHARDS_FILE,
    build_of,
    is_shard_name,
    is_sharded,
    name_of,
    shard_folders,
    write_shard_list,
)
from indexer.index import Index
from indexer.inversion.prune import prune_rows
from indexer.inversion.reorder import wanted_order
from indexer.inversion.weights import WeightTally
from indexer.opening import open_sharded, open_shards
from indexer.shards import shard_end

MAX_SHARDS = 4096


def build_shards(
    path: str | Path,
    vectors: Any,
    *,
    shards: int,
    docnos: Iterable[str] | None = None,
    fields: Iterable[Mapping[str, Any]] | None = None,
    config: IndexConfig | None = None,
    **options: Any,
) -> Index:
    """Build a folder of shards, which together give the hits of one index of all documents, to the bit.

    Documents wait in a temporary file beside the shards until all have passed, so batches are never in memory together. The
    shards become visible at once when the last is complete; a folder that is overwritten answers until then.

    Parameters
    ----------
    path : the folder to make; the shards are folders in it, each an index that can be moved to another machine.
    shards : how many.
    vectors, docnos, fields, config, options : as for `build_index`.

    Raises
    ------
    ConfigError : a number of shards that cannot be; a cap on the postings of a term, which depends on the shards; a folder
        that holds something else.
    DataError : fewer documents than shards; what `build_index` refuses.
    """
    chosen, folder, config = BuildOptions.of("build_shards", options), Path(path), config or IndexConfig()
    check_shards(shards, config)
    check_target(folder, chosen.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder), tempfile.TemporaryFile(dir=folder, prefix=".documents-") as file:
        remove_unlisted(folder)
        remove_abandoned(folder)
        tally, total, num_terms = _spooled(read_documents(vectors, docnos, fields), file, config)
        if total < shards:
            raise DataError(f"{total} documents for {shards} shards; every shard needs one: ask for fewer (--shards)")
        # As one index of all documents would be: a shard may be too small to order by itself, all together are not.
        order, order_notes = wanted_order(config.order, total)
        agreed = replace(config, doc_scale=config.doc_scale or tally.scale or 0.0, order=order)
        entry = ShardEntry(number=0, of=shards, collection=os.urandom(8).hex(), documents=total)
        build = next_build(folder)
        names = [name_of(number, build) for number in range(shards)]
        notes: dict[str, None] = dict.fromkeys(order_notes)
        rest = _Rest(file, num_terms)
        try:
            for number, name in enumerate(names):
                first, end = shard_end(entry, number - 1), shard_end(entry, number)
                mine = replace(chosen, shard=replace(entry, number=number), first_ordinal=first)
                built = build_index(folder / name, rest.take(end - first), config=agreed, **_keywords(mine))
                notes.update(dict.fromkeys(built.notes))
                chosen.progress("building shards", number + 1, shards)
            files.fsync_folder(folder)
            open_shards(
                [folder / name for name in names]
            )  # fields of one name may differ in kind: said before they answer
            write_shard_list(folder, names)
        finally:
            remove_unlisted(folder)
    opened = open_sharded(folder)
    opened.notes = tuple(notes)
    return opened


def check_shards(shards: int, config: IndexConfig) -> None:
    """Refuse what cannot be built as shards.

    Raises
    ------
    ConfigError
    """
    if not 1 <= shards <= MAX_SHARDS:
        raise ConfigError(f"shards is {shards}; expected a number from 1 to {MAX_SHARDS}")
    if config.prune_postings:
        raise ConfigError(
            "prune_postings keeps the heaviest postings of a term in each shard, which are not those of the collection; "
            "prune the terms of documents (prune_terms, prune_mass), or build one index"
        )


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse to write shards over what is no folder of shards, or over one without being asked to.

    Raises
    ------
    ConfigError
    """
    if folder.is_dir() and is_sharded(folder):
        if not overwrite:
            raise ConfigError(f"'{folder}' holds shards already; ask for overwrite, which replaces them")
        return
    if (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"'{folder}' holds an index that is not sharded; choose another folder, or remove it first")
    ours = {LOCK_FILE, SHARDS_FILE + ".new"}
    if folder.is_dir() and all(p.name in ours or is_shard_name(p.name) for p in folder.iterdir()):
        return  # empty, or what a build that was killed left
    check_index_target(folder, overwrite)


def next_build(folder: Path) -> int:
    """A build number above that of every shard in a folder, leftovers included."""
    return 1 + max((build_of(p.name) for p in folder.iterdir() if is_shard_name(p.name)), default=0)


def _keywords(options: BuildOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__dataclass_fields__}


def _spooled(batches: Iterator[Documents], file: IO[bytes], config: IndexConfig) -> tuple[WeightTally, int, int]:
    """Put all documents into the file; the tally of their weights, their number, and the size of the vocabulary."""
    tally, total, num_terms = WeightTally(config.stored_weights), 0, 1
    for documents in batches:
        tally.add(prune_rows(documents.vectors, config))
        total += len(documents)
        num_terms = max(num_terms, documents.vectors.num_terms)
        for begin in range(0, len(documents), _ROWS):
            pickle.dump(documents.slice(begin, min(begin + _ROWS, len(documents))), file, pickle.HIGHEST_PROTOCOL)
    tally.finish()
    file.seek(0)
    return tally, total, num_terms


_ROWS = 4096
"""Documents that come back from the file at a time, at most."""


class _Rest:
    """The documents in a file that are not in a shard yet."""

    def __init__(self, file: IO[bytes], num_terms: int) -> None:
        self._file, self._num_terms = file, num_terms
        self._left: Documents | None = None

    def take(self, count: int) -> Iterator[Documents]:
        """The next documents, in batches."""
        while count:
            batch = self._left if self._left is not None else pickle.load(self._file)
            part = batch.slice(0, min(count, len(batch)))
            self._left = batch.slice(len(part), len(batch)) if len(part) < len(batch) else None
            count -= len(part)
            yield replace(part, vectors=replace(part.vectors, num_terms=self._num_terms))


def remove_unlisted(folder: Path) -> None:
    """Remove shards that the list does not name."""
    with suppress(OSError):
        keep = {path.name for path in shard_folders(folder)} if is_sharded(folder) else set()
        for path in folder.iterdir():
            if is_shard_name(path.name) and path.name not in keep:
                shutil.rmtree(path)
