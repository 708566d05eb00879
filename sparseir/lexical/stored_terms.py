"""The strings of an index's terms as its query side stores them."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from indexer.interchange.vocabulary_files import AfterTokenizer, listed_strings, parsed_terms
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
        self._whole, self._path, self._mark = raw, path, mark
        self.num_learned = num_learned
        after, self._raw = AfterTokenizer.split(raw, path)
        if after is not None and (after.terms, after.mark) != (num_learned, mark):
            raise DataError(f"the stems come after {after.terms} terms, expected {num_learned}", path=path)
        # Terms before the first line that is left, and what these lines leave out of each stem.
        self._before, self._left_out = (0, "") if after is None else (num_learned, mark)

    @classmethod
    def read(cls, path: Path, num_learned: int, *, mark: str = "") -> StoredTerms:
        """From a file.

        Raises
        ------
        DataError : it cannot be read, or as the class.
        """
        try:
            return cls(path.read_bytes(), path, num_learned, mark=mark)
        except OSError as error:
            raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error

    def __len__(self) -> int:
        return self._before + self._raw.count(b"\n")

    @property
    def num_stems(self) -> int:
        """Stems after the learned terms."""
        return len(self) - self.num_learned

    def find(self, stem: str) -> int:
        """Number of a stem, from 0; -1 where it is not there."""
        line = json.dumps((self._mark + stem).removeprefix(self._left_out), ensure_ascii=False).encode() + b"\n"
        if self._raw.startswith(line):
            place = self._before
        elif (at := self._raw.find(b"\n" + line)) >= 0:
            place = self._before + self._raw.count(b"\n", 0, at) + 1
        else:
            return -1
        return place - self.num_learned if place >= self.num_learned else -1

    @cached_property
    def _strings(self) -> list[str]:
        """Of the file's own lines."""
        _, strings = listed_strings(self._whole, self._path)
        if len(set(strings)) < len(strings):
            raise DataError("a term is listed twice", path=self._path)
        return strings

    @property
    def learned(self) -> list[str]:
        """Strings of the learned terms.

        Raises
        ------
        DataError : the file, or the tokenizer beside it, is damaged.
        """
        if not self._before:
            return self._strings[: self.num_learned]
        return parsed_terms(self._whole, self._path, self._beside)[: self.num_learned]

    def _beside(self, name: str) -> bytes:
        try:
            return (self._path.parent / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"the vocabulary begins with its terms, and it cannot be read: {error}", path=self._path.parent / name
            ) from error

    @property
    def stems(self) -> list[str]:
        """The stems, by number.

        Raises
        ------
        DataError : the file is damaged.
        """
        left = len(self._mark) - len(self._left_out)
        return [term[left:] for term in self._strings[self.num_learned - self._before :]]
