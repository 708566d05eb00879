"""The strings of an index's terms as its query side stores them."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from indexer.interchange.vocabulary import Vocabulary
from sparseir.errors import DataError


class StoredTerms:
    """terms.jsonl: a string looked for in its bytes takes microseconds, all of them in a table as long as many searches.

    Parameters
    ----------
    raw : one JSON string a line, as `Vocabulary.save` writes them. path : the file, for messages.
    num_learned : strings of learned terms, which come first. mark : what stands before each stem.
    """

    def __init__(self, raw: bytes, path: Path, num_learned: int, *, mark: str = "") -> None:
        self._raw, self._path, self._mark = raw, path, mark
        self.num_learned = num_learned

    @classmethod
    def read(cls, path: Path, num_learned: int, *, mark: str = "") -> StoredTerms:
        """From a file.

        Raises
        ------
        DataError : it cannot be read.
        """
        try:
            return cls(path.read_bytes(), path, num_learned, mark=mark)
        except OSError as error:
            raise DataError(f"the vocabulary cannot be read: {error}", path=path) from error

    def __len__(self) -> int:
        return self._raw.count(b"\n")

    @property
    def num_stems(self) -> int:
        """Stems after the learned terms."""
        return len(self) - self.num_learned

    def find(self, stem: str) -> int:
        """Number of a stem, from 0; -1 where it is not there."""
        line = json.dumps(self._mark + stem, ensure_ascii=False).encode() + b"\n"
        if self._raw.startswith(line):
            place = 0
        elif (at := self._raw.find(b"\n" + line)) >= 0:
            place = self._raw.count(b"\n", 0, at) + 1
        else:
            return -1
        return place - self.num_learned if place >= self.num_learned else -1

    @cached_property
    def _strings(self) -> list[str]:
        return Vocabulary.parse(self._raw, self._path).terms or []

    @property
    def learned(self) -> list[str]:
        """Strings of the learned terms.

        Raises
        ------
        DataError : the file is damaged.
        """
        return self._strings[: self.num_learned]

    @property
    def stems(self) -> list[str]:
        """The stems, by number.

        Raises
        ------
        DataError : the file is damaged.
        """
        return [term[len(self._mark) :] for term in self._strings[self.num_learned :]]
