"""The strings of an index's terms as its query side stores them."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from indexer.interchange.vocabulary import check_distinct
from indexer.interchange.vocabulary_files import LARGEST, AfterTokenizer, listed_strings, parsed_terms, read_beside
from indexer.interchange.whole import read_whole
from sparseir.errors import DataError


class StoredTerms:
    """terms.jsonl: a string looked for in its bytes takes microseconds, all of them in a table as long as many searches.

    Parameters
    ----------
    raw : what the file holds (`indexer.interchange.vocabulary_files`). path : the file, for messages; the tokenizer that it may
        name is beside it.
    num_learned : strings of learned terms, which come first. mark : what stands before each stem.

    Raises
    ------
    DataError : it names another number of learned terms.
    """

    def __init__(self, raw: bytes, path: Path, num_learned: int, *, mark: str = "") -> None:
        self._raw, self._path, self._mark = raw, path, mark
        self.num_learned = num_learned
        after, lines = AfterTokenizer.split(raw, path)
        expected = AfterTokenizer(num_learned, mark)
        if after is not None and after != expected:
            raise DataError(f"the stems are {after}, expected {expected}", path=path)
        self._first = len(raw) - len(lines)
        """Where the first string is."""
        # Terms before the file's, and what its lines leave out of each stem.
        self._before, self._left_out = (0, "") if after is None else (num_learned, mark)

    @classmethod
    def read(cls, path: Path, num_learned: int, *, mark: str = "") -> StoredTerms:
        """From a file.

        Raises
        ------
        DataError : it cannot be read, or as the class.
        """
        try:
            return cls(read_whole(path, LARGEST), path, num_learned, mark=mark)
        except OSError as error:
            raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error

    def __len__(self) -> int:
        return self._before + self._raw.count(b"\n", self._first)

    @property
    def num_stems(self) -> int:
        """Stems after the learned terms."""
        return len(self) - self.num_learned

    def find(self, stem: str) -> int:
        """Number of a stem, from 0; -1 where it is not there."""
        line = json.dumps((self._mark + stem).removeprefix(self._left_out), ensure_ascii=False).encode() + b"\n"
        if self._raw.startswith(line, self._first):
            place = self._before
        elif (at := self._raw.find(b"\n" + line, self._first)) >= 0:
            place = self._before + self._raw.count(b"\n", self._first, at) + 1
        else:
            return -1
        return place - self.num_learned if place >= self.num_learned else -1

    @cached_property
    def _strings(self) -> list[str]:
        """Of the file's own lines."""
        return listed_strings(self._raw, self._path)[1]

    @property
    def learned(self) -> list[str]:
        """Strings of the learned terms, while the file's folder stands: for writers, and for checks of the whole.

        Raises
        ------
        DataError : the file, or the tokenizer beside it, is damaged; a term is listed twice, also among the stems.
        """
        strings = parsed_terms(self._raw, self._path, lambda name: read_beside(self._path, name))
        check_distinct(strings, self._path)
        return strings[: self.num_learned]

    @property
    def stems(self) -> list[str]:
        """The stems, by number.

        Raises
        ------
        DataError : the file is damaged, or lists a stem twice.
        """
        check_distinct(self._strings, self._path)
        left = len(self._mark) - len(self._left_out)
        return [term[left:] for term in self._strings[self.num_learned - self._before :]]
