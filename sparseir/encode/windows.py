"""Long texts to passages: windows over the word pieces of a model, or over the words of the lexical channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import Index, delete_documents, open_index
from indexer.update import DeleteReport
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows, passage_name, passages_of, windows_of
from sparseir.data.records import Document
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.analysis import Analyzer
from sparseir.models.panics import Tokenizing

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

PASSAGE = "passage"
"""Stored field of a passage: its number, of how many, and where it is in the text, in characters."""

_BATCH = 256

Pieces = tuple[list[tuple[int, int]], Sequence[int | None]]
"""Where the pieces of a text are, in characters, and the word that each is part of."""


class PassageStream(Iterator[Document]):
    """Documents cut into passages, in order.

    A passage holds the title, as every other of its document, and as many pieces of the text as make `windows.size`
    with it (at least half of that); a word is in one passage whole. A text without pieces is one passage.

    Parameters
    ----------
    documents : whole ones. pieces : of many texts.

    Raises
    ------
    DataError : a document that has a field called passage.
    """

    def __init__(
        self, documents: Iterable[Document], windows: Windows, pieces: Callable[[list[str]], list[Pieces]]
    ) -> None:
        self._documents = iter(documents)
        self._windows = windows
        self._pieces = pieces
        self._passages = self._cut()

    def __next__(self) -> Document:
        return next(self._passages)

    def _cut(self) -> Iterator[Document]:
        while batch := list(islice(self._documents, _BATCH)):
            pieces = self._pieces([text for d in batch for text in (d.title, d.text)])
            for at, document in enumerate(batch):
                yield from self._passages_of(document, len(pieces[2 * at][0]), pieces[2 * at + 1])

    def _passages_of(self, document: Document, title: int, pieces: Pieces) -> Iterator[Document]:
        if PASSAGE in document.fields:
            raise DataError(
                f"document '{document.docno}' has a field '{PASSAGE}', which windows write; call it otherwise"
            )
        places, words = pieces
        size = max(self._windows.size - title, (self._windows.size + 1) // 2)
        spans = list(window_spans(words, size, min(self._windows.step, size)))
        for number, (first, end) in enumerate(spans):
            start = places[first][0] if number else 0
            stop = places[end - 1][1] if number < len(spans) - 1 else len(document.text)
            where = {"number": number, "of": len(spans), "start": start, "end": stop}
            yield replace(
                document,
                docno=passage_name(document.docno, number),
                text=document.text[start:stop],
                fields={**document.fields, PASSAGE: where},
            )


def window_spans(words: Sequence[int | None], size: int, step: int) -> Iterator[tuple[int, int]]:
    """(first, end) of windows of at most `size` pieces that cover all of them.

    They begin and end between words, unless one word fills a window.

    Parameters
    ----------
    words : the word of each piece, equal for those of one word.
    """
    count, start, end = len(words), 0, _window_end(words, 0, size)
    while True:
        yield start, end
        if end == count:
            return
        # Where the word at the step began; else where the next begins; and no window that adds nothing.
        following = min(start + step, end)
        begins = [at for at in range(start + 1, end) if words[at] is None or words[at] != words[at - 1]]
        begins.append(end)
        start = max((at for at in begins if at <= following), default=begins[0])
        if _window_end(words, start, size) <= end:
            start = end
        end = _window_end(words, start, size)


def _window_end(words: Sequence[int | None], start: int, size: int) -> int:
    """Where a window ends that begins there: at the end of a word, unless its first word is longer than the window."""
    end = min(start + size, len(words))
    at = end
    while start < at < len(words) and words[at] is not None and words[at] == words[at - 1]:
        at -= 1
    return at if at > start else end


def passages(
    documents: Iterable[Document],
    windows: Windows,
    encoder: SparseEncoder | None,
    language: LexicalConfig | None = None,
) -> PassageStream:
    """Documents as passages, measured as they will be read.

    Parameters
    ----------
    encoder : its word pieces are counted; None for words as the lexical channel finds them.

    Raises
    ------
    ConfigError : windows larger than what the model reads, or a model whose hits need their whole documents.
    """
    if encoder is None:
        analyzer = Analyzer(language or LexicalConfig())

        def words(texts: list[str]) -> list[Pieces]:
            found = [analyzer.places(text) for text in texts]
            return [(places, range(len(places))) for places in found]

        return PassageStream(documents, windows, words)
    check_windows(windows, encoder)
    tokenizer = encoder.tokenizer.word_pieces()

    def pieces(texts: list[str]) -> list[Pieces]:
        with Tokenizing(texts):
            encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        return [(e.offsets, e.word_ids) for e in encoded]

    return PassageStream(documents, windows, pieces)


def check_windows(windows: Windows, encoder: SparseEncoder) -> None:
    """Refuse windows that a model cannot read.

    Raises
    ------
    ConfigError
    """
    room = encoder.document_length() - encoder.tokenizer.tokenizer.num_special_tokens_to_add(pair=False)
    if windows.size > room:
        raise ConfigError(
            f"windows {windows}: the model reads {room} word pieces of a text; give at most {room}/{room}"
        )
    if encoder.document_tower.needs_rerank:
        raise ConfigError(f"windows {windows}: hits of a {encoder.kind} encoder are scored by their whole texts")


def outdated_passages(index: Index, names: Sequence[str]) -> list[str]:
    """Passages that go when documents are replaced whose passages have these names, the same names included."""
    documents = list(dict.fromkeys(name.rpartition("#")[0] for name in names))
    return [name for found in passages_of(index, documents) for name in found]


def delete_texts(path: str | Path, docnos: Sequence[str]) -> DeleteReport:
    """As `indexer.delete_documents` by name; of an index of passages, all those of each document.

    Returns
    -------
    DeleteReport : counts documents.
    """
    index = open_index(path)
    if windows_of(index) is None:
        return delete_documents(path, docnos)
    found = passages_of(index, docnos)
    delete_documents(path, [name for names in found for name in names])
    missing = tuple(docno for docno, names in zip(docnos, found, strict=True) if not names)
    return DeleteReport(len({docno for docno, names in zip(docnos, found, strict=True) if names}), missing)
