"""Text that a model wrote for a corpus, doc2query's predicted queries say: kept beside the documents, found by their names."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain

from sparseir.data.corpus.fields import expansion_of
from sparseir.data.corpus.places import Place
from sparseir.data.lines import LineSource
from sparseir.data.records import Document
from sparseir.data.stores.texts import TextStore
from sparseir.data.stores.write_texts import NamedText, write_store
from sparseir.errors import DataError

_IDS = ("id", "_id", "docid", "docno")


class Expansions:
    """Expansions by document name, read from a file when they are first asked for and kept on disk.

    Lines are JSON objects with a name (`id`, `_id`, `docid` or `docno`) and `predicted_queries` or `expansion`, a text or a
    list of texts; or `docno<TAB>text`, where lines of one document that follow each other are joined. The first line decides.

    Parameters
    ----------
    source : the file.
    """

    def __init__(self, source: LineSource) -> None:
        self.source = source

    def added(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with their expansions, in order; one that the file lacks stays as it is.

        Raises
        ------
        DataError : a fault of the file, with its line; or it has no expansion of any of the documents.
        """
        count = found = 0
        for document in documents:
            count += 1
            row = int(self._store.rows([document.docno])[0])
            if row >= 0:
                found += 1
                document = replace(document, expansion=self._store[row])
            yield document
        if count and not found:
            raise DataError(
                f"holds expansions of none of the {count:,} documents; its names are to be theirs, '{self._store.name(0)}' first",
                path=self.source.label,
            )

    @cached_property
    def _store(self) -> TextStore:
        folder = tempfile.TemporaryDirectory(prefix="sparseir-expansions-")
        weakref.finalize(self, folder.cleanup)
        return write_store(folder.name, self.rows(), what="expansions")

    def rows(self) -> Iterator[NamedText]:
        """The expansions in the order of the file.

        Raises
        ------
        DataError : a fault of the file, with its line; none at all.
        """
        lines = self.source.lines()
        first = next(lines, None)
        if first is None:
            raise DataError("holds no expansions", path=self.source.label)
        given = chain([first], lines)
        return self._of_objects(given) if first[1].lstrip().startswith("{") else self._of_columns(given)

    def _of_objects(self, lines: Iterable[tuple[int, str]]) -> Iterator[NamedText]:
        for number, row in self.source.objects(lines):
            place = Place(self.source.label, number)
            name = next((row[key] for key in _IDS if key in row), None)
            text = expansion_of(row)
            if isinstance(name, bool) or not isinstance(name, str | int) or name == "" or text is None:
                raise place.fault('expected a name under "id" and texts under "predicted_queries" or "expansion"')
            yield NamedText(place, 0, str(name), text)

    def _of_columns(self, lines: Iterable[tuple[int, str]]) -> Iterator[NamedText]:
        waiting: NamedText | None = None
        for number, line in lines:
            place = Place(self.source.label, number)
            name, tab, text = line.partition("\t")
            if not tab or not name:
                raise place.fault(
                    "expected docno<TAB>text, or a JSON object a line; lines without names follow their corpus: put its ids before them"
                )
            if waiting is not None and waiting.name == name:
                waiting = waiting._replace(text=f"{waiting.text} {text}")
                continue
            if waiting is not None:
                yield waiting
            waiting = NamedText(place, 0, name, text)
        if waiting is not None:
            yield waiting
