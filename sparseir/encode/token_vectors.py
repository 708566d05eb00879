"""Token vectors of documents on their way into an index, to be stored beside it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import Index, SparseVectors, open_index
from indexer.config import IndexConfig
from sparseir.data.stores import write_tokens
from sparseir.data.stores.tokens import DESCRIPTION, TokenStore, check_belongs, tokens_folder
from sparseir.encode.collection import texts_digest
from sparseir.encode.options import IndexingOptions
from sparseir.errors import ConfigError, SparseIRError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.inference import Dtype


class StoredTokens:
    """Encodes batches to token vectors, keeps these, and gives the index their norms.

    Parameters
    ----------
    index : the folder that is written. encoder : of the kind coil_tok or coil_full.
    kept : where batches are kept for a build that is resumed; None: in a folder of this run.
    added : the documents are added to the index that is there.
    """

    def __init__(self, index: Path, encoder: SparseEncoder, *, kept: Path | None, added: bool) -> None:
        from sparseir.models.towers.coil import CoilTower

        tower = encoder.document_tower
        assert isinstance(tower, CoilTower)
        self._index, self._encoder, self._added = index, encoder, added
        self._scratch: Path | None = None
        if kept is None:
            index.absolute().parent.mkdir(parents=True, exist_ok=True)
            kept = self._scratch = Path(tempfile.mkdtemp(prefix=f".{index.name}.tokens-", dir=index.absolute().parent))
        self._folder = kept
        self._writer = write_tokens.TokenWriter(
            kept, num_terms=encoder.num_terms, token_dim=tower.token_dim, cls_dim=tower.cls_dim
        )
        self._number, self._names, self._file = 0, list[str](), kept
        self._joined: dict[str, Any] | None = None

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

    @property
    def _made(self) -> Path:
        return self._folder / "joined"

    def join(self) -> None:
        """Make the files of the store, before the index is committed."""
        self._joined = self._writer.join(self._made)

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


def stored_tokens(
    index: Path, encoder: SparseEncoder | None, options: IndexingOptions, kept: Path | None
) -> StoredTokens | None:
    """What stores the token vectors of a build or an addition; None where none are to be stored.

    Raises
    ------
    ConfigError : an encoder, or settings, that token vectors do not go with; documents are added to an index without.
    DataError : a store beside the index that is damaged or another's.
    """
    adding = options.mode != "build"
    there = adding and (tokens_folder(index) / DESCRIPTION).is_file()
    if not (there or options.token_vectors):
        return None
    if encoder is None:
        raise ConfigError(f"'{index}' has token vectors beside it, which a coil encoder makes: add texts with --model")
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
    return StoredTokens(index, encoder, kept=kept, added=there)


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
