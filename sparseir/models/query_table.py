"""The query side of an inference-free encoder: a tokenizer and one weight per vocabulary term. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.errors import is_panic
from indexer.format.query_side import QueryFiles
from indexer.interchange.jsonl.text import json_value
from indexer.interchange.vocabulary_files import TOKENIZER_FILE
from sparseir.errors import ConfigError, DataError
from sparseir.models.panics import Tokenizing
from sparseir.models.pieces import RememberedPieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from sparseir.models.stemmed import StemmedTokenizer

WEIGHTS_FILE = "query_weights.safetensors"
DESCRIPTION_FILE = "query.json"


class QueryTable:
    """weight of term v in a query = weights[v] if v is one of the query's tokens, else 0.

    Presence, not counts; special tokens weigh 0; no token is cut off, however long the query. An empty query is a legal empty row.

    Parameters
    ----------
    tokenizer : a `tokenizers.Tokenizer`, or one of stems; its padding and truncation are switched off.
    weights : float32 (V,), finite and ≥ 0; entries of special tokens are set to 0.
    """

    def __init__(self, tokenizer: Tokenizer | StemmedTokenizer, weights: NDArray[np.float32]) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        table = np.array(weights, dtype=np.float32)
        if table.ndim != 1 or len(table) < tokenizer.get_vocab_size():
            raise DataError(
                f"query weights of shape {table.shape} do not cover the tokenizer's {tokenizer.get_vocab_size()} terms"
            )
        if not np.isfinite(table).all() or (table < 0).any():
            raise DataError("query weights must be finite and not negative")
        specials = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
        table[specials] = 0
        table.setflags(write=False)
        self.tokenizer = tokenizer
        self.weights = table
        self._pieces = RememberedPieces.of(tokenizer)

    @property
    def num_terms(self) -> int:
        """Size of the vocabulary."""
        return len(self.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal digest of tokenizer and weights: equal exactly when every query gets equal vectors."""
        return self._digest(self.tokenizer.to_str().encode())

    def _digest(self, tokenizer: bytes) -> str:
        digest = hashlib.sha256(tokenizer)
        digest.update(self.weights.tobytes())
        return digest.hexdigest()[:32]

    def encode(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Terms (ascending, without duplicates) and positive weights of one query.

        Raises
        ------
        DataError : as `tokenize`.
        """
        if not isinstance(text, str):
            raise _not_text([text])
        pieces = None if self._pieces is None else self._pieces.ids(text)
        return self._lookup(self.tokenize([text])[0] if pieces is None else pieces)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, in order and with repetitions, without special tokens.

        Raises
        ------
        DataError : something that is no text, text with half a character (a lone surrogate) in it, or one that the
            tokenizer fails on.
        """
        texts = list(texts)
        if not all(isinstance(text, str) for text in texts):  # a pair would be read as one text
            raise _not_text(texts)
        try:
            with Tokenizing(texts):
                return [e.ids for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)]
        except TypeError:
            raise _not_text(texts) from None

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors:
        """One row per text."""
        rows = [self._lookup(ids) for ids in self.tokenize(texts)]
        indptr = np.concatenate([[0], np.cumsum([len(t) for t, _ in rows])]).astype(np.int64)
        term_ids = np.concatenate([t for t, _ in rows]) if rows else np.zeros(0, np.uint32)
        weights = np.concatenate([w for _, w in rows]) if rows else np.zeros(0, np.float32)
        return SparseVectors(indptr, term_ids, weights, self.num_terms)

    def _lookup(self, ids: Iterable[int]) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        terms = np.array(sorted(set(ids)), dtype=np.uint32)  # of a few ids a quarter of what np.unique takes
        if len(terms) and terms[-1] >= len(self.weights):  # a tokenizer may leave gaps between its ids
            raise DataError(
                f"the tokenizer gives the term id {terms[-1]}; query weights end at {len(self.weights) - 1}"
            )
        weights = self.weights[terms]
        keep = weights > 0
        return terms[keep], weights[keep]

    def token(self, term_id: int) -> str:
        """The vocabulary string of a term."""
        return self.tokenizer.id_to_token(int(term_id)) or f"[{term_id}]"

    def channel(self, term_id: int) -> str:
        """All of its terms are learned."""
        return "learned"

    def save(self, folder: str | Path) -> None:
        """Write tokenizer.json, query_weights.safetensors and query.json."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / TOKENIZER_FILE), pretty=False)
        save_file({"weights": np.ascontiguousarray(self.weights)}, str(folder / WEIGHTS_FILE))
        description = {"format": "sparseir-query-table", "version": 1, "fingerprint": self.fingerprint}
        stems = getattr(self.tokenizer, "stems", None)
        if stems is not None:
            description["stemmer"] = stems.language
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, source: str | Path | QueryFiles) -> QueryTable:
        """Read what `save` wrote, from a folder or from the files of an opened index.

        Raises
        ------
        DataError
            A file is missing, damaged, or does not have the recorded fingerprint.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load
        from tokenizers import Tokenizer  # an index of words is searched without

        folder = source.path if isinstance(source, QueryFiles) else Path(source)
        try:
            files = source if isinstance(source, QueryFiles) else QueryFiles(folder)
        except OSError as error:
            raise DataError(f"no query table can be read here: {error.strerror}", path=folder) from error
        for name in (TOKENIZER_FILE, WEIGHTS_FILE, DESCRIPTION_FILE):
            if name not in files:
                raise DataError(f"a query table needs {name}, which is missing", path=folder)
        try:
            description = json_value(files.read(DESCRIPTION_FILE, 1 << 20).decode())
            weights = load(files.read(WEIGHTS_FILE, 1 << 29))["weights"]
            written = files.read(TOKENIZER_FILE, 1 << 28)
            tokenizer = Tokenizer.from_str(written.decode())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise DataError(f"the query table is damaged: {error}", path=folder) from error
        except BaseException as error:  # tokenizers raises bare Exception, or panics, for a fault of its file
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            raise DataError(f"the tokenizer does not load: {error}", path=folder / TOKENIZER_FILE) from error
        if not isinstance(description, dict) or description.get("format") != "sparseir-query-table":
            raise DataError("not the description of a query table", path=folder / DESCRIPTION_FILE)
        try:
            table = cls(_stemmed(tokenizer, description.get("stemmer")), weights)
        except (DataError, IndexError) as error:
            raise DataError(f"tokenizer and weights do not go together: {error}", path=folder) from error
        recorded = description.get("fingerprint")
        # The file is the tokenizer's text as `save` wrote it; making that text afresh takes longer than reading it.
        if table._digest(written) != recorded and table.fingerprint != recorded:
            raise DataError(
                "the query table's tokenizer or weights changed since it was written; write it again from the model",
                path=folder,
            )
        return table


def _stemmed(tokenizer: Tokenizer, language: Any) -> Tokenizer | StemmedTokenizer:
    """The tokenizer, or one of stems over it.

    Raises
    ------
    DataError : no name of a stemmer.
    """
    if language is None:
        return tokenizer
    from sparseir.models.stemmed import StemmedTokenizer, WordStems  # few tables have stems

    try:
        return StemmedTokenizer(tokenizer, WordStems(str(language)))
    except ConfigError as error:
        raise DataError(str(error)) from error


def _not_text(texts: Sequence[Any]) -> DataError:
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            return DataError(f"query {i} is {type(text).__name__}; expected text")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            return DataError(f"query {i} holds half a character (a lone surrogate): {text[:40]!a}")
    return DataError("the tokenizer does not take these texts")


def idf_weights(document_frequency: NDArray[np.int64], num_docs: int, *, unseen: float = 1.0) -> NDArray[np.float32]:
    """idf[v] = ln(1 + (N − df[v] + ½) / (df[v] + ½)), the idf of Lucene's BM25; `unseen` where df = 0.

    Parameters
    ----------
    document_frequency : int64 (V,), documents that hold the term at least once.
    num_docs : N, at least every df.

    Source: the published inference-free models give 1.0 to terms the corpus does not hold; zeroing the special
    tokens is the `QueryTable`'s part.
    """
    df = np.asarray(document_frequency, np.float64)
    idf = np.log1p((num_docs - df + 0.5) / (df + 0.5))
    return np.where(df > 0, idf, unseen).astype(np.float32)
