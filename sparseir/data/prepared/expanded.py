"""The documents of a prepared folder as they are read with the words of their expansions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from sparseir.data.prepared.folder import Prepared
from sparseir.data.records import Document
from sparseir.data.stores.rows import Rows
from sparseir.data.stores.texts import TextStore
from sparseir.errors import DataError


class ExpandedTexts(Rows[str]):
    """The documents of a store with the words of their expansions, as `Document.expanded_after` puts them."""

    def __init__(self, documents: TextStore, expansions: TextStore, separator: str) -> None:
        self._documents, self._expansions, self._separator = documents, expansions, separator

    def __len__(self) -> int:
        return len(self._documents)

    def row_at(self, number: int) -> str:
        at = int(self._expansions.rows([self._documents.name(number)])[0])
        text = self._documents[number]
        return text if at < 0 else Document("", text, expansion=self._expansions[at]).expanded_after(self._separator)

    def blocks(self, size: int = 8192) -> Iterator[tuple[int, list[str]]]:
        """As `TextStore.blocks`."""
        for first in range(0, len(self), size):
            yield first, self[first : first + size]


Texts = TextStore | ExpandedTexts


def documents_of(prepared: Prepared, *, expanded: bool, separator: str = " ") -> Texts:
    """The documents of a folder, with the words of their expansions, after the separator, where these are asked for and there."""
    if expanded and prepared.expansions is not None:
        return ExpandedTexts(prepared.documents, prepared.expansions, separator)
    return prepared.documents


def expansions_mark(prepared: Prepared) -> str:
    """What tells results with the expansions of a folder from others: " with expansions CHECKSUM".

    Raises
    ------
    DataError : it has none.
    """
    if prepared.expansions is None:
        raise DataError(
            "has no expansions to read with its documents; give some: sparseir data prepare --expansions FILE --resume",
            path=prepared.path,
        )
    files = sorted((name, stated["crc32"]) for name, stated in prepared.expansions.described["files"].items())
    return f" with expansions {zlib.crc32(repr(files).encode()):08x}"
