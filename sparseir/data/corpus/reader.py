"""The documents of a corpus, whatever files it is made of, in one stream."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.progress import Progress, silent
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.places import Place, RowFile
from sparseir.data.records import Document
from sparseir.errors import DataError

_KINDS = {bool: "a truth value", int: "a number", float: "a number", str: "text"}
_NESTED = "objects or lists in lists"
_REPORT = 1000
_ROW_BITS = 36


@dataclass(frozen=True, slots=True)
class Survey:
    """What reading a corpus through has shown.

    num_documents, num_empty : documents, and those among them with neither title nor text.
    kinds : key → what its values, or those in its lists, are ("text", "a number", …) → where that was first.
    """

    num_documents: int
    num_empty: int
    kinds: dict[str, dict[str, Place]] = field(default_factory=dict)


class CorpusReader(Iterator[Document]):
    """The documents of a corpus in the order of its files, one at a time.

    Memory grows by one id and one number a document, which the check for duplicates needs.

    Parameters
    ----------
    files : read one after the other. label : the corpus, in errors. notes : sentences for a person about the files.
    through : what the documents pass through on their way, to get what other files say of them.

    Attributes
    ----------
    num_documents, num_empty : documents given so far, and those among them with neither title nor text.
        Empty documents are legal: they keep their ordinal and match nothing.
    """

    def __init__(
        self,
        files: Sequence[RowFile],
        fields: FieldMap,
        label: Path,
        notes: Sequence[str] = (),
        through: Callable[[Iterator[Document]], Iterator[Document]] | None = None,
    ) -> None:
        self.label = label
        self.notes = tuple(notes)
        self.num_documents = 0
        self.num_empty = 0
        self._files = tuple(files)
        self._fields = fields
        self._rows = self._counted() if through is None else through(self._counted())

    def __iter__(self) -> CorpusReader:
        return self

    def __next__(self) -> Document:
        return next(self._rows)

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once."""
        return any(file.is_stream for file in self._files)

    def check(
        self, metadata: Sequence[str] = (), *, elsewhere: bool = False, progress: Progress = silent
    ) -> Survey | None:
        """Read the whole corpus before long work begins, for every fault it has; None for a stream, which cannot be.

        Parameters
        ----------
        metadata : keys that searches shall filter by. elsewhere : they may also come from what stands beside the corpus.

        Raises
        ------
        DataError : a fault of the files; a key of `metadata` that no document has, or that mixes numbers and text.
        """
        if self.is_stream:
            return None
        survey = self._survey(progress)
        for name in metadata:
            kinds = survey.kinds.get(name)
            if not kinds:
                if elsewhere:
                    continue
                raise absent_field(name, survey.kinds, self.label)
            if _NESTED in kinds:
                raise kinds[_NESTED].fault(f"'{name}' holds {_NESTED}, which searches cannot filter by")
            if len(kinds) > 1:
                (first, _), (second, place), *_ = kinds.items()
                raise place.fault(
                    f"'{name}' is {second}, and {first} before; a field to filter by holds text alone, or numbers alone"
                )
        return survey

    def _survey(self, progress: Progress) -> Survey:
        kinds: dict[str, dict[str, Place]] = {}
        count = empty = 0
        for place, document in self._read():
            for key, value in (*document.fields.items(), ("title", document.title or None), ("text", document.text)):
                for item in value if isinstance(value, list) else (value,):
                    if item is not None:
                        kinds.setdefault(key, {}).setdefault(_KINDS.get(type(item), _NESTED), place)
            count += 1
            empty += not document.content.strip()
            if count % _REPORT == 0:
                progress("checking the corpus", count, None)
        return Survey(count, empty, kinds)

    def _counted(self) -> Iterator[Document]:
        for _, document in self._read():
            self.num_documents += 1
            self.num_empty += not document.content.strip()
            yield document

    def placed(self) -> Iterator[tuple[int, Place, Document]]:
        """(number of its file, its place, the document) of all rows, whose names nothing has compared yet.

        For who finds names that stand twice by other means: it keeps nothing in memory.

        Raises
        ------
        DataError : a fault of a file, or no document at all.
        """
        empty = True
        for at, file in enumerate(self._files):
            for place, row in file.rows():
                empty = False
                yield at, place, self._fields.document(row, place)
        if empty:
            raise DataError("the corpus is empty; expected one document a line", path=self.label)

    def _read(self) -> Iterator[tuple[Place, Document]]:
        seen: dict[str, int] = {}  # the file and the row as one number: a pair of them would take twice the memory
        for at, place, document in self.placed():
            here = at << _ROW_BITS | place.number
            first = seen.setdefault(document.docno, here)
            if first != here:
                number = first & ((1 << _ROW_BITS) - 1)
                before = Place(self._files[first >> _ROW_BITS].label, number, place.unit)
                where = f"on {place.unit} {number}" if first >> _ROW_BITS == at else f"in {before}"
                raise place.fault(f"duplicate id '{document.docno}', first seen {where}; ids must be unique")
            yield place, document


def absent_field(name: str, known: Iterable[str], path: str | Path | None = None) -> DataError:
    """The error of a field to filter by that no document has.

    Parameters
    ----------
    known : the fields there are.
    """
    fields = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, fields, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    found = ", ".join(f"'{key}'" for key in fields[:12]) or "none"
    return DataError(f"no document has the field '{name}' to filter by{hint} (found: {found})", path=path)
