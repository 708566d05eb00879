"""Token vectors of documents on their way into an index, to be stored beside it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import Documents, Index, SparseVectors, open_index
from indexer.config import IndexConfig
from indexer.interchange.sources import vector_files
from sparseir.data.stores import write_tokens
from sparseir.data.stores.tokens import (
    DESCRIPTION,
    NamesDigest,
    TokenStore,
    TokenVectors,
    check_belongs,
    tokens_folder,
)
from sparseir.encode.collection_parts import texts_digest, token_writer
from sparseir.encode.options import IndexingOptions
from sparseir.errors import ConfigError, DataError, SparseIRError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.inference import Dtype


class _Beside:
    """Token vectors on their way beside an index; index, encoder, kept and added as for `StoredTokens`."""

    def __init__(self, index: Path, encoder: SparseEncoder, *, kept: Path | None, added: bool) -> None:
        self._index, self._encoder, self._added = index, encoder, added
        self._scratch: Path | None = None
        if kept is None:
            index.absolute().parent.mkdir(parents=True, exist_ok=True)
            kept = self._scratch = Path(tempfile.mkdtemp(prefix=f".{index.name}.tokens-", dir=index.absolute().parent))
        self._folder = kept
        self._writer = token_writer(kept, encoder)
        self._names = list[str]()
        self._joined: dict[str, Any] | None = None

    @property
    def _made(self) -> Path:
        return self._folder / "joined"

    def publish(self, built: Index) -> None:
        """Put them beside the index that has been committed.

        Raises
        ------
        SparseIRError : they cannot be written, or another writer added documents meanwhile.
        """
        if self._joined is None or not self._joined["documents"]:
            return
        first, last = (int(i) for i in built.ordinals([self._names[0], self._names[-1]]))
        if first < 0 or last - first + 1 != self._joined["documents"]:
            raise SparseIRError(
                f"{built.path}: other documents were written meanwhile, and token vectors are stored in the order of one "
                "commit; add these documents again with --replace"
            )
        state = {"encoder": self._encoder.fingerprint, "created": built.manifest.created, **self._writer.sizes}
        write_tokens.publish(self._index, self._made, self._joined, first=first, state=state, added=self._added)

    def close(self) -> None:
        """Remove what this run kept for itself."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


class StoredTokens(_Beside):
    """Encodes batches to token vectors, keeps these, and gives the index their norms.

    Parameters
    ----------
    index : the folder that is written. encoder : of the kind coil_tok or coil_full.
    kept : where batches are kept for a build that is resumed; None: in a folder of this run.
    added : the documents are added to the index that is there.
    """

    def __init__(self, index: Path, encoder: SparseEncoder, *, kept: Path | None, added: bool) -> None:
        super().__init__(index, encoder, kept=kept, added=added)
        self._number, self._file = 0, self._folder

    def next(self, docnos: list[str], texts: list[str]) -> None:
        """Name the next batch: it is encoded, or was before a stop."""
        self._file = self._writer.file(f"{self._number:06d}-{texts_digest(docnos, texts)}")
        self._number += 1
        self._names += [docnos[0], docnos[-1]]

    def encode(self, texts: list[str], dtype: Dtype) -> SparseVectors:
        """The norms of the batch named last, whose token vectors are kept first.

        Raises
        ------
        SparseIRError : they cannot be kept.
        """
        from sparseir.models.token_vectors import token_vectors

        found = token_vectors(self._encoder, texts, dtype=dtype)
        self._writer.keep(self._file, found)
        return found.norms(self._encoder.num_terms)

    def join(self) -> None:
        """Make the files of the store, before the index is committed."""
        self._joined = self._writer.join(self._made)


class EncodedTokens(_Beside):
    """Takes token vectors that stand beside encoded documents, row by row with these, and gives the index their norms.

    Parameters
    ----------
    index, encoder, added : as for `StoredTokens`. sources : the files of vectors, in the order in which they are read.

    Raises
    ------
    ConfigError : vectors without token vectors beside them. DataError : damaged ones, or another model's.
    """

    def __init__(self, index: Path, encoder: SparseEncoder, sources: Sequence[Path], *, added: bool) -> None:
        self._stores: list[TokenStore] = []
        for source in sources:
            folder = tokens_folder(source)
            if not (folder / DESCRIPTION).is_file():
                raise ConfigError(
                    f"'{source}' has no token vectors beside it ({folder.name}); encode the texts with --token-vectors"
                )
            self._stores.append(TokenStore(folder))
            if len(self._stores[-1].parts) != 1:
                raise DataError("is not what stands beside encoded vectors; encode the texts again", path=folder)
            if self._stores[-1].encoder != encoder.fingerprint:
                raise DataError(
                    f"holds token vectors of another model ({self._stores[-1].encoder}) than '{encoder.config.base}' "
                    f"({encoder.fingerprint}); name the model that made them",
                    path=folder,
                )
        super().__init__(index, encoder, kept=None, added=added)
        self._store = self._row = self._before = 0
        self._digest = NamesDigest()

    def take(self, batch: Documents) -> Documents:
        """The next documents, with the norms of their stored token vectors in the place of their vectors, which are these.

        Raises
        ------
        DataError : token vectors of fewer documents, of others, or that the vectors were not made of.
        """
        assert batch.docnos is not None
        parts, begin = [], 0
        while begin < len(batch):
            if self._store == len(self._stores):
                raise DataError(
                    f"holds token vectors of {self._before:,} documents, and there are vectors of more; encode both together",
                    path=self._stores[-1].path,
                )
            store = self._stores[self._store]
            (rows,) = store.parts
            count = min(len(batch) - begin, len(rows) - self._row)
            parts.append(rows.slice(self._row, self._row + count))
            self._digest.add(batch.docnos[begin : begin + count])
            begin, self._row, self._before = begin + count, self._row + count, self._before + count
            if self._row == len(rows):
                self._finish(store)
        found = TokenVectors.concatenate(parts).norms(self._encoder.num_terms)
        differing = _first_difference(found, batch.vectors)
        if differing is not None:
            raise DataError(
                f"token vectors of document '{batch.docnos[differing]}' are not what its vector was made of; encode both together",
                path=self._stores[min(self._store, len(self._stores) - 1)].path,
            )
        self._names += [batch.docnos[0], batch.docnos[-1]]
        return replace(batch, vectors=found)

    def _finish(self, store: TokenStore) -> None:
        if self._digest.hexdigest() != store.names:
            raise DataError(
                "holds token vectors of documents of other names, or in another order, than the vectors beside it; encode both "
                "together",
                path=store.path,
            )
        self._store, self._row, self._digest = self._store + 1, 0, NamesDigest()

    def join(self) -> None:
        """Make the files of the store, before the index is committed.

        Raises
        ------
        DataError : there are token vectors of more documents than were taken.
        """
        if self._store < len(self._stores):
            every = sum(map(len, self._stores))
            raise DataError(
                f"holds token vectors of {every:,} documents, and there are vectors of {self._before:,}; encode both together",
                path=self._stores[self._store].path,
            )
        self._joined = self._writer.join(self._made, self._blocks())

    def _blocks(self) -> Iterator[TokenVectors]:
        for store in self._stores:
            for part in store.parts:
                for begin in range(0, len(part), _BLOCK):
                    yield part.slice(begin, min(len(part), begin + _BLOCK))


_BLOCK = 4096
"""Documents whose token vectors are copied at a time."""


def _first_difference(found: SparseVectors, given: SparseVectors) -> int | None:
    """The first row whose terms differ, or whose weights do by more than a file of text rounds off."""
    lengths = np.diff(found.indptr) != np.diff(given.indptr)
    if lengths.any():
        return int(np.argmax(lengths))
    far = (found.term_ids != given.term_ids) | ~np.isclose(found.weights, given.weights, rtol=1e-3, atol=1e-4)
    if far.any():
        return int(np.searchsorted(found.indptr, int(np.argmax(far)), side="right")) - 1
    return None


def stored_tokens(
    index: Path, encoder: SparseEncoder | None, options: IndexingOptions, kept: Path | None
) -> StoredTokens | None:
    """What stores the token vectors of a build or an addition; None where none are to be stored.

    Raises
    ------
    ConfigError : an encoder, or settings, that token vectors do not go with; documents are added to an index without.
    DataError : a store beside the index that is damaged or another's.
    """
    there = _wanted(index, encoder, options)
    if there is None:
        return None
    assert encoder is not None
    return StoredTokens(index, encoder, kept=kept, added=there)


def encoded_tokens(
    index: Path, encoder: SparseEncoder | None, options: IndexingOptions, source: Path
) -> EncodedTokens | None:
    """What takes the token vectors beside encoded documents along; None where none are to be stored.

    Parameters
    ----------
    source : a file of vectors, or a folder of these.

    Raises
    ------
    ConfigError, DataError : as `stored_tokens`, and as `EncodedTokens`.
    """
    there = _wanted(index, encoder, options)
    if there is None:
        return None
    assert encoder is not None
    return EncodedTokens(index, encoder, vector_files(source), added=there)


def _wanted(index: Path, encoder: SparseEncoder | None, options: IndexingOptions) -> bool | None:
    """Whether token vectors are added to those that are there; None where none are to be stored. Errors as `stored_tokens`."""
    adding = options.mode != "build"
    there = adding and (tokens_folder(index) / DESCRIPTION).is_file()
    if not (there or options.token_vectors):
        return None
    if encoder is None:
        raise ConfigError(f"token vectors beside '{index}' are those of a coil encoder: name it with --model")
    from sparseir.models.token_vectors import check_has_tokens

    check_has_tokens(encoder)
    if adding:
        opened = open_index(index)
        if not there and opened.num_stored:
            raise ConfigError(
                f"'{index}' has no token vectors of the documents it holds; build it again with --token-vectors"
            )
        if there:
            check_belongs(TokenStore(tokens_folder(index)), opened)
    _check_whole(options, open_index(index).manifest.config if adding else None)
    return there


def _check_whole(options: IndexingOptions, stored: Any) -> None:
    """Refuse what leaves weights out of the index, whose products would not bound the exact scores any more."""
    config = options.config if stored is None else IndexConfig.from_dict(stored)
    pruned = ["prune_mass"] if config.prune_mass < 1 else []
    pruned += [name for name in ("prune_terms", "prune_postings") if getattr(config, name)]
    if options.max_active_dims is not None:
        pruned.append("max_active_dims")
    if pruned:
        raise ConfigError(
            f"token vectors need the norm of every term in the index, and {pruned[0]} leaves some out: exact search could miss "
            "documents; do without it"
        )
