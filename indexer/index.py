"""An opened index: one committed state, mapped, unchanged for as long as it is held."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format.manifest import EncoderEntry, Manifest, read_manifest
from indexer.format.names import hash_all
from indexer.format.query_side import QueryFiles
from indexer.segment import Segment

_ATTEMPTS = 5


class Index:
    """A snapshot of an index: segments mapped, manifest read. Later commits do not touch it; `refresh` opens them.

    Attributes
    ----------
    path : the folder.
    manifest : the committed state.
    segments : tuple of Segment, by ascending ordinals of their first documents.
    notes : sentences for a person about how it was built, e.g. an order that could not be made.
    query_files : the files of the encoder's query side, or None.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        segments: tuple[Segment, ...],
        notes: tuple[str, ...] = (),
        query_files: QueryFiles | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.segments = segments
        self.notes = notes
        self.query_files = query_files

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, num_docs={self.num_docs}, num_terms={self.num_terms}, generation={self.generation})"

    def __len__(self) -> int:
        return self.num_docs

    @property
    def num_docs(self) -> int:
        """Documents that can be found: stored and not deleted."""
        return sum(s.num_docs - s.num_deleted for s in self.segments)

    @property
    def num_stored(self) -> int:
        """Documents stored, deleted ones included until they are compacted away."""
        return sum(s.num_docs for s in self.segments)

    def document_frequencies(self, term_ids: Sequence[int]) -> list[int]:
        """Of each of term_ids, the stored documents that hold it, deleted ones included."""
        wanted, total = np.asarray(term_ids, np.uint32), np.zeros(len(term_ids), np.int64)
        for segment in self.segments:
            terms = segment.section("TERM")
            places = np.minimum(np.searchsorted(terms, wanted), max(0, len(terms) - 1))
            here = np.flatnonzero(terms[places] == wanted) if len(terms) else np.zeros(0, np.int64)
            total[here] += segment.section("TREC")["df"][places[here]]
        return total.tolist()

    @property
    def num_postings(self) -> int:
        """Postings stored, those of deleted documents included."""
        return sum(s.header.num_postings for s in self.segments)

    @property
    def num_terms(self) -> int:
        """Size of the vocabulary."""
        return self.manifest.num_terms

    @property
    def doc_scale(self) -> float:
        """Weight of one impact step; 1.0 while the index has never held a weight."""
        return 1.0 if self.manifest.doc_scale is None else self.manifest.doc_scale

    @property
    def generation(self) -> int:
        """Number of the commit, from 1 on."""
        return self.manifest.generation

    @property
    def encoder(self) -> EncoderEntry | None:
        """The model its vectors come from, as far as the builder said."""
        return self.manifest.encoder

    @property
    def query_side(self) -> Path | None:
        """Folder of the encoder's query side, or None.

        A commit that adds terms replaces it. Their ids follow those of this snapshot, so the newer one serves it too.
        """
        if self.manifest.query_side is None:
            return None
        folder = self.path / self.manifest.query_side
        if not folder.is_dir():
            newest = read_manifest(self.path)
            if newest.query_side and newest.created == self.manifest.created:
                return self.path / newest.query_side
        return folder

    def refresh(self) -> Index:
        """The newest committed state; this very object when nothing was committed since."""
        return self if read_manifest(self.path).generation == self.generation else open_snapshot(self.path)

    def locate(self, ordinals: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(segment number, doc_id) of each of the ordinals, -1 and -1 where no live document has it."""
        wanted = np.asarray(ordinals, np.int64).reshape(-1)
        where, ids = np.full(len(wanted), -1, np.int64), np.full(len(wanted), -1, np.int64)
        for number, segment in enumerate(self.segments):
            found = segment.doc_ids(wanted)
            here = found >= 0
            if segment.deleted is not None:
                here[here] = segment.is_live(found[here])
            np.copyto(where, number, where=here)
            np.copyto(ids, found, where=here)
        return where, ids

    def docnos(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[str | None]:
        """External name of each of the ordinals; None where no live document has it."""
        where, ids = self.locate(ordinals)
        return [None if s < 0 else self.segments[s].docno(d) for s, d in zip(where.tolist(), ids.tolist(), strict=True)]

    def ordinals(self, docnos: Sequence[str]) -> NDArray[np.int64]:
        """Ordinal of each of the docnos; -1 where no live document has it."""
        out = np.full(len(docnos), -1, np.int64)
        hashes = hash_all(docnos)
        numbers: NDArray[np.int64] | None = None
        for segment in self.segments:
            if segment.names.present:
                ids = segment.names.find(hashes, docnos)
            else:
                numbers = _as_ordinals(docnos) if numbers is None else numbers
                ids = segment.doc_ids(numbers)
            here = np.flatnonzero(ids >= 0)
            here = here[segment.is_live(ids[here])]
            out[here] = segment.ordinals_of(ids[here])
        return out

    def fields(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Stored fields of each of the ordinals; empty where there are none."""
        where, ids = self.locate(ordinals)
        return [{} if s < 0 else self.segments[s].fields(d) for s, d in zip(where.tolist(), ids.tolist(), strict=True)]

    @property
    def field_kinds(self) -> Mapping[str, str]:
        """Name and kind ("int", "float", "bool", "str", or "list[…]" of one) of every metadata column filters can use."""
        return self.manifest.fields


_ORDINAL = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)


def _as_ordinals(names: Sequence[str]) -> NDArray[np.int64]:
    """The ordinal each name spells in decimal, -1 where it spells none: names in a segment that stores none."""
    return np.array([int(n) if _ORDINAL.fullmatch(n) else -1 for n in names], np.int64)


def open_snapshot(folder: Path, notes: tuple[str, ...] = ()) -> Index:
    """As `indexer.open_index`, of a folder that holds one index, not shards.

    Parameters
    ----------
    path : the folder. notes : what the index has to say of how it was built.

    Raises
    ------
    IndexFormatError : no index there, another version, damage in what opening reads. Payloads are not read:
        `verify_index` does that.
    """
    for attempt in range(_ATTEMPTS):
        manifest = read_manifest(folder)
        try:
            segments = tuple(Segment(folder, entry) for entry in manifest.segments)
            side = QueryFiles(folder / manifest.query_side) if manifest.query_side else None
            # A folder that a writer was emptying meanwhile shows some of its files.
            if side is None or read_manifest(folder).query_side == manifest.query_side:
                return Index(folder, manifest, segments, notes, side)
        except FileNotFoundError as error:
            # A writer may have committed and removed files between the two reads; the new manifest then names others.
            if attempt == _ATTEMPTS - 1 or read_manifest(folder).generation == manifest.generation:
                raise IndexFormatError(
                    f"index '{folder}' lacks the file '{error.filename}' its manifest names; restore or rebuild",
                    invariant="files-present",
                ) from None
    raise IndexFormatError(f"index '{folder}' was replaced {_ATTEMPTS} times while it was opened; open it again")
