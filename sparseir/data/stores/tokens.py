"""Token vectors beside an index: for each document its terms and a vector for each, in the order of ordinals.

    store.json             encoder, sizes, and the parts: what each commit of the index added
    NNNNNN/starts.bin      int64 (N + 1): where each document's tokens begin
    NNNNNN/terms.bin       uint32 (T,)
    NNNNNN/vectors.bin     float16 (T, D)
    NNNNNN/whole.bin       float16 (N, C): a vector of each document itself (COIL-full); empty where C is 0
    NNNNNN/largest.bin     float32 (V,): the largest norm of a term's vectors

The folder is NAME.tokens beside the index NAME. Ordinals of an index are never given twice, so that deletions, merges and
compactions change nothing here, and a replaced document cannot be met with the vectors of its former text. Beside a file of
encoded vectors it is the same, with rows in the place of ordinals, and a digest of the names of the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors, open_index
from sparseir.data.stores.files import mapped, read_description, stated_files, verify_files
from sparseir.errors import DataError

FORM, VERSION = "sparseir token vectors", 1
DESCRIPTION = "store.json"
STARTS, TERMS, VECTORS, WHOLE, LARGEST = "starts.bin", "terms.bin", "vectors.bin", "whole.bin", "largest.bin"
FILES = (STARTS, TERMS, VECTORS, WHOLE, LARGEST)
_SIZES = ("num_terms", "token_dim", "cls_dim")
_REMEDY = "build the index again with --token-vectors"


def tokens_folder(index: str | Path) -> Path:
    """Where the token vectors of an index are."""
    path = Path(index).absolute()
    return path.with_name(f"{path.name}.tokens")


class NamesDigest:
    """Of names in order, however they come in batches."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=8)

    def add(self, names: Iterable[str]) -> None:
        """The next names."""
        for name in names:
            encoded = name.encode("utf-8", "surrogatepass")
            self._digest.update(len(encoded).to_bytes(8, "little") + encoded)

    def hexdigest(self) -> str:
        """Of all names so far."""
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """A vector for each counted token of some texts, and for each text where the encoder gives it one.

    Parameters
    ----------
    starts : int64 (N + 1,), where each text's tokens begin; a text without tokens is legal.
    terms : uint32 (T,). vectors : (T, D) floats. whole : (N, C) floats; C is 0 in COIL-tok.
    """

    starts: NDArray[np.int64]
    terms: NDArray[np.uint32]
    vectors: NDArray[np.floating]
    whole: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def concatenate(cls, parts: Sequence[TokenVectors]) -> TokenVectors:
        """The texts of all parts, at least one, in order."""
        counts = np.concatenate([np.diff(part.starts) for part in parts])
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([part.terms for part in parts]),
            np.concatenate([part.vectors for part in parts]),
            np.concatenate([part.whole for part in parts]),
        )

    def slice(self, begin: int, end: int) -> TokenVectors:
        """Some of the texts.

        Raises
        ------
        DataError : offsets that do not rise, or lead beyond the tokens.
        """
        starts = np.asarray(self.starts[begin : end + 1])
        first, last = int(starts[0]), int(starts[-1])
        if not 0 <= first <= last <= len(self.terms) or (np.diff(starts) < 0).any():
            raise DataError(f"offsets of token vectors {begin:,} to {end:,} do not rise; encode the texts again")
        span = slice(first, last)
        return TokenVectors(starts - first, self.terms[span], self.vectors[span], self.whole[begin:end])

    def text(self, row: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
        """Terms (T,), vectors (T, D) and the own vector (C,) of one text."""
        span = slice(int(self.starts[row]), int(self.starts[row + 1]))
        return self.terms[span], self.vectors[span].astype(np.float32), self.whole[row].astype(np.float32)

    def norms(self, num_terms: int, *, summed: bool = False) -> SparseVectors:
        """What the index holds of the texts: for each term the largest norm of its tokens; of queries, summed, the sum.

        Of the very numbers that are stored, so that the product of two such rows bounds what their tokens score.
        """
        lengths = np.linalg.norm(self.vectors.astype(np.float32), axis=1)
        rows = np.repeat(np.arange(len(self), dtype=np.uint64), np.diff(self.starts))
        keys = rows << np.uint64(32) | self.terms
        order = np.argsort(keys, kind="stable")
        found, first = np.unique(keys[order], return_index=True)
        join = np.add if summed else np.maximum
        weights = join.reduceat(lengths[order], first) if len(first) else lengths
        kept = weights > 0
        found, weights = found[kept], weights[kept]
        indptr = np.searchsorted(found >> np.uint64(32), np.arange(len(self) + 1, dtype=np.uint64)).astype(np.int64)
        return SparseVectors(indptr, found.astype(np.uint32), weights.astype(np.float32), num_terms)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The documents of one commit, mapped."""

    first: int
    texts: TokenVectors


class TokenStore:
    """Token vectors by ordinal, mapped into memory.

    Parameters
    ----------
    path : the folder.

    Attributes
    ----------
    encoder, created : fingerprint of the encoder, and when the index they belong to was made.
    num_terms, token_dim, cls_dim : sizes V, D and C. largest : float32 (V,), the largest norm of each term's vectors.
    longest : the largest norm of a document's own vector. names : digest of the names of rows, of encoded documents alone.

    Raises
    ------
    DataError : no store, a damaged description, files of other sizes than it states.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        described = self.path / DESCRIPTION
        body = read_description(described, FORM, VERSION)
        sizes = [body.get(name) for name in _SIZES]
        if not all(type(size) is int and 0 <= size < 2**31 for size in sizes) or not isinstance(
            body.get("parts"), list
        ):
            raise DataError(f"states {sizes} as {', '.join(_SIZES)}, or no parts; {_REMEDY}", path=described)
        self.num_terms, self.token_dim, self.cls_dim = (int(size) for size in sizes if size is not None)
        self.encoder, self.created = str(body.get("encoder")), str(body.get("created"))
        self.names = str(body.get("names"))
        self.largest = np.zeros(self.num_terms, np.float32)
        self.longest = 0.0
        self._stated: list[tuple[Path, dict[str, dict[str, int]]]] = []
        self._parts = [self._open(part, described) for part in body["parts"]]
        self._firsts = np.array([part.first for part in self._parts], np.int64)
        ends = [part.first + len(part.texts) for part in self._parts]
        if any(end > after for end, after in zip(ends, self._firsts[1:].tolist(), strict=False)):
            raise DataError(f"its parts overlap; {_REMEDY}", path=described)

    def __len__(self) -> int:
        return sum(len(part.texts) for part in self._parts)

    def _open(self, stated: Any, described: Path) -> _Part:
        counts = [stated.get(name) if isinstance(stated, dict) else None for name in ("first", "documents", "tokens")]
        folder, longest = (stated.get(n) if isinstance(stated, dict) else None for n in ("folder", "longest"))
        sound = all(type(count) is int and 0 <= count < 2**48 for count in counts)
        if not sound or not str(folder).isdigit() or not isinstance(longest, int | float) or not 0 <= longest < np.inf:
            raise DataError(f"describes a part by {counts}; {_REMEDY}", path=described)
        first, documents, tokens = (int(count) for count in counts if count is not None)
        place = self.path / str(folder)
        self._stated.append((place, stated_files(stated, FILES, described)))
        # Plain arrays over the maps: np.memmap makes every slice of a document's rows several times dearer.
        starts = np.asarray(mapped(place / STARTS, np.int64, documents + 1))
        if int(starts[0]) != 0 or int(starts[-1]) != tokens:
            raise DataError(f"does not begin at 0 and end at {tokens:,}; {_REMEDY}", path=place / STARTS)
        largest = mapped(place / LARGEST, np.float32, self.num_terms)
        if not ((largest >= 0) & (largest < np.inf)).all():  # a bound that is no number would stop every search at once
            raise DataError(f"a norm that is no number from 0 on; {_REMEDY}", path=place / LARGEST)
        np.maximum(self.largest, largest, out=self.largest)
        self.longest = max(self.longest, float(longest))
        terms, vectors, whole = (
            np.asarray(mapped(place / name, kind, rows * columns))
            for name, kind, rows, columns in (
                (TERMS, np.uint32, tokens, 1),
                (VECTORS, np.float16, tokens, self.token_dim),
                (WHOLE, np.float16, documents, self.cls_dim),
            )
        )
        held = TokenVectors(
            starts, terms, vectors.reshape(tokens, self.token_dim), whole.reshape(documents, self.cls_dim)
        )
        return _Part(first, held)

    def of(self, ordinal: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
        """Terms (T,), their vectors (T, D) and the vector of the text itself (C,) of one document.

        Raises
        ------
        DataError : none stored, or a damaged offset.
        """
        number = int(np.searchsorted(self._firsts, ordinal, side="right")) - 1
        part = self._parts[number] if number >= 0 else None
        row = -1 if part is None else ordinal - part.first
        if part is None or row >= len(part.texts):
            raise DataError(
                f"holds no token vectors of document {ordinal}, which was added without them; {_REMEDY}", path=self.path
            )
        start, end = int(part.texts.starts[row]), int(part.texts.starts[row + 1])
        if not 0 <= start <= end <= len(part.texts.terms):
            raise DataError(f"tokens of document {ordinal} are said to be {start}..{end}; {_REMEDY}", path=self.path)
        return part.texts.text(row)

    @property
    def parts(self) -> list[TokenVectors]:
        """The documents of every commit, mapped, in order."""
        return [part.texts for part in self._parts]

    def whole(self, block: int = 1 << 14) -> list[tuple[int, NDArray[np.float16]]]:
        """The vectors of documents themselves, in blocks of at most so many rows, each with the ordinal of its first row."""
        return [
            (part.first + start, part.texts.whole[start : start + block])
            for part in self._parts
            for start in range(0, len(part.texts), block)
        ]

    def verify(self) -> None:
        """Read everything: checksums, rising offsets, terms of the vocabulary, finite numbers.

        Raises
        ------
        DataError : the first fault.
        """
        for (place, files), part in zip(self._stated, (part.texts for part in self._parts), strict=True):
            verify_files(place, files)
            if (np.diff(part.starts) < 0).any():
                raise DataError(f"offsets do not rise; {_REMEDY}", path=place / STARTS)
            if len(part.terms) and int(part.terms.max()) >= self.num_terms:
                raise DataError(f"a term beyond the vocabulary's {self.num_terms:,}; {_REMEDY}", path=place / TERMS)
            for name, array in ((VECTORS, part.vectors), (WHOLE, part.whole)):
                step = max(1, (1 << 22) // max(1, array.shape[1]))
                if not all(np.isfinite(array[at : at + step]).all() for at in range(0, len(array), step)):
                    raise DataError(f"a number that is not finite; {_REMEDY}", path=place / name)


def check_belongs(store: TokenStore, index: Index) -> None:
    """Refuse token vectors of another index.

    Raises
    ------
    DataError
    """
    fingerprint = index.encoder and index.encoder.fingerprint
    if (store.created, store.encoder) != (index.manifest.created, fingerprint):
        raise DataError(
            f"its token vectors belong to another index than the one at '{index.path}' (built {store.created} by the encoder "
            f"{store.encoder}, the index {index.manifest.created} by {fingerprint}); build it again with --token-vectors",
            path=store.path,
        )


def check_tokens(index: Path) -> None:
    """Read the token vectors beside an index through, where there are any.

    Raises
    ------
    DataError : damaged ones, or those of another index.
    """
    if (tokens_folder(index) / DESCRIPTION).is_file():
        store = TokenStore(tokens_folder(index))
        check_belongs(store, open_index(index))
        store.verify()
